// Package storetest states what package store promises of etcd, as tests to run on every way of reaching one, and starts
// an external etcd for them.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse/gatehouse/store"
)

// Prefix is the part of the key space that the suite writes to, below a part for each test.
const Prefix = "/storetest"

// Run runs the suite. start returns a client of an etcd that the test may fill and compact; it may be the same etcd each time.
func Run(t *testing.T, start func(t *testing.T) *clientv3.Client) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"create stores once and returns the revision of the write", (*suite).create},
		{"create depends on what was seen", (*suite).createSeen},
		{"update happens only at the expected revision and returns what is there", (*suite).update},
		{"delete happens only at the expected revision and returns what is there", (*suite).remove},
		{"revision zero never matches, not even a missing key", (*suite).revisionZero},
		{"ranges are in key order, cut by limits and repeatable at a revision", (*suite).ranges},
		{"a range ends where its prefix does", (*suite).prefixEnds},
		{"a compacted revision is too old and a future one is said to be", (*suite).compacted},
		{"a value over the limit is too large and changes nothing", (*suite).tooLarge},
		{"a key with a ttl is deleted by etcd unless it is updated to have none", (*suite).ttl},
		{"a lease that etcd has lost is replaced", (*suite).lostLease},
		{"one of several concurrent updates wins and reads see it", (*suite).concurrent},
		{"an ended context ends every operation", (*suite).cancelled},
		{"a mirror sees every change once and in order", (*suite).watchOrder},
		{"a transaction over many keys is one step to readers", (*suite).transaction},
		{"progress is known where only other keys change", (*suite).progress},
		{"compactors take turns and keep an interval", (*suite).compactors},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := start(t)
			prefix := fmt.Sprintf("%s/%d", Prefix, time.Now().UnixNano())
			c.run(&suite{T: t, client: client, etcd: store.NewEtcd(client, prefix), prefix: prefix})
		})
	}
}

type suite struct {
	*testing.T
	client *clientv3.Client
	etcd   *store.Etcd
	prefix string
}

func (s *suite) key(name string) string { return s.prefix + "/things/" + name }

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantErr(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("got error %v, want %v", err, want)
	}
}

func (s *suite) mustCreate(name, value string) int64 {
	s.Helper()
	revision, err := s.etcd.Create(s.Context(), s.key(name), []byte(value), 0)
	s.must(err)
	return revision
}

// wantKV compares what Get returns; revision 0 means that there must be nothing.
func (s *suite) wantKV(name, value string, revision int64) {
	s.Helper()
	kv, found, at, err := s.etcd.Get(s.Context(), s.key(name))
	s.must(err)
	if found != (revision > 0) || at < revision {
		s.Fatalf("get %s: found %t at %d, want revision %d", name, found, at, revision)
	}
	want := store.KV{}
	if found {
		want = store.KV{Key: s.key(name), Value: []byte(value), Revision: revision}
	}
	if diff := cmp.Diff(want, kv); diff != "" {
		s.Fatalf("get %s (-want +got):\n%s", name, diff)
	}
}

func (s *suite) create() {
	s.wantKV("a", "", 0)
	first := s.mustCreate("a", "1")
	s.wantKV("a", "1", first)
	_, err := s.etcd.Create(s.Context(), s.key("a"), []byte("2"), 0)
	s.wantErr(err, store.ErrExists)
	s.wantKV("a", "1", first)
	if second := s.mustCreate("b", "1"); second <= first {
		s.Errorf("revision %d after %d", second, first)
	}
}

// createSeen: a create that relies on another key comes before all changes of that key, or not at all.
func (s *suite) createSeen() {
	ctx := s.Context()
	create := func(name string, seen ...store.Seen) error {
		_, err := s.etcd.Create(ctx, s.key(name), []byte("1"), 0, seen...)
		return err
	}
	first := s.mustCreate("a", "1")
	s.must(create("b", store.Seen{Key: s.key("a"), Revision: first}))
	second, _, err := s.etcd.Update(ctx, s.key("a"), []byte("2"), first, 0)
	s.must(err)
	s.wantErr(create("c", store.Seen{Key: s.key("a"), Revision: first}), store.ErrStale)
	s.wantKV("c", "", 0)
	s.wantErr(create("b", store.Seen{Key: s.key("a"), Revision: first}), store.ErrExists)
	_, _, err = s.etcd.Delete(ctx, s.key("a"), second)
	s.must(err)
	s.wantErr(create("c", store.Seen{Key: s.key("a"), Revision: second}), store.ErrStale)
	s.wantErr(create("c", store.Seen{Key: s.key("none"), Revision: second}), store.ErrStale)
	s.wantKV("c", "", 0)
}

