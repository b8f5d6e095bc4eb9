package resource_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/resource"
)

// podOf5KB is the body of a pod of about 5 KB.
func podOf5KB(name string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"annotations":{"a":"%s"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`, name, strings.Repeat("x", 4800))
}

func BenchmarkCreate(b *testing.B) {
	c := start(b)
	for i := 0; b.Loop(); i++ {
		c.must(b, "create", pods, podOf5KB(fmt.Sprint("p", i)))
	}
}

func BenchmarkPatch(b *testing.B) {
	for _, contentType := range []string{jsonPatch, merge, strategic} {
		b.Run(contentType, func(b *testing.B) {
			c := start(b)
			c.must(b, "create", pods, podOf5KB("p"))
			for i := 0; b.Loop(); i++ {
				body := patches("/metadata/labels", fmt.Sprintf(`{"n":"%d"}`, i))[contentType]
				if _, err := c.do(b, request{verb: "patch", path: pods + "/p", contentType: contentType, body: body}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	c := start(b)
	for i := range 500 {
		c.must(b, "create", pods, podOf5KB(fmt.Sprint("p", i)))
	}
	l := c.list(b, pods, resource.ListOptions{})
	for name, write := range map[string]func(*resource.Chunks) error{
		"json": l.WriteJSON, "protobuf": l.WriteProtobuf, "partial": func(w *resource.Chunks) error { return l.WritePartial(w, resource.MetaV1) },
		"table": func(w *resource.Chunks) error {
			return c.WriteTable(l, w, resource.TableForm{Version: resource.MetaV1}, time.Now())
		},
	} {
		b.Run(name, func(b *testing.B) {
			chunks := resource.Chunks{W: io.Discard}
			b.ReportAllocs()
			for b.Loop() {
				if err := write(&chunks); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
