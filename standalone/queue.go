package standalone

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds of the work that is done at once and of the pause after a failure, which doubles with each.
const (
	workers    = 8
	firstPause = 100 * time.Millisecond
	lastPause  = 30 * time.Second
)

// task is what a job does.
type task int

const (
	taskCollect task = iota // look whether an object has lost its owners, or waits for its dependents
	taskOrphan              // let the dependents of an object go
	taskEmpty               // delete what is in a namespace
	taskFurnish             // give a namespace what every namespace has
	taskRelease             // let go what is protected while it is used
)

// job is one thing to look at. Looking twice does no harm.
type job struct {
	task task
	key  string // a uid, the name of a namespace, or a key of the store
}

// queue holds the jobs to be done. A job is in it once, however often it is added, so that it is bounded by the number of objects;
// one that is added while it runs runs again.
type queue struct {
	mu      sync.Mutex
	entries map[job]*entry // guarded by mu
	due     dueHeap        // guarded by mu
	wake    chan struct{}  // holds an element when due may have changed
}

type entry struct {
	job      job
	at       time.Time
	place    int // in the heap; -1 while it runs
	failures int
	again    bool // added while it ran, to be done at again's time
}

func newQueue() *queue {
	return &queue{entries: map[job]*entry{}, wake: make(chan struct{}, 1)}
}

// add has the job done after the pause, or earlier if it is due earlier already. That something new is known of a job which has failed
// is a reason to try it earlier too.
func (q *queue) add(j job, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := time.Now().Add(pause)
	e := q.entries[j]
	switch {
	case e == nil:
		e = &entry{job: j, at: at}
		q.entries[j] = e
		heap.Push(&q.due, e)
	case e.place < 0:
		if !e.again || at.Before(e.at) {
			e.again, e.at = true, at
		}
	case at.Before(e.at):
		e.at = at
		heap.Fix(&q.due, e.place)
	}
	q.wakeUp()
}

func (q *queue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes a job that is due. Where there is none it says how long to wait for the next.
func (q *queue) take() (j job, ok bool, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.due) == 0 {
		return job{}, false, lastPause
	}
	if wait := time.Until(q.due[0].at); wait > 0 {
		return job{}, false, wait
	}
	e := heap.Pop(&q.due).(*entry)
	e.place = -1
	return e.job, true, 0
}

// done ends a job that was taken, or has it done again after a failure.
func (q *queue) done(j job, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[j]
	switch {
	case failed:
		at := time.Now().Add(pauseAfter(e.failures))
		if !e.again || at.Before(e.at) {
			e.at = at
		}
		e.failures++
	case e.again:
		e.failures = 0
	default:
		delete(q.entries, j)
		return
	}
	e.again = false
	heap.Push(&q.due, e)
	q.wakeUp()
}

func pauseAfter(failures int) time.Duration {
	return min(firstPause<<min(failures, 10), lastPause)
}

// run does jobs until ctx ends. do reports whether a job is finished.
func (q *queue) run(ctx context.Context, do func(context.Context, job) bool) error {
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan job)
	group.Go(func() error { return q.hand(ctx, work) })
	for range workers {
		group.Go(func() error {
			for {
				select {
				case j := <-work:
					q.done(j, !do(ctx, j))
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	return group.Wait()
}

// hand gives out jobs when they are due.
func (q *queue) hand(ctx context.Context, work chan<- job) error {
	for {
		j, ok, wait := q.take()
		if ok {
			select {
			case work <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// dueHeap orders jobs by the time at which they are due.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
