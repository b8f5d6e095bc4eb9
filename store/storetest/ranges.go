package storetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse/gatehouse/store"
)

func names(kvs []store.KV) string {
	out := ""
	for _, kv := range kvs {
		out += fmt.Sprintf("%s=%s ", kv.Key[len(kv.Key)-1:], kv.Value)
	}
	return out
}

func (s *suite) ranges() {
	ctx := s.Context()
	for _, name := range []string{"c", "a", "b"} {
		s.mustCreate(name, "1")
	}
	before, err := s.etcd.Revision(ctx)
	s.must(err)
	s.mustCreate("d", "1")
	kv, _, _, err := s.etcd.Get(ctx, s.key("a"))
	s.must(err)
	after, _, err := s.etcd.Update(ctx, s.key("a"), []byte("2"), kv.Revision, 0)
	s.must(err)
	for _, c := range []struct {
		start           string
		limit, revision int64
		want            string
		more            bool
		at              int64
	}{
		{"", 0, 0, "a=2 b=1 c=1 d=1 ", false, after},
		{"", 2, 0, "a=2 b=1 ", true, after},
		{"", 4, 0, "a=2 b=1 c=1 d=1 ", false, after},
		{s.key("b"), 1, 0, "b=1 ", true, after},
		{s.key("b") + "\x00", 0, 0, "c=1 d=1 ", false, after},
		{s.key("z"), 0, 0, "", false, after},
		{s.prefix + "/zzz", 0, 0, "", false, after},
		{"", 0, before, "a=1 b=1 c=1 ", false, before},
		{s.key("b"), 1, before, "b=1 ", true, before},
	} {
		kvs, more, at, err := s.etcd.Range(ctx, s.key(""), c.start, c.limit, c.revision)
		s.must(err)
		if got := names(kvs); got != c.want || more != c.more || at < c.at || (c.revision > 0 && at != c.at) {
			s.Errorf("range from %q limit %d at %d: %s more %t at %d, want %s more %t at %d",
				c.start, c.limit, c.revision, got, more, at, c.want, c.more, c.at)
		}
	}
}

func (s *suite) prefixEnds() {
	s.mustCreate("x", "1")
	_, err := s.etcd.Create(s.Context(), s.prefix+"/things2/y", []byte("1"), 0)
	s.must(err)
	kvs, _, _, err := s.etcd.Range(s.Context(), s.key(""), "", 0, 0)
	s.must(err)
	if diff := cmp.Diff("x=1 ", names(kvs)); diff != "" {
		s.Errorf("(-want +got):\n%s", diff)
	}
}

func (s *suite) compacted() {
	ctx := s.Context()
	first := s.mustCreate("a", "1")
	second := s.mustCreate("b", "1")
	_, err := s.client.Compact(ctx, second)
	s.must(err)
	_, _, _, err = s.etcd.Range(ctx, s.key(""), "", 0, first)
	s.wantErr(err, store.ErrCompacted)
	kvs, _, _, err := s.etcd.Range(ctx, s.key(""), "", 0, second)
	s.must(err)
	if names(kvs) != "a=1 b=1 " {
		s.Errorf("at the compacted revision: %s", names(kvs))
	}
	_, _, _, err = s.etcd.Range(ctx, s.key(""), "", 0, second+1_000_000)
	s.wantErr(err, store.ErrFuture)
}

func (s *suite) ttl() {
	ctx := s.Context()
	watch := s.client.Watch(ctx, s.key(""), clientv3.WithPrefix())
	const ttl = 2 * time.Second
	for _, name := range []string{"a", "b"} {
		_, err := s.etcd.Create(ctx, s.key(name), []byte("1"), ttl)
		s.must(err)
	}
	revision := s.mustCreate("stays", "1")
	kept, err := s.etcd.Create(ctx, s.key("kept"), []byte("1"), ttl)
	s.must(err)
	kept, _, err = s.etcd.Update(ctx, s.key("kept"), []byte("2"), kept, 0)
	s.must(err)
	gone := map[string]int64{}
	for len(gone) < 2 {
		for _, ev := range (<-watch).Events {
			if ev.Type == clientv3.EventTypeDelete {
				gone[string(ev.Kv.Key)] = ev.Kv.ModRevision
			}
		}
	}
	if gone[s.key("a")] == 0 || gone[s.key("b")] == 0 {
		s.Errorf("expired: %v", gone)
	}
	s.wantKV("stays", "1", revision)
	s.wantKV("kept", "2", kept)
}

func (s *suite) lostLease() {
	ctx := s.Context()
	_, err := s.etcd.Create(ctx, s.key("a"), []byte("1"), time.Hour)
	s.must(err)
	got, err := s.client.Get(ctx, s.key("a"))
	s.must(err)
	lease := got.Kvs[0].Lease
	if lease == 0 {
		s.Fatal("the key has no lease")
	}
	second, err := s.etcd.Create(ctx, s.key("b"), []byte("1"), time.Hour)
	s.must(err)
	if got, err = s.client.Get(ctx, s.key("b")); err != nil || got.Kvs[0].Lease != lease {
		s.Fatalf("the second key has not the first one's lease: %v, error %v", got, err)
	}
	_, err = s.client.Revoke(ctx, clientv3.LeaseID(lease))
	s.must(err)
	s.wantKV("b", "", 0)
	third, err := s.etcd.Create(ctx, s.key("b"), []byte("2"), time.Hour)
	s.must(err)
	if third <= second {
		s.Errorf("revision %d after %d", third, second)
	}
	s.wantKV("b", "2", third)
}

func (s *suite) compactors() {
	ctx := s.Context()
	_, err := s.client.Delete(ctx, "compact_rev_key") // of the tests before
	s.must(err)
	a, b := store.NewCompactor(s.etcd), store.NewCompactor(s.etcd)
	turn := func(c *store.Compactor) int64 {
		s.Helper()
		revision, err := c.Turn(ctx)
		s.must(err)
		return revision
	}
	if got := turn(a); got != 0 {
		s.Fatalf("the first turn compacted to %d: nothing is an interval old", got)
	}
	if got := turn(b); got != 0 {
		s.Fatalf("a second server compacted to %d in its first turn", got)
	}
	old := s.mustCreate("a", "1")
	if got := turn(a); got == 0 || got >= old {
		s.Fatalf("compacted to %d, want below %d, which is younger than the last turn", got, old)
	}
	if _, _, _, err = s.etcd.Range(ctx, s.key(""), "", 0, old); err != nil {
		s.Fatalf("a revision of this interval: %v", err)
	}
	if got := turn(b); got != 0 {
		s.Fatalf("two servers compacted in one interval, the second to %d", got)
	}
	s.mustCreate("b", "1")
	// a is gone; b takes over after it has seen an interval without a.
	if got := turn(b); got <= old {
		s.Fatalf("compacted to %d, want above %d", got, old)
	}
	_, _, _, err = s.etcd.Range(ctx, s.key(""), "", 0, old)
	s.wantErr(err, store.ErrCompacted)
	got, err := s.client.Get(ctx, "compact_rev_key")
	s.must(err)
	if len(got.Kvs) != 1 || got.Kvs[0].Version != 3 {
		s.Errorf("the key that kube-apiserver looks at: %v", got.Kvs)
	}
}
