package store

import (
	"slices"
	"time"
)

// Bounds that tests count up to.
const (
	MinEvents    = minEvents
	MaxEvents    = maxEvents
	EventAge     = eventAge
	MaxPages     = maxPages
	MaxDrafts    = maxDrafts
	MaxLeaseKeys = maxLeaseKeys
)

// Ring is the history of a cache by itself.
type Ring struct{ ring ring }

// NewRing returns the history after a load at the revision.
func NewRing(floor int64) *Ring { return &Ring{ring{floor: floor}} }

// Append adds an event of the revision.
func (r *Ring) Append(revision int64, at time.Time) {
	r.ring.append(&Event{Type: Modified, Item: &Item{Revision: revision}, at: at})
}

// After lists the revisions of the events past the revision, and false if some have been forgotten.
func (r *Ring) After(revision int64) ([]int64, bool) {
	first, ok := r.ring.after(revision)
	if !ok {
		return nil, false
	}
	var revisions []int64
	for i := first; i < r.ring.next; i++ {
		revisions = append(revisions, r.ring.events[i%uint64(len(r.ring.events))].Item.Revision)
	}
	return revisions, true
}

// Len is how many events are kept, and Held how many the memory of the ring refers to.
func (r *Ring) Len() int { return int(r.ring.next - r.ring.first) }

// Held is how many events the ring keeps alive.
func (r *Ring) Held() int {
	return len(r.ring.events) - len(slices.DeleteFunc(slices.Clone(r.ring.events), func(e *Event) bool { return e != nil }))
}
