package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/store"
)

// compactAll makes etcd forget everything but its present state.
func compactAll(t *testing.T, client *clientv3.Client, etcd *store.Etcd) {
	t.Helper()
	// A watch from exactly the compacted revision still works.
	if _, err := client.Put(t.Context(), prefix+"-elsewhere", "1"); err != nil {
		t.Fatal(err)
	}
	revision, err := etcd.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
}

func TestPages(t *testing.T) {
	etcd := store.NewEtcd(startEmbedded(t).Client(), prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	var kept []store.Snapshot
	for i := range store.MaxPages + 2 {
		create(t, etcd, fmt.Sprintf("k%02d", i), "")
		fresh(t, mirror)
		kept = append(kept, cache.Snapshot())
		cache.KeepPage(kept[i])
		cache.KeepPage(kept[i]) // of another list at the same revision: must not push out a second page
	}
	for i, s := range kept {
		page, ok := cache.Page(s.Revision)
		if want := i >= 2; ok != want {
			t.Errorf("page %d is kept: %t, want %t", i, ok, want)
		}
		if ok && (content(page) != content(s) || page.Revision != s.Revision) {
			t.Errorf("page %d: %s at %d, want %s at %d", i, content(page), page.Revision, content(s), s.Revision)
		}
	}
	last := kept[len(kept)-1].Revision
	if _, ok := cache.Page(last + 1); ok {
		t.Error("a page of a revision that has not been reached")
	}
	at, err := cache.LoadAt(t.Context(), key(""), kept[0].Revision)
	if err != nil || content(at) != content(kept[0]) {
		t.Errorf("LoadAt: %s, error %v, want %s", content(at), err, content(kept[0]))
	}
}

func TestPageOfARevisionThatDidNotChangeTheCache(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	first := create(t, etcd, "a", "")
	resp, err := client.Put(t.Context(), prefix+"/others/b", "1")
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, mirror)
	for revision := first; revision <= resp.Header.Revision; revision++ {
		if page, ok := cache.Page(revision); !ok || page.Revision != revision || page.Len() != 1 {
			t.Errorf("the state at %d is known and was not given", revision)
		}
	}
	if _, ok := cache.Page(first - 1); ok {
		t.Errorf("the present state was given as that of %d", first-1)
	}
}

// TestStateOfASnapshot guards what is made of a cache and kept until the cache changes: it must be made again then, and not before.
func TestStateOfASnapshot(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	create(t, etcd, "a", "")
	fresh(t, mirror)
	before := cache.Snapshot().State()
	if _, err := client.Put(t.Context(), prefix+"/others/b", "1"); err != nil {
		t.Fatal(err)
	}
	fresh(t, mirror)
	if cache.Snapshot().State() != before {
		t.Error("another resource changed the state")
	}
	create(t, etcd, "b", "")
	fresh(t, mirror)
	if cache.Snapshot().State() == before {
		t.Error("a new object did not change the state")
	}
}

// decoding counts how often a codec is called.
func decoding(n *atomic.Int64) store.Codec {
	return func(key string, value []byte, revision int64) (*store.Item, error) {
		n.Add(1)
		return codec(key, value, revision)
	}
}

