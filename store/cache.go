package store

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Bounds of one cache.
const (
	// minEvents and maxEvents bound the history of a cache that watches can start from; between them it
	// grows as long as its oldest event is younger than eventAge.
	minEvents = 128
	maxEvents = 1 << 15
	eventAge  = 75 * time.Second
	// maxPages is how many past snapshots are kept for lists that are read in pages, and pageAge for how long. After that a page is
	// read from etcd as long as etcd has the revision; a list that nobody goes on reading must not be kept for ever.
	maxPages = 16
	pageAge  = 5 * time.Minute
	// maxDrafts bounds the writes announced and not yet seen.
	maxDrafts = 4096
)

// Cache holds the current objects of one resource, ordered by key, and the recent history of their changes. It is
// written by its Mirror only and read by everybody.
//
// Readers work on snapshots. The tree is copy-on-write, so a snapshot costs nothing until the next write, a
// list of any size never holds a lock while it is sent, and all readers share the same bytes. The
// rejected alternative, a map under a read lock with a sorted copy per list, costs each LIST an O(n log n) sort and
// makes writers wait for the slowest reader's copy.
type Cache struct {
	prefix string
	codec  Codec
	mirror *Mirror

	mu       sync.Mutex // guards everything below
	tree     *tree
	revision int64 // of the last event applied or of the initial load
	ring     ring
	epoch    int           // counts reloads; watchers of an older epoch have lost their place
	changed  chan struct{} // closed and replaced when events are appended or the epoch changes
	waiting  bool          // somebody waits for the current changed channel
	pages    []keptPage    // oldest first
	drafts   map[string]*Draft
	latest   atomic.Pointer[Snapshot] // of the current state, or nil; written under mu
}

// Snapshot is the immutable state of a cache at a revision. It comes from a Cache; the zero value is not usable.
type Snapshot struct {
	// Revision at which the state holds: every change up to it is in, none after it.
	Revision int64
	// Read is how many bytes were read from etcd for this snapshot alone; 0 for the shared states of the cache.
	Read int64
	tree *tree
}

// keptPage is a snapshot that is remembered since a time.
type keptPage struct {
	Snapshot
	since time.Time
}

// tree holds items by key. A copy costs nothing, and reading one is safe while the original is changed.
type tree = btree.Map[string, *Item]

func newCache(m *Mirror, prefix string, codec Codec) *Cache {
	return &Cache{
		prefix: prefix, codec: codec, mirror: m, tree: &tree{},
		changed: make(chan struct{}), drafts: map[string]*Draft{},
	}
}

// Prefix is what every key of the cache begins with; it ends with a slash.
func (c *Cache) Prefix() string { return c.prefix }

