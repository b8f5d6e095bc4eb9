package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Mirror follows the whole registry with a single etcd watch and feeds the caches.
//
// One watch instead of one per resource is what makes consistent reads cheap. A read must not be answered
// before the cache has reached the store's current revision R. With a watch per resource, a cache whose
// resource has not changed lately does not learn that R has passed unless etcd is asked for a progress
// notification, once per read burst and resource; and in a busy cluster R moves with every lease renewal. With one
// watch, any change anywhere proves to all caches that everything before it has arrived, so a check of
// the revision is nearly always enough. The price is that changes are decoded by one goroutine, and that a lost
// place (compaction while disconnected) reloads everything.
type Mirror struct {
	loads  chan struct{} // places for reads of past states from etcd
	etcd   *Etcd
	logger *slog.Logger
	caches map[string]*Cache // by prefix; fixed once Run has been called

	observed atomic.Int64 // every change up to here has been applied to every cache; 0 before the first load
	loaded   atomic.Bool  // the place of the watch is known
	made     time.Time
	fresh    atomic.Int64 // nanoseconds from made to the begin of a check that the caches have come up to; 0 before the first

	mu      sync.Mutex // guards the fields below
	reached chan struct{}
	waiting bool   // somebody holds the current reached channel
	asking  *round // the check that has been sent, or nil
	next    *round // the check that will be sent after it, or nil

	stuck    chan struct{} // holds an element when a waiter wants to know how far the watch is
	replaced chan struct{} // holds an element when the store was found to have lost revisions
	ready    chan struct{} // closed by the first load
	once     sync.Once     // of that
}

// round is one revision check shared by everyone who asked before it was sent.
type round struct {
	done     chan struct{} // closed when the rest is set
	revision int64
	err      error
}

// errReplaced is why the caches are loaded again after etcd has been restored from a backup.
var errReplaced = errors.New("etcd has gone back to an earlier revision")

// maxLoads is how many past states are read from etcd at once.
const maxLoads = 2

// NewMirror returns a mirror without caches; see Register and Run.
func NewMirror(etcd *Etcd, logger *slog.Logger) *Mirror {
	return &Mirror{
		loads: make(chan struct{}, maxLoads), made: time.Now(),
		etcd: etcd, logger: logger, caches: map[string]*Cache{},
		reached: make(chan struct{}), ready: make(chan struct{}),
		stuck: make(chan struct{}, 1), replaced: make(chan struct{}, 1),
	}
}

// Etcd is what the mirror follows.
func (m *Mirror) Etcd() *Etcd { return m.etcd }

// Register adds the cache of the keys below prefix (for example "pods" for /registry/pods/...). It must be called
// before Run, and no prefix may contain another.
func (m *Mirror) Register(prefix string, codec Codec) *Cache {
	p := m.etcd.Prefix() + "/" + prefix + "/"
	c := newCache(m, p, codec)
	m.caches[p] = c
	return c
}

// Observed is the revision up to which every cache is complete.
func (m *Mirror) Observed() int64 { return m.observed.Load() }

// Ready is closed once the caches have been filled for the first time.
func (m *Mirror) Ready() <-chan struct{} { return m.ready }

