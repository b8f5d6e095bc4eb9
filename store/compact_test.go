package store_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/store"
)

// What a turn does is stated in storetest; here, that two servers take turns and that a mirror survives them, however short the interval.
func TestCompactorRuns(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	old := create(t, etcd, "a", "")

	turns := client.Watch(t.Context(), "compact_rev_key")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			ended <- store.NewCompactor(etcd).Run(ctx, time.Millisecond, slog.New(slog.DiscardHandler))
		}()
	}
	for version := int64(0); version < 10; {
		for _, ev := range (<-turns).Events {
			if ev.Kv.Version != version+1 {
				t.Fatalf("turn %d after %d", ev.Kv.Version, version)
			}
			version = ev.Kv.Version
		}
		create(t, etcd, time.Now().Format(time.RFC3339Nano), "")
	}
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	}
	if _, err := cache.LoadAt(t.Context(), key(""), old); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("the revision %d is still there: error %v", old, err)
	}
	fresh(t, mirror)
	if diff := cmp.Diff(stored(t, etcd), content(cache.Snapshot())); diff != "" {
		t.Errorf("(-etcd +cache):\n%s", diff)
	}
}

// TestPagesEndWithTheirRevision: a token for a page is good until etcd forgets its revision, on whichever server, whether or not this one
// still remembers the page.
func TestPagesEndWithTheirRevision(t *testing.T) {
	etcd := store.NewEtcd(startEmbedded(t).Client(), prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	old := create(t, etcd, "a", "")
	fresh(t, mirror)
	cache.KeepPage(cache.Snapshot())
	compactor := store.NewCompactor(etcd)
	for version := range 3 {
		if _, ok := cache.Page(old); !ok {
			t.Fatalf("the page is gone after %d turns", version)
		}
		create(t, etcd, time.Now().Format(time.RFC3339Nano), "")
		fresh(t, mirror)
		revision, err := compactor.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if revision > old {
			break
		}
	}
	if _, ok := cache.Page(old); ok {
		t.Error("the page outlives its revision")
	}
}