func (s *suite) update() {
	ctx := s.Context()
	first := s.mustCreate("a", "1")
	second, _, err := s.etcd.Update(ctx, s.key("a"), []byte("2"), first, 0)
	s.must(err)
	if second <= first {
		s.Errorf("revision %d after %d", second, first)
	}
	_, now, err := s.etcd.Update(ctx, s.key("a"), []byte("3"), first, 0)
	s.wantErr(err, store.ErrConflict)
	if diff := cmp.Diff(store.KV{Key: s.key("a"), Value: []byte("2"), Revision: second}, now); diff != "" {
		s.Errorf("current state (-want +got):\n%s", diff)
	}
	_, now, err = s.etcd.Update(ctx, s.key("none"), []byte("3"), first, 0)
	s.wantErr(err, store.ErrConflict)
	if now.Revision != 0 {
		s.Errorf("a missing key has the state %v", now)
	}
	s.wantKV("a", "2", second)
	s.wantKV("none", "", 0)
}

func (s *suite) remove() {
	ctx := s.Context()
	first := s.mustCreate("a", "1")
	_, now, err := s.etcd.Delete(ctx, s.key("a"), first+1)
	s.wantErr(err, store.ErrConflict)
	if diff := cmp.Diff(store.KV{Key: s.key("a"), Value: []byte("1"), Revision: first}, now); diff != "" {
		s.Errorf("current state (-want +got):\n%s", diff)
	}
	s.wantKV("a", "1", first)
	gone, _, err := s.etcd.Delete(ctx, s.key("a"), first)
	s.must(err)
	if gone <= first {
		s.Errorf("revision %d after %d", gone, first)
	}
	s.wantKV("a", "", 0)
	_, now, err = s.etcd.Delete(ctx, s.key("a"), first)
	s.wantErr(err, store.ErrConflict)
	if now.Revision != 0 {
		s.Errorf("a missing key has the state %v", now)
	}
	if again := s.mustCreate("a", "2"); again <= gone {
		s.Errorf("revision %d after %d", again, gone)
	}
}

func (s *suite) revisionZero() {
	_, _, err := s.etcd.Update(s.Context(), s.key("a"), []byte("1"), 0, 0)
	s.wantErr(err, store.ErrConflict)
	_, _, err = s.etcd.Delete(s.Context(), s.key("a"), 0)
	s.wantErr(err, store.ErrConflict)
	s.wantKV("a", "", 0)
}

func (s *suite) tooLarge() {
	// Between the bound of etcd and that of gRPC, and beyond both.
	for _, size := range []int{1700 << 10, 8 << 20} {
		_, err := s.etcd.Create(s.Context(), s.key("a"), make([]byte, size), 0)
		s.wantErr(err, store.ErrTooLarge)
		s.wantKV("a", "", 0)
	}
}

func (s *suite) concurrent() {
	const writers, rounds = 8, 5
	revision := s.mustCreate("a", "start")
	for round := range rounds {
		var wins sync.Map
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				value := fmt.Sprintf("%d-%d", round, w)
				next, now, err := s.etcd.Update(s.Context(), s.key("a"), []byte(value), revision, 0)
				if err == nil {
					wins.Store(value, next)
				} else if !errors.Is(err, store.ErrConflict) || now.Revision <= revision {
					s.Errorf("a loser got %v and the state of %d", err, now.Revision)
				}
			})
		}
		group.Wait()
		won := 0
		wins.Range(func(value, next any) bool {
			won++
			revision = next.(int64)
			s.wantKV("a", value.(string), revision)
			return true
		})
		if won != 1 {
			s.Fatalf("%d writers won", won)
		}
		if at, err := s.etcd.Revision(s.Context()); err != nil || at < revision {
			s.Fatalf("revision %d, error %v after a write at %d", at, err, revision)
		}
	}
}

func (s *suite) cancelled() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	for name, run := range map[string]func() error{
		"get":      func() error { _, _, _, err := s.etcd.Get(ctx, s.key("a")); return err },
		"revision": func() error { _, err := s.etcd.Revision(ctx); return err },
		"range":    func() error { _, _, _, err := s.etcd.Range(ctx, s.prefix, "", 0, 0); return err },
		"create":   func() error { _, err := s.etcd.Create(ctx, s.key("a"), nil, time.Hour); return err },
		"update":   func() error { _, _, err := s.etcd.Update(ctx, s.key("a"), nil, 1, 0); return err },
		"delete":   func() error { _, _, err := s.etcd.Delete(ctx, s.key("a"), 1); return err },
	} {
		if err := run(); !errors.Is(err, context.Canceled) {
			s.Errorf("%s: got %v, want a cancellation", name, err)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