// Run fills the caches and keeps them up to date until the context ends. It retries whatever fails, with
// a growing pause of at most two seconds, and returns the context's error. It runs once at a time; when it is called again, it goes
// on where it ended.
func (m *Mirror) Run(ctx context.Context) error {
	pause := 50 * time.Millisecond
	for {
		started := time.Now()
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(started) > 10*time.Second {
			pause = 50 * time.Millisecond
		}
		m.logger.Warn("store: the watch of etcd ended and is started again", "err", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// follow loads if the place is lost (or none was had) and then applies changes until the watch fails.
func (m *Mirror) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var attendant sync.WaitGroup
	defer attendant.Wait()
	defer cancel(nil)
	if !m.loaded.Load() {
		if err := m.load(ctx); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	attendant.Go(func() { m.attend(ctx, cancel) })
	for resp := range m.etcd.watch(ctx, m.Observed()) {
		if err := resp.Err(); err != nil {
			if resp.CompactRevision > 0 {
				m.loaded.Store(false)
			}
			return classify("watch", err)
		}
		m.applyResponse(resp)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.New("etcd closed the watch")
}

// attend serves the waiters of a running watch, until ctx ends: it asks etcd for progress, not more often than every
// progressAfter however many are waiting, and ends the watch when the store was replaced.
func (m *Mirror) attend(ctx context.Context, cancel context.CancelCauseFunc) {
	stuck := m.stuck
	var rested <-chan time.Time
	for {
		select {
		case <-stuck:
			// If this fails then so does the watch, and waiters nudge again.
			_ = m.etcd.requestProgress(ctx)
			stuck, rested = nil, time.After(progressAfter)
		case <-rested:
			stuck, rested = m.stuck, nil
		case <-m.replaced:
			m.loaded.Store(false)
			cancel(errReplaced)
			return
		case <-ctx.Done():
			return
		}
	}
}

// applyResponse hands the changes of one revision to a cache together: a transaction, and the end of a lease, changes many
// keys at one revision, and no snapshot may show a part of them.
func (m *Mirror) applyResponse(resp clientv3.WatchResponse) {
	now := time.Now()
	if resp.IsProgressNotify() {
		m.advance(resp.Header.Revision)
		return
	}
	for events := resp.Events; len(events) > 0; {
		revision := events[0].Kv.ModRevision
		n := 1
		for n < len(events) && events[n].Kv.ModRevision == revision {
			n++
		}
		m.applyRevision(events[:n], now)
		m.advance(revision)
		events = events[n:]
	}
}

func (m *Mirror) applyRevision(events []*clientv3.Event, now time.Time) {
	if len(events) == 1 {
		if c := m.cacheFor(string(events[0].Kv.Key)); c != nil {
			c.apply(events, now)
		}
		return
	}
	byCache := map[*Cache][]*clientv3.Event{}
	for _, ev := range events {
		if c := m.cacheFor(string(ev.Kv.Key)); c != nil {
			byCache[c] = append(byCache[c], ev)
		}
	}
	for c, events := range byCache {
		c.apply(events, now)
	}
}

// cacheFor finds the cache of a key: its prefix is the key up to the last or the last but one slash
// (cluster-scoped and namespaced objects).
func (m *Mirror) cacheFor(key string) *Cache {
	end := strings.LastIndexByte(key, '/')
	for range 2 {
		if end < 0 {
			return nil
		}
		if c, ok := m.caches[key[:end+1]]; ok {
			return c
		}
		end = strings.LastIndexByte(key[:end], '/')
	}
	return nil
}

// load fills every cache with the state at one revision.
func (m *Mirror) load(ctx context.Context) error {
	items := map[*Cache][]*Item{}
	revision, err := m.etcd.pages(ctx, m.etcd.Prefix()+"/", 0, func(kv KV) {
		if c := m.cacheFor(kv.Key); c != nil {
			items[c] = append(items[c], m.decode(c, kv))
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-m.replaced: // which this load has taken care of
	default:
	}
	if revision < m.Observed() {
		m.observed.Store(0) // no snapshot may claim a revision of the store that was
	}
	for _, c := range m.caches {
		c.reload(items[c], revision)
	}
	m.loaded.Store(true)
	m.advance(revision)
	m.once.Do(func() { close(m.ready) })
	return nil
}

// decode is Cache.Decode with a log entry about what is broken.
func (m *Mirror) decode(c *Cache, kv KV) *Item {
	item := c.Decode(kv)
	if item.Broken != nil {
		m.logger.Error("store: a stored object cannot be decoded; it is listed as an error and not changed", "key", kv.Key, "err", item.Broken)
	}
	return item
}

// advance tells the waiters that every cache has been brought to the revision.
func (m *Mirror) advance(revision int64) {
	if revision <= m.observed.Load() {
		return
	}
	m.observed.Store(revision)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting {
		close(m.reached)
		m.reached = make(chan struct{})
		m.waiting = false
	}
}

// Fresh returns when every cache holds all that was committed before the call, with the revision
// that proves it. Concurrent callers share one check. It fails with ErrFuture if the caches do not
// get there within MaxWait, and with another error if etcd does not answer within twice DefaultTimeout.
func (m *Mirror) Fresh(ctx context.Context) (int64, error) {
	began := time.Since(m.made)
	revision, err := m.currentRevision(ctx)
	if err != nil {
		return 0, err
	}
	if err = m.WaitFor(ctx, revision); err == nil {
		m.fresh.Store(int64(began))
	}
	return revision, err
}

// Within returns when every cache holds all that was committed until lag ago: at once if the last of all calls of Fresh has shown
// that, and as Fresh does if not.
func (m *Mirror) Within(ctx context.Context, lag time.Duration) error {
	if last := m.fresh.Load(); last != 0 && time.Since(m.made)-time.Duration(last) <= lag {
		return nil
	}
	_, err := m.Fresh(ctx)
	return err
}

// currentRevision asks etcd, together with everyone else who is waiting. A check that is already under way may be
// older than a write the caller knows of, so who arrives during one waits for the one after it.
func (m *Mirror) currentRevision(ctx context.Context) (int64, error) {
	m.mu.Lock()
	var r *round
	switch {
	case m.asking == nil:
		r = &round{done: make(chan struct{})}
		m.asking = r
		// A goroutine, because a caller who gives up must not fail the others nor wait for them.
		go m.ask(context.WithoutCancel(ctx), r)
	case m.next == nil:
		m.next = &round{done: make(chan struct{})}
		fallthrough
	default:
		r = m.next
	}
	m.mu.Unlock()
	select {
	case <-r.done:
		return r.revision, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("etcd revision: %w", context.Cause(ctx))
	}
}

// ask sends checks until nobody waits for another one. Etcd bounds the time of each, so no waiter outlives it.
func (m *Mirror) ask(ctx context.Context, r *round) {
	for r != nil {
		before := m.Observed()
		r.revision, r.err = m.etcd.Revision(ctx)
		if r.err == nil && r.revision < before {
			// The check is linearizable and what was observed had been committed: these are two different stores.
			r.err = fmt.Errorf("%w: from %d to %d", errReplaced, before, r.revision)
			select {
			case m.replaced <- struct{}{}:
			default:
			}
		}
		m.mu.Lock()
		next := m.next
		m.asking, m.next = next, nil
		m.mu.Unlock()
		close(r.done)
		r = next
	}
}

// MaxWait bounds how long a read waits for the caches to reach a revision.
const MaxWait = 3 * time.Second

// progressAfter is how long a waiter trusts that the change it waits for is on its way. After it, the revision
// was probably moved by a key outside the registry, and etcd is asked to say how far the watch is.
const progressAfter = 10 * time.Millisecond

// WaitFor returns when every change up to the revision has been applied; for revision 0, when the caches have been
// filled. It fails with ErrFuture after MaxWait.
func (m *Mirror) WaitFor(ctx context.Context, revision int64) error {
	revision = max(revision, 1) // the revision of an empty etcd
	if m.Observed() >= revision {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, MaxWait, ErrFuture)
	defer cancel()
	progress := time.NewTicker(progressAfter)
	defer progress.Stop()
	for {
		m.mu.Lock()
		m.waiting = true
		reached := m.reached
		m.mu.Unlock()
		if m.Observed() >= revision {
			return nil
		}
		select {
		case <-reached:
		case <-progress.C:
			progress.Reset(20 * progressAfter) // etcd does not answer while the watch is catching up
			select {
			case m.stuck <- struct{}{}:
			default: // somebody has just asked, which serves this waiter too
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d, now at %d: %w", revision, m.Observed(), context.Cause(ctx))
		}
	}
}
