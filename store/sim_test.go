package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse/gatehouse/store"
)

// model is what the store must hold after each revision. Its writer is the only one of the store.
type model struct {
	state  map[string]int64 // key to the revision of its last change
	states []modelState     // by revision
	events []string         // type, key and revision of each change
	at     []int64          // the revision of each of events
}

type modelState struct {
	revision int64
	content  string
}

func (m *model) record(revision int64, changes map[string]bool) {
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range changes {
			if !yield(k) {
				return
			}
		}
	}) {
		kind := store.Modified
		if _, had := m.state[k]; !had {
			kind = store.Added
		}
		if changes[k] {
			m.state[k] = revision
		} else {
			kind = store.Deleted
			delete(m.state, k)
		}
		m.events, m.at = append(m.events, fmt.Sprintf("%d %s@%d", kind, k, revision)), append(m.at, revision)
	}
	var keys []string
	for k := range m.state {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s@%d ", k, m.state[k])
	}
	m.states = append(m.states, modelState{revision, b.String()})
}

// content is the state at a revision.
func (m *model) content(revision int64) string {
	i, _ := slices.BinarySearchFunc(m.states, revision+1, func(s modelState, r int64) int { return int(s.revision - r) })
	if i == 0 {
		return ""
	}
	return m.states[i-1].content
}

// after lists the changes past a revision.
func (m *model) after(revision int64) []string {
	i, _ := slices.BinarySearch(m.at, revision+1)
	return m.events[i:]
}

