package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/store"
)

// benchmarkCache fills a cache with objects of about 5 KB.
func benchmarkCache(b *testing.B, n int) (*store.Mirror, *store.Cache, *store.Etcd) {
	b.Helper()
	etcd := store.NewEtcd(startEmbedded(b).Client(), prefix)
	data := strings.Repeat("x", 5000)
	for i := range n {
		create(b, etcd, fmt.Sprintf("%05d", i), data)
	}
	mirror, cache := newMirror(etcd)
	run(b, mirror)
	return mirror, cache, etcd
}

func BenchmarkCacheGet(b *testing.B) {
	_, cache, _ := benchmarkCache(b, 5000)
	k := key("02500")
	for b.Loop() {
		if cache.Get(k) == nil {
			b.Fatal("not found")
		}
	}
}

func BenchmarkSnapshotAscend5000(b *testing.B) {
	_, cache, _ := benchmarkCache(b, 5000)
	for b.Loop() {
		size := 0
		cache.Snapshot().Ascend(key(""), "", func(i *store.Item) bool {
			size += len(i.JSON)
			return true
		})
		if size == 0 {
			b.Fatal("empty")
		}
	}
}

// BenchmarkApplyWatched is a write and its way to every one of 200 watchers.
func BenchmarkApplyWatched(b *testing.B) {
	for _, watchers := range []int{0, 200} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			_, cache, etcd := benchmarkCache(b, 1)
			k, value := key("00000"), cache.Get(key("00000")).Value
			ctx, cancel := context.WithCancel(b.Context())
			got := make(chan struct{}, watchers)
			for range watchers {
				_, w := cache.WatchFromNow()
				go watchForever(ctx, w, got)
			}
			revision := cache.Get(k).Revision
			for b.Loop() {
				cache.Announce(draft(b, k, value))
				next, _, err := etcd.Update(b.Context(), k, value, revision, 0)
				if err != nil {
					b.Fatal(err)
				}
				revision = next
				for range watchers {
					<-got
				}
			}
			cancel()
		})
	}
}

func watchForever(ctx context.Context, w *store.Watcher, got chan<- struct{}) {
	for buf := make([]*store.Event, 0, 1); ; {
		events, changed, err := w.Poll(buf)
		if err != nil {
			return
		}
		for range events {
			got <- struct{}{}
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func BenchmarkFresh(b *testing.B) {
	for _, readers := range []int{1, 64} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			mirror, _, _ := benchmarkCache(b, 1)
			b.SetParallelism(readers)
			if readers == 1 {
				for b.Loop() {
					fresh(b, mirror)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := mirror.Fresh(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
