package audit

import (
	"context"
	"errors"
	"sync"
)

// entryOverhead is what an entry costs beside the bytes of its event.
const entryOverhead = 256

// errClosed is what adding to a closed log returns.
var errClosed = errors.New("audit: the log is closed")

// entry is one event on its way to the log.
type entry struct {
	event  []byte     // without its chain member
	done   chan error // receives once when the event is durable or was given up; nil if nobody waits
	own    bool       // made by the committer, so it is not in the queue's account
	shared bool       // from the queue's pool, to which it may return, see recycle
}

func (e *entry) cost() int {
	if e.own {
		return 0
	}
	return len(e.event) + entryOverhead
}

// queue hands entries to the committer in the order in which they came. An entry counts against the bound until it is
// durable or given up, so the bound also covers what waits for a disk that does not take it.
type queue struct {
	max  int
	wake chan struct{} // capacity 1: there may be something to take
	done chan struct{} // closed by close
	pool sync.Pool     // of *entry

	mu      sync.Mutex // guards the fields below
	entries []*entry
	bytes   int
	space   chan struct{} // closed when bytes go down; nil if nobody waits
	closed  bool
}

func newQueue(limit int) *queue {
	return &queue{max: limit, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Room for events
//
// Every request has an event of about 1 KiB, a tenth of all memory that a GET allocates, which lives for up to a second: until it is durable, because
// it is written again if a sync fails. So entries are used again, with the room of their events. There is one place where one becomes free: the
// committer has made it durable, and has dropped it from its lists. Before that nobody but the committer holds an entry that was pushed, with
// one exception: who waits for an event to become durable goes on holding its entry, and may give up waiting. Such entries are not used again.
//
// Rejected: room of the exact size, which would be about as much; encoding in the committer, which would hold every request's strings until then and
// do all the encoding in one goroutine.

// maxSpare bounds the room of an entry that is used again, in bytes: events with bodies are rare, and must not hold theirs for ever.
const maxSpare = 4 << 10

// entry returns an entry whose event is empty and has room for size bytes.
func (q *queue) entry(size int) *entry {
	e, ok := q.pool.Get().(*entry)
	if !ok {
		e = &entry{shared: true}
	}
	if cap(e.event) < size {
		e.event = make([]byte, 0, size)
	}
	return e
}

// recycle takes an entry that has become durable and that nothing refers to any more. Those that did not come from the pool, or
// that somebody waited for, are left to the garbage collector.
func (q *queue) recycle(e *entry) {
	if e.shared && e.done == nil && cap(e.event) <= maxSpare {
		e.event = e.event[:0]
		q.pool.Put(e)
	}
}

// push adds an entry and waits while the queue is full. An entry larger than the whole queue is taken when the queue is empty.
func (q *queue) push(ctx context.Context, e *entry) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return errClosed
		}
		if q.bytes == 0 || q.bytes+e.cost() <= q.max {
			q.add(e)
			return nil
		}
		if q.space == nil {
			q.space = make(chan struct{})
		}
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
		case <-q.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// force adds an entry even if the queue is full. It is for the few entries that follow from one that was taken in already.
func (q *queue) force(e *entry) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errClosed
	}
	q.add(e)
	return nil
}

// add is called with mu held and releases it.
func (q *queue) add(e *entry) {
	q.entries = append(q.entries, e)
	q.bytes += e.cost()
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes entries from the front: up to limit bytes, but at least one if there is any.
func (q *queue) take(limit int) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.entries) && (n == 0 || size+q.entries[n].cost() <= limit) {
		size += q.entries[n].cost()
		n++
	}
	batch := q.entries[:n:n]
	if q.entries = q.entries[n:]; len(q.entries) == 0 {
		q.entries = nil
	}
	return batch
}

// release gives back the bytes of entries that have left the committer.
func (q *queue) release(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= bytes
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
}

// fill is how much of the queue is taken, in bytes.
func (q *queue) fill() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// close refuses what comes from now on; what is in the queue stays for the committer to take.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.done)
	}
}