func TestDrafts(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	var decoded atomic.Int64
	mirror := store.NewMirror(etcd, slog.New(slog.DiscardHandler))
	cache := mirror.Register("things", decoding(&decoded))
	stop := run(t, mirror)
	write := func(name, data string, announced ...string) {
		t.Helper()
		for _, a := range announced {
			cache.Announce(draft(t, key(name), object{Metadata: metadata{Name: name}, Data: a}.value(t)))
		}
		revision := create(t, etcd, name, data)
		fresh(t, mirror)
		want, _ := codec(key(name), object{Metadata: metadata{Name: name}, Data: data}.value(t), revision)
		if diff := diffItems(want, cache.Get(key(name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	wantDecoded := func(want int64) {
		t.Helper()
		if got := decoded.Swap(0); got != want {
			t.Errorf("%d values decoded, want %d", got, want)
		}
	}
	write("announced", "1", "1")
	wantDecoded(0)
	write("another writer won", "1", "2")
	wantDecoded(1)
	write("announced last", "2", "1", "2")
	wantDecoded(0)

	retracted := draft(t, key("retracted"), object{Metadata: metadata{Name: "retracted"}}.value(t))
	cache.Announce(retracted)
	cache.Retract(retracted)
	write("retracted", "") // the write happened nevertheless
	wantDecoded(1)

	for i := range store.MaxDrafts + 1 {
		k := key(fmt.Sprintf("never written %d", i))
		cache.Announce(draft(t, k, object{}.value(t)))
	}
	write("beyond the bound", "1", "1")
	wantDecoded(1)

	// Drafts whose change was in a load must not fill the place for good.
	stop()
	create(t, etcd, "unseen", "")
	compactAll(t, client, etcd)
	create(t, etcd, "behind the compaction", "")
	run(t, mirror)
	fresh(t, mirror)
	decoded.Store(0)
	write("after the load", "1", "1")
	wantDecoded(0)
}

func TestBrokenValues(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	if _, err := client.Put(t.Context(), key("loaded"), "{"); err != nil {
		t.Fatal(err)
	}
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	_, watcher := cache.WatchFromNow()
	resp, err := client.Put(t.Context(), key("watched"), "{")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := client.Delete(t.Context(), key("loaded"))
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, mirror)
	item := cache.Get(key("watched"))
	if item == nil || item.Broken == nil || item.Revision != resp.Header.Revision || string(item.Value) != "{" {
		t.Errorf("a broken value in the cache: %v", item)
	}
	events, _, err := watcher.Poll(make([]*store.Event, 0, 9))
	if err != nil || len(events) != 2 || events[1].Type != store.Deleted || events[1].Item.Revision != gone.Header.Revision {
		t.Errorf("events %v, error %v", events, err)
	}
}

func TestWatcherThatFallsBehindIsTold(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	stop := run(t, mirror)
	_, watcher := cache.WatchFromNow()
	buf := make([]*store.Event, 0, 9)
	create(t, etcd, "a", "")
	before := fresh(t, mirror)
	if events, _, err := watcher.Poll(buf); err != nil || len(events) != 1 {
		t.Fatalf("events %v, error %v", events, err)
	}
	_, changed, err := watcher.Poll(buf)
	if err != nil {
		t.Fatal(err)
	}

	stop()
	create(t, etcd, "b", "")
	compactAll(t, client, etcd)
	create(t, etcd, "c", "")
	run(t, mirror)
	<-changed // an idle watcher is woken by the loss
	if _, _, err := watcher.Poll(buf); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("poll: error %v, want %v", err, store.ErrCompacted)
	}
	if _, ok := watcher.Drained(); ok {
		t.Error("a watcher that has lost its place says it has seen everything")
	}
	fresh(t, mirror)
	if _, err := cache.Watch(before); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watch: error %v, want %v", err, store.ErrCompacted)
	}
	if diff := cmp.Diff(stored(t, etcd), content(cache.Snapshot())); diff != "" {
		t.Errorf("after the load (-etcd +cache):\n%s", diff)
	}
}

func TestDrained(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	_, watcher := cache.WatchFromNow()
	at := create(t, etcd, "a", "")
	fresh(t, mirror)
	if revision, ok := watcher.Drained(); ok {
		t.Errorf("drained at %d with an event to read", revision)
	}
	if _, _, err := watcher.Poll(make([]*store.Event, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if revision, ok := watcher.Drained(); !ok || revision < at {
		t.Errorf("drained %t at %d, want %d", ok, revision, at)
	}
	// What others write is seen too, or bookmarks of a quiet resource would grow too old to resume from.
	resp, err := client.Put(t.Context(), prefix+"/others/b", "1")
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, mirror)
	if revision, ok := watcher.Drained(); !ok || revision < resp.Header.Revision {
		t.Errorf("drained %t at %d, want %d", ok, revision, resp.Header.Revision)
	}
}

func TestLoadAtRefuses(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	old := create(t, etcd, "a", "")
	create(t, etcd, "b", "")
	compactAll(t, client, etcd)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name     string
		ctx      context.Context
		revision int64
		want     error
	}{
		{"compacted", t.Context(), old, store.ErrCompacted},
		{"future", t.Context(), old + 1000, store.ErrFuture},
		{"cancelled", cancelled, old + 1, context.Canceled},
	} {
		if _, err := cache.LoadAt(c.ctx, key(""), c.revision); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

// narrowKV refuses reads as gRPC does whose answer is over its bound, a number of times.
type narrowKV struct {
	clientv3.KV
	refuse int
}

// Get implements clientv3.KV.
func (n *narrowKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if n.refuse > 0 {
		n.refuse--
		return nil, status.Error(codes.ResourceExhausted, "grpc: received message larger than max")
	}
	return n.KV.Get(ctx, key, opts...)
}

func TestLongReadsAskForLessWhereAnswersAreTooLarge(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	_, cache := newMirror(etcd)
	var last int64
	for i := range 5 {
		last = create(t, etcd, fmt.Sprint(i), "")
	}
	narrow := &narrowKV{KV: client.KV}
	client.KV = narrow
	for _, c := range []struct {
		refuse int
		want   error
	}{{0, nil}, {3, nil}, {10, nil}, {1000, store.ErrTooLarge}} {
		narrow.refuse = c.refuse
		s, err := cache.LoadAt(t.Context(), key(""), last)
		if !errors.Is(err, c.want) || err == nil && s.Len() != 5 {
			t.Errorf("%d refusals: error %v, want %v and all objects", c.refuse, err, c.want)
		}
	}
}
