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
	etcd   *Etcd
	logger *slog.Logger
	caches map[string]*Cache // by prefix; fixed once Run has been called

	observed atomic.Int64 // every change up to here has been applied to every cache
	loaded   atomic.Bool  // the place of the watch is known

	mu      sync.Mutex // guards the fields below
	reached chan struct{}
	waiters int
	asking  *round // the check that has been sent, or nil
	next    *round // the check that will be sent after it, or nil

	ready chan struct{} // closed by the first load
	once  sync.Once
}

// round is one revision check shared by everyone who asked before it was sent.
type round struct {
	done     chan struct{}
	revision int64
	err      error
}

// NewMirror returns a mirror without caches; see Register and Run.
func NewMirror(etcd *Etcd, logger *slog.Logger) *Mirror {
	return &Mirror{
		etcd: etcd, logger: logger, caches: map[string]*Cache{},
		reached: make(chan struct{}), ready: make(chan struct{}),
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
// a growing pause of at most two seconds, and returns the context's error.
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := m.Observed()
	if !m.loaded.Load() {
		var err error
		if from, err = m.load(ctx); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	for resp := range m.etcd.watch(ctx, from) {
		if err := resp.Err(); err != nil {
			if resp.CompactRevision > 0 {
				m.loaded.Store(false)
			}
			return classify("watch", err)
		}
		m.applyResponse(resp)
	}
	return errors.New("etcd closed the watch")
}

func (m *Mirror) applyResponse(resp clientv3.WatchResponse) {
	now := time.Now()
	revision := int64(0)
	if resp.IsProgressNotify() {
		revision = resp.Header.Revision
	}
	for _, ev := range resp.Events {
		revision = max(revision, ev.Kv.ModRevision)
		if c := m.cacheFor(string(ev.Kv.Key)); c != nil {
			c.apply(ev, now)
		}
	}
	m.advance(revision)
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

// loadPage is how many keys one range request of the initial load asks for.
const loadPage = 2000

// load fills every cache with the state at one revision and returns it.
func (m *Mirror) load(ctx context.Context) (int64, error) {
	items := map[*Cache][]*Item{}
	var revision int64
	prefix := m.etcd.Prefix() + "/"
	for start, more := "", true; more; {
		var kvs []KV
		var err error
		kvs, more, revision, err = m.etcd.Range(ctx, prefix, start, loadPage, revision)
		if err != nil {
			return 0, err
		}
		for _, kv := range kvs {
			if c := m.cacheFor(kv.Key); c != nil {
				item := c.Decode(kv)
				if item.Broken != nil {
					m.logger.Error("store: a stored object cannot be decoded; it is listed as an error and not changed", "key", kv.Key, "err", item.Broken)
				}
				items[c] = append(items[c], item)
			}
		}
		if len(kvs) > 0 {
			start = kvs[len(kvs)-1].Key + "\x00"
		}
	}
	for _, c := range m.caches {
		c.reload(items[c], revision)
	}
	m.loaded.Store(true)
	m.advance(revision)
	m.once.Do(func() { close(m.ready) })
	return revision, nil
}

func (m *Mirror) advance(revision int64) {
	if revision <= m.observed.Load() {
		return
	}
	m.observed.Store(revision)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiters > 0 {
		close(m.reached)
		m.reached = make(chan struct{})
		m.waiters = 0
	}
}

// Fresh returns when every cache holds all that was committed before the call, with the revision
// that proves it. Concurrent callers share one check. It fails with ErrFuture if the caches do not
// get there within MaxWait.
func (m *Mirror) Fresh(ctx context.Context) (int64, error) {
	revision, err := m.currentRevision(ctx)
	if err != nil {
		return 0, err
	}
	return revision, m.WaitFor(ctx, revision)
}

// currentRevision asks etcd, together with everyone else who is waiting. A check that is already under way may be
// older than a write the caller knows of, so who arrives during one waits for the one after it.
func (m *Mirror) currentRevision(ctx context.Context) (int64, error) {
	m.mu.Lock()
	if m.asking == nil {
		r := &round{done: make(chan struct{})}
		m.asking = r
		m.mu.Unlock()
		m.ask(ctx, r)
		return r.revision, r.err
	}
	if m.next == nil {
		m.next = &round{done: make(chan struct{})}
	}
	r := m.next
	m.mu.Unlock()
	select {
	case <-r.done:
		return r.revision, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ask sends the check of a round and then starts the next one, if somebody is waiting for it. The caller's
// cancellation does not fail the others; Etcd bounds the time.
func (m *Mirror) ask(ctx context.Context, r *round) {
	r.revision, r.err = m.etcd.Revision(context.WithoutCancel(ctx))
	m.mu.Lock()
	next := m.next
	m.asking, m.next = next, nil
	m.mu.Unlock()
	close(r.done)
	if next != nil {
		go m.ask(ctx, next)
	}
}

// MaxWait bounds how long a read waits for the caches to reach a revision.
const MaxWait = 3 * time.Second

// progressAfter is how long a waiter trusts that the change it waits for is on its way. After it, the revision
// was probably moved by a key outside the registry, and etcd is asked to say how far the watch is.
const progressAfter = 10 * time.Millisecond

// WaitFor returns when every change up to the revision has been applied. It fails with ErrFuture after MaxWait.
func (m *Mirror) WaitFor(ctx context.Context, revision int64) error {
	if m.Observed() >= revision {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, MaxWait, ErrFuture)
	defer cancel()
	progress := time.NewTicker(progressAfter)
	defer progress.Stop()
	for {
		m.mu.Lock()
		m.waiters++
		reached := m.reached
		m.mu.Unlock()
		if m.Observed() >= revision {
			return nil
		}
		select {
		case <-reached:
		case <-progress.C:
			progress.Reset(20 * progressAfter)
			if err := m.etcd.requestProgress(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("request progress: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d, now at %d: %w", revision, m.Observed(), context.Cause(ctx))
		}
	}
}
