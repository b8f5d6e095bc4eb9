package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
	"github.com/gatehouse/gatehouse/store/storetest"
)

// gatedKV counts reads and holds them back until the gate is open. It then gives an answer that etcd gave before: the goroutines of
// a real server cannot take part in synctest's time.
type gatedKV struct {
	clientv3.KV
	answer *clientv3.GetResponse
	reads  atomic.Int64
	gate   chan struct{}
}

// Get implements clientv3.KV.
func (g *gatedKV) Get(ctx context.Context, _ string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	g.reads.Add(1)
	select {
	case <-g.gate:
		return g.answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// gatedMirror is a mirror that has come up to etcd, the client it uses, and what to give this client instead of etcd.
func gatedMirror(t *testing.T) (*clientv3.Client, *store.Mirror, *gatedKV) {
	t.Helper()
	client := startEmbedded(t).Client()
	mirror, _ := newMirror(store.NewEtcd(client, prefix))
	run(t, mirror)
	answer, err := client.Get(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return client, mirror, &gatedKV{answer: answer}
}

func TestFreshSharesChecks(t *testing.T) {
	client, mirror, gated := gatedMirror(t)
	synctest.Test(t, func(t *testing.T) {
		gated.gate = make(chan struct{}) // of the bubble
		client.KV = gated
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := mirror.Fresh(ctx)
			gaveUp <- err
		}()
		synctest.Wait() // the first check is under way
		var group sync.WaitGroup
		var failed atomic.Int64
		for range 100 {
			group.Go(func() {
				if _, err := mirror.Fresh(t.Context()); err != nil {
					failed.Add(1)
				}
			})
		}
		synctest.Wait() // all of them wait for the second
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		if got := gated.reads.Load(); got != 1 {
			t.Errorf("%d checks while the first is under way", got)
		}
		close(gated.gate)
		group.Wait()
		if got := gated.reads.Load(); got != 2 || failed.Load() != 0 {
			t.Errorf("%d checks for 101 readers, want 2; %d failed", got, failed.Load())
		}
	})
}

func TestWithinAsksOnlyAfterTheLag(t *testing.T) {
	client, mirror, gated := gatedMirror(t)
	synctest.Test(t, func(t *testing.T) {
		gated.gate = make(chan struct{}) // of the bubble
		close(gated.gate)
		client.KV = gated
		for i, step := range []struct {
			pause time.Duration
			reads int64
		}{{0, 1}, {0, 1}, {time.Second, 1}, {time.Nanosecond, 2}, {time.Second, 2}, {time.Minute, 3}} {
			time.Sleep(step.pause)
			if err := mirror.Within(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			if got := gated.reads.Load(); got != step.reads {
				t.Errorf("step %d: etcd was asked %d times, want %d", i, got, step.reads)
			}
		}
	})
}

func TestFreshEndsWhereEtcdDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientv3.NewCtxClient(t.Context())
		client.KV = &gatedKV{gate: make(chan struct{})}
		mirror, _ := newMirror(store.NewEtcd(client, prefix))
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				// The second round only begins when the first has timed out.
				if _, err := mirror.Fresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
				}
			})
		}
		group.Wait()
	})
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mirror, _ := newMirror(nilEtcd())
		for _, revision := range []int64{0, 1, 1 << 60} {
			// Before the first load even revision 0 is in the future: an empty cache is not an old state.
			if err := mirror.WaitFor(t.Context(), revision); !errors.Is(err, store.ErrFuture) {
				t.Errorf("revision %d: error %v, want %v", revision, err, store.ErrFuture)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := mirror.WaitFor(ctx, revision); !errors.Is(err, context.Canceled) {
				t.Errorf("revision %d: error %v, want %v", revision, err, context.Canceled)
			}
		}
	})
}

func TestEmbeddedRestart(t *testing.T) {
	dir := t.TempDir()
	var before string
	var last int64
	for round := range 3 {
		server, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, UnsafeNoFsync: true})
		if err != nil {
			t.Fatal(err)
		}
		etcd := store.NewEtcd(server.Client(), prefix)
		mirror, cache := newMirror(etcd)
		stop := run(t, mirror)
		if got := content(cache.Snapshot()); got != before {
			t.Errorf("round %d: loaded %s, want %s", round, got, before)
		}
		revision := create(t, etcd, fmt.Sprint(round), "")
		if revision <= last {
			t.Errorf("revision %d after %d: a restart must not go back", revision, last)
		}
		last = fresh(t, mirror)
		before = content(cache.Snapshot())
		// The server goes first, as it does when it fails: the mirror must survive that and end when it is told to.
		server.Close()
		if _, err := mirror.Fresh(t.Context()); err == nil {
			t.Error("a read was fresh without etcd")
		}
		stop()
	}
}

