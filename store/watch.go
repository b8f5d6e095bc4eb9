package store

import (
	"fmt"
	"time"
)

// EventType says what happened to an object.
type EventType int

// The kinds of change.
const (
	Added EventType = iota + 1
	Modified
	Deleted
)

// Event is one change. It is shared by all watchers and immutable.
type Event struct {
	Type EventType
	// Item is the object after the change; for Deleted its last state, carrying the revision of the deletion.
	Item *Item
	// Prev is the object before the change, nil for Added. Watches with selectors compare the two.
	Prev *Item
	at   time.Time // when it was applied; bounds the history's age
}

// ring is the bounded history of a cache. Event number n is at n % len(events).
type ring struct {
	events []*Event
	first  uint64 // number of the oldest event kept
	next   uint64 // number the next event will get
	floor  int64  // revision of the newest change that is not kept, or of the load
}

// append adds an event. Events older than eventAge are forgotten down to minEvents, and a full ring grows while its
// bound allows and forgets its oldest otherwise.
func (r *ring) append(e *Event) {
	for r.next-r.first > minEvents && e.at.Sub(r.events[r.first%uint64(len(r.events))].at) >= eventAge {
		r.drop()
	}
	if n := r.next - r.first; n == uint64(len(r.events)) {
		switch {
		case n == 0:
			r.events = make([]*Event, minEvents)
		case n == maxEvents || e.at.Sub(r.events[r.first%n].at) >= eventAge:
			r.drop()
		default:
			grown := make([]*Event, 2*n)
			for i := r.first; i < r.next; i++ {
				grown[i%(2*n)] = r.events[i%n]
			}
			r.events = grown
		}
	}
	r.events[r.next%uint64(len(r.events))] = e
	r.next++
}

// drop forgets the oldest event.
func (r *ring) drop() {
	i := r.first % uint64(len(r.events))
	r.floor = r.events[i].Item.Revision
	r.events[i] = nil
	r.first++
}

// after returns the number of the first event past the revision, and false if events past it have been forgotten.
func (r *ring) after(revision int64) (uint64, bool) {
	if revision < r.floor {
		return 0, false
	}
	n := uint64(len(r.events))
	lo, hi := r.first, r.next
	for lo < hi {
		mid := (lo + hi) / 2
		if r.events[mid%n].Item.Revision > revision {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, true
}

// Watcher reads a cache's changes from one place on. It costs the cache nothing while it is idle and has no buffer
// of its own: a reader that falls behind the history is told so. Use it from one goroutine.
type Watcher struct {
	cache *Cache
	epoch int
	next  uint64
	after int64 // events up to this revision are passed over
}

// Watch starts after the revision, which may be one that the cache has not reached. It fails with ErrCompacted if the
// history no longer reaches back to it.
func (c *Cache) Watch(revision int64) (*Watcher, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, ok := c.ring.after(revision)
	if !ok {
		return nil, fmt.Errorf("watch from %d: %w", revision, ErrCompacted)
	}
	return &Watcher{cache: c, epoch: c.epoch, next: next, after: revision}, nil
}

// WatchFromNow returns the current state together with a watcher of everything after it.
func (c *Cache) WatchFromNow() (Snapshot, *Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshotLocked(), &Watcher{cache: c, epoch: c.epoch, next: c.ring.next}
}

// Drained reports, without waiting, a revision up to which the watcher has seen every event; false while
// there are events to read.
func (w *Watcher) Drained() (int64, bool) {
	observed := w.cache.mirror.Observed()
	w.cache.mu.Lock()
	defer w.cache.mu.Unlock()
	if w.epoch != w.cache.epoch || w.next != w.cache.ring.next {
		return 0, false
	}
	return max(observed, w.cache.revision, w.after), true
}

// Poll returns, without waiting, the events that are there, at most cap(buf) of them (which is above 0) in buf[:0]. Where there
// are none, the channel is closed when that changes; where there are some, it means nothing. It fails with ErrCompacted when the watcher has fallen behind the history or the
// cache was reloaded.
func (w *Watcher) Poll(buf []*Event) ([]*Event, <-chan struct{}, error) {
	buf = buf[:0]
	c := w.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.epoch != c.epoch || w.next < c.ring.first {
		return nil, nil, fmt.Errorf("watch: %w", ErrCompacted)
	}
	n := uint64(len(c.ring.events))
	for w.next < c.ring.next && len(buf) < cap(buf) {
		if e := c.ring.events[w.next%n]; e.Item.Revision > w.after {
			buf = append(buf, e)
		}
		w.next++
	}
	if len(buf) == 0 {
		c.waiting = true
	}
	return buf, c.changed, nil
}