// Get returns the object under the full key, or nil.
//
// It looks into the tree under the lock rather than taking a snapshot, which would make the next write copy
// the path it changes.
func (c *Cache) Get(key string) *Item {
	if s := c.latest.Load(); s != nil {
		return s.Get(key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	item, _ := c.tree.Get(key)
	return item
}

// Len is the number of objects.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tree.Len()
}

// Snapshot returns the current state.
//
// Its revision is never ahead of its tree, for which the order matters: the mirror changes the tree (and takes latest away) before
// it moves observed, and here observed is read before latest. So a snapshot found in latest was taken after
// every change up to observed. Under the lock, where the tree cannot change, any order does.
func (c *Cache) Snapshot() Snapshot {
	observed := c.mirror.Observed()
	if s := c.latest.Load(); s != nil {
		return Snapshot{Revision: max(s.Revision, observed), tree: s.tree}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshotLocked()
}

func (c *Cache) snapshotLocked() Snapshot {
	if s := c.latest.Load(); s != nil {
		return Snapshot{Revision: max(s.Revision, c.mirror.Observed()), tree: s.tree}
	}
	s := Snapshot{Revision: c.revision, tree: c.tree.Copy()}
	c.latest.Store(&s)
	return Snapshot{Revision: max(s.Revision, c.mirror.Observed()), tree: s.tree}
}

// State identifies what the snapshot holds, whatever its revision: two snapshots of a cache between which no object changed are equal
// in it. It can be compared and tells nothing else.
func (s Snapshot) State() any { return s.tree }

// Len is the number of objects in the snapshot.
func (s Snapshot) Len() int { return s.tree.Len() }

// Get returns the object under the full key, or nil.
func (s Snapshot) Get(key string) *Item {
	item, _ := s.tree.Get(key)
	return item
}

// Ascend calls visit for each item whose key is at least from and begins with prefix, in key order,
// until visit returns false.
func (s Snapshot) Ascend(prefix, from string, visit func(*Item) bool) {
	s.tree.Ascend(max(prefix, from), func(key string, i *Item) bool { return strings.HasPrefix(key, prefix) && visit(i) })
}

// KeepPage remembers the snapshot for five minutes, so that the next page of a list can be read from it by revision. The
// oldest of more than sixteen is forgotten before that.
func (c *Cache) KeepPage(s Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetPagesLocked()
	for _, p := range c.pages {
		if p.Revision == s.Revision {
			return
		}
	}
	if len(c.pages) == maxPages {
		c.pages = append(c.pages[:0], c.pages[1:]...)
	}
	c.pages = append(c.pages, keptPage{s, time.Now()})
}

// forgetPagesLocked drops the snapshots that have been kept for long enough.
func (c *Cache) forgetPagesLocked() {
	oldest := time.Now().Add(-pageAge)
	for len(c.pages) > 0 && c.pages[0].since.Before(oldest) {
		c.pages[0] = keptPage{}
		c.pages = c.pages[1:]
	}
}

// Page returns the state at exactly the revision, if it is remembered or is the current one and etcd has not forgotten the revision.
func (c *Cache) Page(revision int64) (Snapshot, bool) {
	if revision < c.mirror.etcd.compacted.Load() {
		return Snapshot{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetPagesLocked()
	for _, p := range c.pages {
		if p.Revision == revision {
			return p.Snapshot, true
		}
	}
	if s := c.snapshotLocked(); revision >= c.revision && revision <= s.Revision {
		return Snapshot{Revision: revision, tree: s.tree}, true
	}
	return Snapshot{}, false
}

// Decode turns a value read from etcd directly into an item of this cache's resource.
func (c *Cache) Decode(kv KV) *Item {
	item, err := c.codec(kv.Key, kv.Value, kv.Revision)
	if err != nil {
		return &Item{Key: kv.Key, Value: kv.Value, Revision: kv.Revision, Broken: err}
	}
	return item
}

// Announce tells the cache what is about to be written under the draft's key, so that the change need not be
// decoded and encoded again when it comes back. A draft whose value is not the one that arrives is ignored, and so it does
// no harm that a write of unknown outcome happens after its draft was retracted, or that two writers announce one key.
func (c *Cache) Announce(d *Draft) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.drafts) < maxDrafts {
		c.drafts[d.item.Key] = d
	}
}

// Retract forgets an announced draft. Its writer calls it after any error; a successful write's draft is forgotten when it arrives.
func (c *Cache) Retract(d *Draft) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drafts[d.item.Key] == d {
		delete(c.drafts, d.item.Key)
	}
}

// apply adds the changes of one revision and wakes watchers. Only the mirror calls it, so the tree cannot change between
// its two looks at it; the decoding between them happens without the lock.
func (c *Cache) apply(changes []*clientv3.Event, now time.Time) {
	revision := changes[0].Kv.ModRevision
	events := make([]Event, len(changes))
	drafts := make([]*Draft, len(changes))
	c.mu.Lock()
	seen := revision <= c.revision
	for i, ev := range changes {
		key := string(ev.Kv.Key)
		events[i].Prev, _ = c.tree.Get(key)
		drafts[i] = c.drafts[key]
	}
	c.mu.Unlock()
	if seen {
		return // part of the initial load already
	}
	for i, ev := range changes {
		c.complete(&events[i], ev, drafts[i])
		events[i].at = now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision = revision
	c.latest.Store(nil)
	for i := range events {
		c.commitLocked(&events[i])
	}
	c.wakeLocked()
}

// complete fills in what happened: the new state and the type. The item stays nil if nothing did.
func (c *Cache) complete(e *Event, ev *clientv3.Event, draft *Draft) {
	switch {
	case ev.Type == clientv3.EventTypeDelete:
		if e.Type = Deleted; e.Prev != nil {
			e.Item = e.Prev.AtRevision(ev.Kv.ModRevision)
		}
		return
	case draft != nil && bytes.Equal(draft.item.Value, ev.Kv.Value):
		e.Item = draft.At(ev.Kv.ModRevision)
	default:
		e.Item = c.mirror.decode(c, fromProto(ev.Kv))
	}
	e.Type = Modified
	if e.Prev == nil {
		e.Type = Added
	}
}

func (c *Cache) commitLocked(e *Event) {
	switch {
	case e.Item == nil:
		return
	case e.Type == Deleted:
		c.tree.Delete(e.Item.Key)
	default:
		c.tree.Set(e.Item.Key, e.Item)
		if d := c.drafts[e.Item.Key]; d != nil && bytes.Equal(d.item.Value, e.Item.Value) {
			delete(c.drafts, e.Item.Key)
		}
	}
	c.ring.append(e)
}

// reload replaces the whole state. Watchers lose their place: they are told ErrCompacted and start over.
func (c *Cache) reload(items []*Item, revision int64) {
	loaded := &tree{}
	for _, i := range items {
		loaded.Load(i.Key, i)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tree, c.revision, c.ring = loaded, revision, ring{floor: revision}
	c.epoch++
	c.pages = nil
	clear(c.drafts) // the changes they are for may be in the load, and would then never come
	c.latest.Store(nil)
	c.wakeLocked()
}

func (c *Cache) wakeLocked() {
	if c.waiting {
		close(c.changed)
		c.changed = make(chan struct{})
		c.waiting = false
	}
}

// LoadAt reads the objects below prefix as they were at the revision, which is above 0, from etcd. It fails with ErrCompacted if
// etcd has forgotten, and with ErrFuture if it has not got there. Such a state is shared with nobody and as large as what is
// asked for, so only two are read at a time, and the snapshot says how much was read for the caller to charge.
func (c *Cache) LoadAt(ctx context.Context, prefix string, revision int64) (Snapshot, error) {
	select {
	case c.mirror.loads <- struct{}{}:
		defer func() { <-c.mirror.loads }()
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
	loaded := &tree{}
	read := int64(0)
	_, err := c.mirror.etcd.pages(ctx, prefix, revision, func(kv KV) {
		read += int64(len(kv.Value))
		loaded.Load(kv.Key, c.Decode(kv))
	})
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Revision: revision, Read: read, tree: loaded}, nil
}
