package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse/gatehouse/store"
)

// codec keeps the value as an annotation, whatever it is.
func codec(key string, value []byte, revision int64) (*store.Item, error) {
	text, err := json.Marshal(string(value))
	if err != nil {
		return nil, err
	}
	meta := `{"metadata":{"resourceVersion":"` + strconv.FormatInt(revision, 10) + `","annotations":{"value":` + string(text) + `}}`
	return &store.Item{Key: key, Value: value, Revision: revision, JSON: []byte(meta + "}"), MetaEnd: len(meta)}, nil
}

// mirror runs a mirror with one cache until the test ends.
func (s *suite) mirror() (*store.Mirror, *store.Cache) {
	s.Helper()
	m := store.NewMirror(s.etcd, discard())
	cache := m.Register("things", codec)
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	s.Cleanup(func() { cancel(); <-done })
	<-m.Ready()
	return m, cache
}

// read polls until it has n events.
func (s *suite) read(w *store.Watcher, n int) []*store.Event {
	s.Helper()
	var all []*store.Event
	buf := make([]*store.Event, 0, 3) // small, to read in several pieces
	for len(all) < n {
		events, changed, err := w.Poll(buf)
		s.must(err)
		all = append(all, events...)
		if len(events) == 0 {
			<-changed
		}
	}
	return all
}

func (s *suite) watchOrder() {
	ctx := s.Context()
	s.mustCreate("old", "1")
	m, cache := s.mirror()
	snapshot, watcher := cache.WatchFromNow()
	if snapshot.Get(s.key("old")) == nil || snapshot.Len() != 1 {
		s.Fatal("the first load is not complete")
	}
	var want []string
	for i := range 20 {
		name := fmt.Sprintf("k%d", i%3)
		created := s.mustCreate(name, "1")
		updated, _, err := s.etcd.Update(ctx, s.key(name), []byte("2"), created, 0)
		s.must(err)
		deleted, _, err := s.etcd.Delete(ctx, s.key(name), updated)
		s.must(err)
		want = append(want,
			fmt.Sprintf("%d %s %d", store.Added, name, created), fmt.Sprintf("%d %s %d", store.Modified, name, updated),
			fmt.Sprintf("%d %s %d", store.Deleted, name, deleted))
	}
	var got []string
	for _, e := range s.read(watcher, len(want)) {
		got = append(got, fmt.Sprintf("%d %s %d", e.Type, e.Item.Key[len(s.key("")):], e.Item.Revision))
		if (e.Prev == nil) != (e.Type == store.Added) {
			s.Errorf("event %s has the state before %v", got[len(got)-1], e.Prev)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("events (-want +got):\n%s", diff)
	}
	if _, err := m.Fresh(ctx); err != nil || cache.Len() != 1 {
		s.Errorf("%d objects left, error %v", cache.Len(), err)
	}
}

func (s *suite) transaction() {
	_, cache := s.mirror()
	_, watcher := cache.WatchFromNow()
	const n = 20
	var puts, deletes []clientv3.Op
	for i := range n {
		key := s.key(fmt.Sprintf("k%02d", i))
		puts = append(puts, clientv3.OpPut(key, "1"))
		deletes = append(deletes, clientv3.OpDelete(key))
	}
	for _, ops := range [][]clientv3.Op{puts, deletes} {
		resp, err := s.client.Txn(s.Context()).Then(ops...).Commit()
		s.must(err)
		for _, e := range s.read(watcher, n) {
			if e.Item.Revision != resp.Header.Revision {
				s.Errorf("event of revision %d, want %d", e.Item.Revision, resp.Header.Revision)
			}
		}
	}
	if cache.Len() != 0 {
		s.Errorf("%d objects are left of those deleted together", cache.Len())
	}
}

func (s *suite) progress() {
	m, cache := s.mirror()
	for range 3 {
		resp, err := s.client.Put(s.Context(), Prefix+"-elsewhere", "1")
		s.must(err)
		revision, err := m.Fresh(s.Context())
		s.must(err)
		if revision < resp.Header.Revision || cache.Snapshot().Revision < revision {
			s.Errorf("fresh at %d, snapshot at %d after a write at %d", revision, cache.Snapshot().Revision, resp.Header.Revision)
		}
	}
}
