package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

const prefix = "/registry"

// object is the kind that the tests store.
type object struct {
	Metadata metadata `json:"metadata"`
	Data     string   `json:"data,omitempty"`
}

type metadata struct {
	Name            string            `json:"name,omitempty"`
	Namespace       string            `json:"namespace,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
}

func (o object) value(t testing.TB) []byte {
	t.Helper()
	value, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// codec stores an object as its JSON without resourceVersion.
func codec(key string, value []byte, revision int64) (*store.Item, error) {
	var o object
	if err := json.Unmarshal(value, &o); err != nil {
		return nil, err
	}
	o.Metadata.ResourceVersion = strconv.FormatInt(revision, 10)
	meta, err := json.Marshal(o.Metadata)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return &store.Item{
		Key: key, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Revision: revision, Value: value,
		JSON: text, MetaEnd: len(`{"metadata":`) + len(meta), Labels: o.Metadata.Labels,
	}, nil
}

func key(name string) string { return prefix + "/things/" + name }

func draft(t testing.TB, key string, value []byte) *store.Draft {
	t.Helper()
	item, err := codec(key, value, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := store.NewDraft(item)
	if !ok {
		t.Fatalf("no draft of %s", item.JSON)
	}
	return d
}

func diffItems(want, got *store.Item) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(store.Item{}, "Row"))
}

func startEmbedded(t testing.TB) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// run runs the mirror until the test ends or the returned function is called, and waits for the first load.
func run(t testing.TB, m *store.Mirror) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	<-m.Ready()
	return stop
}

func newMirror(etcd *store.Etcd) (*store.Mirror, *store.Cache) {
	m := store.NewMirror(etcd, slog.New(slog.DiscardHandler))
	return m, m.Register("things", codec)
}

// content is a snapshot as text: each key with its revision.
func content(s store.Snapshot) string {
	var b strings.Builder
	s.Ascend("", "", func(i *store.Item) bool {
		fmt.Fprintf(&b, "%s@%d ", i.Key, i.Revision)
		return true
	})
	return b.String()
}

// stored is what etcd holds, in the form of content.
func stored(t testing.TB, etcd *store.Etcd) string {
	t.Helper()
	kvs, _, _, err := etcd.Range(t.Context(), key(""), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, kv := range kvs {
		fmt.Fprintf(&b, "%s@%d ", kv.Key, kv.Revision)
	}
	return b.String()
}

func fresh(t testing.TB, m *store.Mirror) int64 {
	t.Helper()
	revision, err := m.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func create(t testing.TB, etcd *store.Etcd, name, data string) int64 {
	t.Helper()
	revision, err := etcd.Create(t.Context(), key(name), object{Metadata: metadata{Name: name}, Data: data}.value(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}