func TestExternalRestart(t *testing.T) {
	t.Parallel() // etcd takes its time to stop
	external := storetest.StartExternal(t)
	etcd := store.NewEtcd(external.Client(), prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	_, watcher := cache.WatchFromNow()
	want := []int64{create(t, etcd, "before", "")}
	external.Stop()
	external.Start()
	// By another client, which is likely to be back before the mirror's.
	want = append(want, create(t, store.NewEtcd(external.Client(), prefix), "after", ""))
	fresh(t, mirror)
	events, _, err := watcher.Poll(make([]*store.Event, 0, 9))
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, e := range events {
		got = append(got, e.Item.Revision)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events over a restart (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stored(t, etcd), content(cache.Snapshot())); diff != "" {
		t.Errorf("(-etcd +cache):\n%s", diff)
	}
}

func TestEtcdIsReplacedByAnOlderState(t *testing.T) {
	t.Parallel()
	external := storetest.StartExternal(t)
	etcd := store.NewEtcd(external.Client(), prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	for i := range 10 {
		create(t, etcd, fmt.Sprint(i), "")
	}
	old := fresh(t, mirror)
	_, watcher := cache.WatchFromNow()
	_, changed, err := watcher.Poll(make([]*store.Event, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	external.Stop()
	external.Wipe()
	external.Start()
	now := create(t, etcd, "new", "")
	if _, err := mirror.Fresh(t.Context()); err == nil {
		t.Fatalf("a read was fresh at a revision of the old store")
	}
	<-changed
	if _, _, err := watcher.Poll(make([]*store.Event, 0, 1)); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("the watcher of the old store got %v", err)
	}
	if err := mirror.WaitFor(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if revision := fresh(t, mirror); revision >= old {
		t.Fatalf("revision %d: the test has not made the store go back from %d", revision, old)
	}
	if diff := cmp.Diff(stored(t, etcd), content(cache.Snapshot())); diff != "" {
		t.Errorf("(-etcd +cache):\n%s", diff)
	}
}

func TestChangesAreLargerThanOneMessage(t *testing.T) {
	t.Parallel()
	external := storetest.StartExternal(t)
	o := external.Options()
	conf, err := transport.TLSInfo{CertFile: o.CertFile, KeyFile: o.KeyFile, TrustedCAFile: o.CAFile}.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	// The bound of Dial would take hundreds of megabytes to reach.
	client, err := clientv3.New(clientv3.Config{Endpoints: o.Servers, TLS: conf, Logger: zap.NewNop(), MaxCallRecvMsgSize: 3 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	stop := run(t, mirror)
	stop()
	for i := range 8 {
		create(t, etcd, fmt.Sprint(i), strings.Repeat("x", 1<<20))
	}
	run(t, mirror)
	fresh(t, mirror)
	if cache.Len() != 8 {
		t.Errorf("%d objects after catching up, want 8", cache.Len())
	}
	loaded, cache := newMirror(etcd)
	run(t, loaded)
	if cache.Len() != 8 {
		t.Errorf("%d objects after loading, want 8", cache.Len())
	}
}

// faultyKV fails writes, before or after they happened.
type faultyKV struct {
	clientv3.KV
	fault fault
}

type fault int

const (
	none fault = iota
	failedNotPersisted
	failedButPersisted
)

var errInjected = errors.New("injected")

// Txn implements clientv3.KV.
func (f *faultyKV) Txn(ctx context.Context) clientv3.Txn {
	return faultyTxn{f.KV.Txn(ctx), f.fault}
}

type faultyTxn struct {
	clientv3.Txn
	fault fault
}

// If, Then and Else implement clientv3.Txn.
func (f faultyTxn) If(c ...clientv3.Cmp) clientv3.Txn { return faultyTxn{f.Txn.If(c...), f.fault} }

// Then implements clientv3.Txn.
func (f faultyTxn) Then(o ...clientv3.Op) clientv3.Txn { return faultyTxn{f.Txn.Then(o...), f.fault} }

// Else implements clientv3.Txn.
func (f faultyTxn) Else(o ...clientv3.Op) clientv3.Txn { return faultyTxn{f.Txn.Else(o...), f.fault} }

// Commit implements clientv3.Txn.
func (f faultyTxn) Commit() (*clientv3.TxnResponse, error) {
	if f.fault == failedNotPersisted {
		return nil, errInjected
	}
	resp, err := f.Txn.Commit()
	if f.fault == failedButPersisted && err == nil {
		return nil, errInjected
	}
	return resp, err
}

func TestCacheConvergesAfterFailedWrites(t *testing.T) {
	client := startEmbedded(t).Client()
	faulty := &faultyKV{KV: client.KV}
	client.KV = faulty
	etcd := store.NewEtcd(client, prefix)
	mirror, cache := newMirror(etcd)
	run(t, mirror)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		name := fmt.Sprint(rnd.IntN(4))
		k, value := key(name), object{Metadata: metadata{Name: name}, Data: fmt.Sprint(rnd.Int())}.value(t)
		d := draft(t, k, value)
		faulty.fault = fault(rnd.IntN(3))
		before := stored(t, etcd)
		var err error
		switch now := cache.Get(k); {
		case now == nil:
			cache.Announce(d)
			_, err = etcd.Create(t.Context(), k, value, 0)
		case rnd.IntN(3) == 0:
			_, _, err = etcd.Delete(t.Context(), k, now.Revision)
		default:
			cache.Announce(d)
			_, _, err = etcd.Update(t.Context(), k, value, now.Revision, 0)
		}
		if err != nil {
			cache.Retract(d)
		}
		if faulty.fault != none && !errors.Is(err, errInjected) || faulty.fault == none && err != nil {
			t.Fatalf("fault %d: error %v", faulty.fault, err)
		}
		fresh(t, mirror)
		truth := stored(t, etcd)
		if (truth == before) != (faulty.fault == failedNotPersisted) {
			t.Fatalf("fault %d: etcd went from %s to %s", faulty.fault, before, truth)
		}
		if diff := cmp.Diff(truth, content(cache.Snapshot())); diff != "" {
			t.Fatalf("(-etcd +cache):\n%s", diff)
		}
		if item := cache.Get(k); strings.Contains(truth, k+"@") {
			want, _ := codec(k, item.Value, item.Revision)
			if diff := diffItems(want, item); diff != "" {
				t.Fatalf("item (-want +got):\n%s", diff)
			}
		}
	}
}

// countingLease counts the leases that are granted.
type countingLease struct {
	clientv3.Lease
	grants atomic.Int64
}

// Grant implements clientv3.Lease.
func (c *countingLease) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	c.grants.Add(1)
	return c.Lease.Grant(ctx, ttl)
}
