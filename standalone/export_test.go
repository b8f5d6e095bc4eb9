package standalone

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Elected looks at the Leases once, as a process that has just been started.
func (l *Loops) Elected(ctx context.Context) bool {
	return (&election{loops: l, now: time.Now}).round(ctx)
}

// Once is a graph of the present state, for tests that do one job and look at what it did.
type Once struct{ w *work }

// Once makes one.
func (l *Loops) Once() (Once, error) {
	w, err := l.newWork()
	return Once{w}, err
}

// Collect does the garbage collection of one object.
func (o Once) Collect(ctx context.Context, uid types.UID) error { return o.w.collect(ctx, uid) }

// Release lets one protected object go.
func (o Once) Release(ctx context.Context, plural, namespace, name string) error {
	o.w.begin()
	for _, f := range o.w.feeds {
		if f.Type.Resource == plural {
			return o.w.release(ctx, f.Key(namespace, name))
		}
	}
	return nil
}

// ErrUncertain is why something stays.
var ErrUncertain = errUncertain

// Sighting is what is known of a Lease.
type Sighting struct{ s sighting }

// Held reports whether somebody holds the lease.
func (s *Sighting) Held(lease *coordinationv1.Lease, now time.Time) bool { return s.s.held(lease, now) }

// Queue is the queue of jobs.
type Queue struct{ q *queue }

// NewQueue makes one.
func NewQueue() Queue { return Queue{newQueue()} }

// Add adds a job.
func (q Queue) Add(name string, pause time.Duration) { q.q.add(job{taskCollect, name}, pause) }

// Run does the jobs.
func (q Queue) Run(ctx context.Context, do func(name string) bool) error {
	return q.q.run(ctx, func(_ context.Context, j job) bool { return do(j.key) })
}

// Len is how many jobs there are.
func (q Queue) Len() int {
	q.q.mu.Lock()
	defer q.q.mu.Unlock()
	return len(q.q.entries)
}
