package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/store"
)

const hostile = `"resourceVersion":"1"},"resourceVersion":"2`

func TestDraftAtEqualsTheDecodedValue(t *testing.T) {
	for _, c := range []struct {
		name string
		o    object
	}{
		{"plain", object{Metadata: metadata{Name: "a", Namespace: "n"}, Data: "x"}},
		{"nothing but the revision", object{}},
		{"the name imitates the field", object{Metadata: metadata{Name: hostile, Namespace: hostile}}},
		{"the name ends like the field begins", object{Metadata: metadata{Name: "resourceVersion", Namespace: `\`}}},
		{"a label has the field's name", object{Metadata: metadata{Labels: map[string]string{"resourceVersion": "7", hostile: hostile}}}},
		{"an annotation has the field's name", object{Metadata: metadata{Annotations: map[string]string{"resourceVersion": "7"}}, Data: hostile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := draft(t, key("a"), c.o.value(t))
			for _, revision := range []int64{1, 9, 10, 1 << 62} {
				want, err := codec(key("a"), c.o.value(t), revision)
				if err != nil {
					t.Fatal(err)
				}
				if diff := diffItems(want, d.At(revision)); diff != "" {
					t.Errorf("At (-want +got):\n%s", diff)
				}
				if diff := diffItems(want, d.At(3).AtRevision(revision)); diff != "" {
					t.Errorf("AtRevision (-want +got):\n%s", diff)
				}
			}
			unsaved := d.Unsaved()
			if diff := cmp.Diff(string(c.o.value(t)), string(unsaved.JSON)); diff != "" {
				t.Errorf("Unsaved (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnsavedRemovesTheRevisionInEveryPosition(t *testing.T) {
	for _, c := range []struct{ name, metadata, want string }{
		{"alone", `{"resourceVersion":"0"}`, `{}`},
		{"first", `{"resourceVersion":"0","uid":"u"}`, `{"uid":"u"}`},
		{"between", `{"name":"a","resourceVersion":"0","uid":"u"}`, `{"name":"a","uid":"u"}`},
		{"last", `{"name":"a","resourceVersion":"0"}`, `{"name":"a"}`},
		{"behind maps, numbers and words", `{"a":{"resourceVersion":"x","b":[1,{}]},"n":-1.5e3,"t":true,"resourceVersion":"0"}`, `{"a":{"resourceVersion":"x","b":[1,{}]},"n":-1.5e3,"t":true}`},
		{"empty before", `{"name":"a","resourceVersion":"","uid":"u"}`, `{"name":"a","uid":"u"}`},
	} {
		for _, rest := range []string{`}`, `,"spec":{"resourceVersion":"5"}}`} {
			t.Run(c.name+rest, func(t *testing.T) {
				opening := `{"metadata":`
				d, ok := store.NewDraft(&store.Item{JSON: []byte(opening + c.metadata + rest), MetaEnd: len(opening + c.metadata)})
				if !ok {
					t.Fatal("refused")
				}
				got := d.Unsaved()
				if want := opening + c.want + rest; string(got.JSON) != want {
					t.Errorf("got %s, want %s", got.JSON, want)
				}
				if head := string(got.JSON[:got.MetaEnd]); head != opening+c.want {
					t.Errorf("metadata ends at %s", head)
				}
			})
		}
	}
}

func TestNewDraftRefuses(t *testing.T) {
	for _, c := range []struct{ name, json string }{
		{"empty", ``},
		{"no metadata", `{"spec":{}}`},
		{"metadata that is not first", `{"a":1,"metadata":{"resourceVersion":"1"}}`},
		{"no revision", `{"metadata":{"name":"a"}}`},
		{"a revision only in a label", `{"metadata":{"labels":{"resourceVersion":"1"}}}`},
		{"a revision only outside the metadata", `{"metadata":{},"resourceVersion":"1"}`},
		{"a revision that is a number", `{"metadata":{"resourceVersion":1}}`},
		{"a cut string", `{"metadata":{"name":"a`},
		{"a cut escape", `{"metadata":{"name":"a\`},
		{"a cut revision", `{"metadata":{"resourceVersion":"1`},
		{"a cut field", `{"metadata":{"name"`},
		{"a cut value", `{"metadata":{"name":`},
	} {
		t.Run(c.name, func(t *testing.T) {
			item := &store.Item{Key: "k", Revision: 1, JSON: []byte(c.json), MetaEnd: len(c.json)}
			if _, ok := store.NewDraft(item); ok {
				t.Error("accepted")
			}
			// A deletion must carry its own revision even then, or the history would be out of order.
			if got := item.AtRevision(2); got.Revision != 2 || got.Key != "k" {
				t.Errorf("AtRevision returned %v", got)
			}
		})
	}
}

func TestBrokenItemAtRevision(t *testing.T) {
	broken := &store.Item{Key: "k", Value: []byte("v"), Revision: 1, Broken: errors.New("no")}
	if got := broken.AtRevision(2); got.Revision != 2 || got.Broken == nil || string(got.Value) != "v" {
		t.Errorf("got %v", got)
	}
}

// FuzzDraft builds objects of hostile strings around a resourceVersion in any position.
func FuzzDraft(f *testing.F) {
	f.Add("a", "k", "v", uint8(0), int64(5))
	f.Add(hostile, hostile, hostile, uint8(1), int64(0))
	f.Add("resourceVersion", "resourceVersion", `\`, uint8(2), int64(1<<62))
	f.Add(`\"`, "\u2028</", "\x00", uint8(3), int64(-1))
	f.Fuzz(func(t *testing.T, name, label, data string, position uint8, revision int64) {
		quote := func(s string) string {
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		fields := []string{`"name":` + quote(name), `"labels":{` + quote(label) + `:` + quote(data) + `}`, `"list":[` + quote(label) + `,{},1]`}
		build := func(fields []string, revision string) string {
			at := int(position) % (len(fields) + 1)
			all := append(append(append([]string{}, fields[:at]...), revision), fields[at:]...)
			if revision == "" {
				all = fields
			}
			return `{"metadata":{` + strings.Join(all, ",") + `}`
		}
		fields = fields[:int(position/4)%(len(fields)+1)]
		rest := `,"data":` + quote(data) + `}`
		meta := build(fields, `"resourceVersion":"0"`)
		d, ok := store.NewDraft(&store.Item{JSON: []byte(meta + rest), MetaEnd: len(meta)})
		if !ok {
			t.Fatalf("refused %s", meta+rest)
		}
		for _, c := range []struct {
			got  *store.Item
			want string
		}{
			{d.At(revision), build(fields, `"resourceVersion":"`+strconv.FormatInt(revision, 10)+`"`)},
			{d.At(1).AtRevision(revision), build(fields, `"resourceVersion":"`+strconv.FormatInt(revision, 10)+`"`)},
			{d.Unsaved(), build(fields, "")},
		} {
			if string(c.got.JSON) != c.want+rest || c.got.MetaEnd != len(c.want) {
				t.Errorf("got %s with the metadata up to %d, want %s up to %d", c.got.JSON, c.got.MetaEnd, c.want+rest, len(c.want))
			}
		}
	})
}

// FuzzNewDraft gives it any bytes: valid JSON must stay valid.
func FuzzNewDraft(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","resourceVersion":"1"}}`))
	f.Add([]byte(`{"metadata":{"a":{"resourceVersion":"1"},"b":[{}]},"resourceVersion":"1"}`))
	f.Add([]byte(`{"metadata":{"a":"\`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var compact bytes.Buffer
		if json.Compact(&compact, text) == nil {
			text = compact.Bytes()
		}
		d, ok := store.NewDraft(&store.Item{JSON: text, MetaEnd: len(text)})
		if !ok || !json.Valid(text) {
			return
		}
		for _, got := range []*store.Item{d.At(12), d.Unsaved()} {
			if !json.Valid(got.JSON) {
				t.Errorf("%s became %s", text, got.JSON)
			}
		}
	})
}
