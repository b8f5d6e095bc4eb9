package standalone

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// Config is what Loops are made of. Everything but Pace is required.
type Config struct {
	Resources *resource.Service
	// Audited runs one write of the server's own under the rule of all writes: its record is durable before do is called. why is
	// what the record says.
	Audited func(ctx context.Context, why string, info api.RequestInfo, do func(resource.Write) error) error
	// RootCA returns the certificates by which pods know the server, in PEM. Empty means that none are published.
	RootCA func() []byte
	// Holder names this process among the servers of a cluster; no other run has the same.
	Holder string
	Logger *slog.Logger
	// Pace is how often things are looked at; the zero value means the defaults.
	Pace Pace
}

// Pace holds the times of the loops. Zero fields mean the defaults.
type Pace struct {
	// Look is how often the Leases are looked at. The default is 2 s.
	Look time.Duration
	// Lease is how long the own Lease lasts; it is renewed in a third of that, and given up after two thirds without success. It
	// is cut to seconds, and at least one. The default is 30 s.
	Lease time.Duration
	// Settle is how long after the deletion of a namespace its content is deleted: what was admitted just before it is stored by then.
	// The default is 1 s.
	Settle time.Duration
}

func (p Pace) withDefaults() Pace {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&p.Look, 2*time.Second)
	set(&p.Lease, 30*time.Second)
	set(&p.Settle, time.Second)
	p.Lease = max(p.Lease.Truncate(time.Second), time.Second)
	return p
}

// Bounds of the writes of the loops, so that they leave room for those of clients.
const (
	writesPerSecond = 200
	writesAtOnce    = 200
)

// Loops act for a kube-controller-manager that is not there. Make them with New.
type Loops struct {
	Config
	room *rate.Limiter
}

// New makes loops that do nothing until Run.
func New(c Config) *Loops {
	c.Pace = c.Pace.withDefaults()
	return &Loops{Config: c, room: rate.NewLimiter(writesPerSecond, writesAtOnce)}
}

// Run acts whenever this process is elected, until ctx ends, and then lets another one be. It waits for the caches to be filled first.
// No failure ends it.
func (l *Loops) Run(ctx context.Context) error {
	select {
	case <-l.Resources.Mirror.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	e := &election{loops: l, now: time.Now}
	return e.run(ctx, l.term)
}

// term acts until ctx ends.
func (l *Loops) term(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.act(ctx)
		if ctx.Err() == nil && !api.IsReason(err, metav1.StatusReasonExpired) {
			l.Logger.Warn("the standalone loops ended and are started again", "err", err)
			wait(ctx, time.Second)
		}
	}
}

func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// act makes the graph and acts on it as long as it can be kept.
func (l *Loops) act(ctx context.Context) error {
	w, err := l.newWork()
	if err != nil {
		return err
	}
	w.begin()
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range w.graph.feeds {
		group.Go(func() error { return w.graph.follow(ctx, f) })
	}
	group.Go(func() error { return w.queue.run(ctx, w.do) })
	group.Go(func() error { return w.refresh(ctx) })
	return group.Wait()
}

// newWork makes the graph of what is there now.
func (l *Loops) newWork() (*work, error) {
	w := &work{Loops: l, queue: newQueue(), waiting: map[string]*node{}, terminating: map[string]struct{}{}}
	var followed []*resource.Feed
	for _, t := range l.Resources.Table.Types() {
		if !t.Persisted() || t.StoredAs != nil {
			continue
		}
		f, err := l.Resources.Feed(authz.System("standalone loops", infoOf(t, "watch", "", "")))
		if err != nil {
			return nil, err
		}
		w.feeds = append(w.feeds, f)
		if t.Prefix != "events" {
			followed = append(followed, f)
		}
	}
	w.kinds = kindsOf(l.Resources.Table, w.feeds)
	var err error
	w.graph, err = newGraph(followed, l.fresh, w.changed)
	return w, err
}

// fresh returns when the caches hold all that was committed before.
func (l *Loops) fresh(ctx context.Context) error {
	_, err := l.Resources.Mirror.Fresh(ctx)
	return err
}

// refreshEvery is how often it is looked whether the certificates of the server are still the published ones.
const refreshEvery = time.Minute

func (w *work) refresh(ctx context.Context) error {
	published := w.RootCA()
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := w.RootCA(); !bytes.Equal(now, published) {
			published = now
			w.furnishAll()
		}
	}
}

// work is what one graph is needed for.
type work struct {
	*Loops
	graph *graph
	queue *queue
	feeds []*resource.Feed // of all stored resources; those of the graph are polled by it alone
	kinds kinds
	// What follows is guarded by the graph's mutex.

	waiting     map[string]*node    // protected objects that are being deleted, by key
	terminating map[string]struct{} // namespaces that are being deleted

	told sync.Map // jobs whose failure has been logged; bounded by the queue
}

// do does a job and reports whether it is finished.
func (w *work) do(ctx context.Context, j job) bool {
	var err error
	switch j.task {
	case taskCollect:
		err = w.collect(ctx, types.UID(j.key))
	case taskOrphan:
		err = w.orphan(ctx, types.UID(j.key))
	case taskEmpty:
		err = w.empty(ctx, j.key)
	case taskFurnish:
		err = w.furnish(ctx, j.key)
	case taskRelease:
		err = w.release(ctx, j.key)
	}
	if err == nil || ctx.Err() != nil {
		w.told.Delete(j)
		return err == nil
	}
	if errors.Is(err, errUncertain) {
		w.queue.add(j, uncertainPause)
	}
	level := slog.LevelWarn
	if _, before := w.told.LoadOrStore(j, true); before || expected(err) {
		level = slog.LevelDebug
	}
	w.Logger.Log(ctx, level, "a standalone loop could not finish; it tries again", "task", j.task, "of", j.key, "err", err)
	return errors.Is(err, errUncertain)
}

// uncertainPause is how long an object stays whose owners are not known, before they are looked for again.
const uncertainPause = 5 * time.Minute

// String names the task in the log.
func (t task) String() string {
	switch t {
	case taskCollect:
		return "collect garbage"
	case taskOrphan:
		return "orphan dependents"
	case taskEmpty:
		return "empty a namespace"
	case taskFurnish:
		return "furnish a namespace"
	case taskRelease:
		return "release what is not used"
	}
	return "unknown"
}