// step does one random change: of one key through the store with or without a draft, of several keys in a transaction, or of a
// key that no cache holds.
func (m *model) step(t *testing.T, rnd *rand.Rand, client *clientv3.Client, etcd *store.Etcd, cache *store.Cache) {
	name := fmt.Sprintf("k%02d", rnd.IntN(20))
	k, value := key(name), object{Metadata: metadata{Name: name}, Data: fmt.Sprint(rnd.Int())}.value(t)
	revision, has := m.state[k]
	var err error
	switch rnd.IntN(6) {
	case 0:
		resp, err := client.Put(t.Context(), prefix+"-elsewhere", "1")
		if err != nil {
			t.Fatal(err)
		}
		m.record(resp.Header.Revision, nil)
		return
	case 1:
		m.transaction(t, rnd, client)
		return
	case 2, 3:
		if has {
			revision, _, err = etcd.Delete(t.Context(), k, revision)
			break
		}
		fallthrough
	default:
		if rnd.IntN(2) == 0 {
			cache.Announce(draft(t, k, value))
		}
		if has {
			revision, _, err = etcd.Update(t.Context(), k, value, revision, 0)
		} else {
			revision, err = etcd.Create(t.Context(), k, value, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		m.record(revision, map[string]bool{k: true})
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.record(revision, map[string]bool{k: false})
}

func (m *model) transaction(t *testing.T, rnd *rand.Rand, client *clientv3.Client) {
	changes := map[string]bool{}
	var ops []clientv3.Op
	for i := range 8 {
		name := fmt.Sprintf("k%02d", 2*i+rnd.IntN(2))
		k := key(name)
		if _, has := m.state[k]; has && rnd.IntN(2) == 0 {
			changes[k] = false
			ops = append(ops, clientv3.OpDelete(k))
			continue
		}
		changes[k] = true
		ops = append(ops, clientv3.OpPut(k, string(object{Metadata: metadata{Name: name}}.value(t))))
	}
	resp, err := client.Txn(t.Context()).Then(ops...).Commit()
	if err != nil {
		t.Fatal(err)
	}
	m.record(resp.Header.Revision, changes)
}

// sighting is a snapshot as a reader saw it while the store was being written.
type sighting struct {
	snapshot store.Snapshot
	revision int64
	content  string
}

func TestSimulation(t *testing.T) {
	const steps, readers = 400, 4
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	m := &model{state: map[string]int64{}}
	for range 30 {
		m.step(t, rnd, client, etcd, cacheOfNothing())
	}
	loaded := m.states[len(m.states)-1].revision
	mirror, cache := newMirror(etcd)
	run(t, mirror)

	done := make(chan struct{})
	var group sync.WaitGroup
	sightings := make([][]sighting, readers)
	watches := make([][]watched, readers)
	for r := range readers {
		group.Go(func() { sightings[r] = look(cache, done) })
		group.Go(func() { watches[r] = followMany(t, cache, rand.New(rand.NewPCG(seed, uint64(r+1))), done) })
	}
	for range steps {
		m.step(t, rnd, client, etcd, cache)
		if rnd.IntN(10) == 0 {
			if at := fresh(t, mirror); content(cache.Snapshot()) != m.content(at) {
				t.Fatalf("a fresh read at %d: %s, want %s", at, content(cache.Snapshot()), m.content(at))
			}
		}
	}
	fresh(t, mirror)
	close(done)
	group.Wait()
	checkSightings(t, m, slices.Concat(sightings...))
	checkWatches(t, m, slices.Concat(watches...))
	if _, err := cache.Watch(loaded - 1); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("a watch from before the load: error %v, want %v", err, store.ErrCompacted)
	}
	for _, s := range m.states[len(m.states)/2:] {
		at, err := cache.LoadAt(t.Context(), key(""), s.revision)
		if err != nil || content(at) != s.content || at.Revision != s.revision {
			t.Fatalf("LoadAt %d: %s at %d, error %v, want %s", s.revision, content(at), at.Revision, err, s.content)
		}
	}
}

// cacheOfNothing takes announcements before there is a mirror.
func cacheOfNothing() *store.Cache {
	_, cache := newMirror(nilEtcd())
	return cache
}

func nilEtcd() *store.Etcd { return store.NewEtcd(nil, prefix) }

// look takes snapshots until there is nothing more to come.
func look(cache *store.Cache, done <-chan struct{}) (seen []sighting) {
	for last := int64(-1); ; runtime.Gosched() {
		if s := cache.Snapshot(); s.Revision != last {
			seen = append(seen, sighting{s, s.Revision, content(s)})
			last = s.Revision
		}
		select {
		case <-done:
			return seen
		default:
		}
	}
}

func checkSightings(t *testing.T, m *model, seen []sighting) {
	for _, s := range seen {
		if want := m.content(s.revision); s.content != want {
			t.Fatalf("snapshot at %d: %s, want %s", s.revision, s.content, want)
		}
		if now := content(s.snapshot); now != s.content {
			t.Fatalf("snapshot at %d changed from %s to %s", s.revision, s.content, now)
		}
	}
}

type watched struct {
	from     int64
	events   []string
	complete bool // nothing more came
}

// followMany watches again and again from revisions around those it has seen, each time for some events or until there is
// nothing more to come.
func followMany(t *testing.T, cache *store.Cache, rnd *rand.Rand, done <-chan struct{}) (all []watched) {
	seen := []int64{cache.Snapshot().Revision}
	for {
		from := seen[rnd.IntN(len(seen))] + rnd.Int64N(3)
		watcher, err := cache.Watch(from)
		if err != nil {
			t.Errorf("watch from %d: %v", from, err)
			return all
		}
		if rnd.IntN(3) == 0 {
			var s store.Snapshot
			s, watcher = cache.WatchFromNow()
			from = s.Revision
		}
		w := watched{from: from}
		buf := make([]*store.Event, 0, 1+rnd.IntN(9))
		for n := 1 + rnd.IntN(60); n > 0; n-- {
			events, changed, err := watcher.Poll(buf)
			if err != nil {
				t.Errorf("poll: %v", err)
				return all
			}
			for _, e := range events {
				seen = append(seen, e.Item.Revision)
				w.events = append(w.events, fmt.Sprintf("%d %s@%d", e.Type, e.Item.Key, e.Item.Revision))
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-done:
				w.complete = true
				return append(all, w)
			}
		}
		all = append(all, w)
	}
}

func checkWatches(t *testing.T, m *model, all []watched) {
	total := 0
	for _, w := range all {
		want := m.after(w.from)
		// Keys of one revision come in etcd's order, which the model does not know.
		for i := 0; i < len(w.events) && i < len(want); {
			j := i + 1
			for j < len(want) && after(want[j]) == after(want[i]) {
				j++
			}
			if j > len(w.events) {
				w.events = w.events[:i]
				break
			}
			slices.Sort(w.events[i:j])
			sorted := slices.Clone(want[i:j])
			slices.Sort(sorted)
			if diff := cmp.Diff(sorted, w.events[i:j]); diff != "" {
				t.Fatalf("watch from %d, event %d (-want +got):\n%s", w.from, i, diff)
			}
			i = j
		}
		if len(w.events) > len(want) || w.complete && len(w.events) < len(want) {
			t.Fatalf("watch from %d: %d events (all: %t), there were %d", w.from, len(w.events), w.complete, len(want))
		}
		total += len(w.events)
	}
	if total < len(m.events)/2 {
		t.Errorf("the watchers read only %d events: the test has not tested much", total)
	}
}

// after is the revision of an event's text.
func after(event string) string { return event[strings.LastIndexByte(event, '@'):] }
