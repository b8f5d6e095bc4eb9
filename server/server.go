package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Health probes that the peer limiter would refuse share this lane, so that a busy address does not make a
// healthy server look dead.
const (
	healthLaneRate  = 20 // probes a second
	healthLaneBurst = 40
)

// stopTimeout bounds the wait for handlers whose requests were cancelled at the end of draining.
const stopTimeout = time.Second

// Server takes requests through the stages. Make one with [New]; it serves once.
type Server struct {
	cfg        Config
	pages      map[string]page
	probes     *probes
	metrics    *metrics
	healthLane *rate.Limiter
	requests   gate
	workers    workers
	held       heldRequests
	draining   atomic.Bool

	// watches ends, before the drain, every request that would not end by itself.
	watches     context.Context
	stopWatches context.CancelFunc
}

// New checks the configuration, builds the documents that do not change and registers the metrics.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	s := &Server{
		cfg:        cfg,
		pages:      make(map[string]page),
		healthLane: rate.NewLimiter(healthLaneRate, healthLaneBurst),
		requests:   gate{idle: make(chan struct{})},
		workers:    workers{make(chan *task)},
	}
	s.watches, s.stopWatches = context.WithCancel(context.Background())
	var err error
	if s.probes, err = newProbes(s, cfg.Checks); err != nil {
		return nil, err
	}
	if err := s.addPages(); err != nil {
		return nil, err
	}
	known := func(path string) bool { return s.pages[path] != nil }
	if s.metrics, err = newMetrics(cfg.Registry, cfg.Table, known); err != nil {
		return nil, err
	}
	return s, nil
}

// Serve accepts TLS connections on ln, which it closes, until ctx ends; then it stops in order: readyz fails, the
// shutdown delay passes, watches are ended, requests in flight are waited for, and what is left is cut off. It
// returns nil after an orderly stop, at most ShutdownDelay + WatchGrace + DrainTimeout + 1 s after ctx ended. When it returns, no
// handler is running, unless the error says so.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	base, cancelBase := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelBase()
	defer s.stopWatches()
	hs := httpServer(s, &s.cfg, s.metrics.handshakeErrors.Inc)
	hs.BaseContext = func(net.Listener) context.Context { return base }
	capped := capListener(ln, s.cfg.MaxConnections)
	accepting := make(chan struct{})
	var acceptErr error // read after accepting is closed
	go func() {
		defer close(accepting)
		acceptErr = hs.ServeTLS(capped, "", "")
	}()
	select {
	case <-accepting:
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.cfg.Logger.Info("shutting down", "delay", s.cfg.ShutdownDelay, "drain", s.cfg.DrainTimeout)
	s.delay(accepting)
	if s.cfg.RetryAfter {
		s.requests.close()
	}
	s.stopWatches()
	err := s.drain(hs, cancelBase, func() <-chan struct{} { <-accepting; return capped.gone() })
	<-accepting
	if !errors.Is(acceptErr, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("server: accept on %s: %w", ln.Addr(), acceptErr))
	}
	return err
}

// delay keeps serving, unless nothing is accepted any more, while load balancers notice that readyz fails.
func (s *Server) delay(accepting <-chan struct{}) {
	timer := time.NewTimer(s.cfg.ShutdownDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-accepting:
	}
}

// drain waits for requests in flight, then cuts off the rest, and lets the connections send what was written to them.
func (s *Server) drain(hs *http.Server, cancelRequests context.CancelFunc, gone func() <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.WatchGrace+s.cfg.DrainTimeout)
	defer cancel()
	if s.cfg.RetryAfter {
		select { // the port stays open meanwhile
		case <-s.requests.idle:
		case <-ctx.Done():
		}
	}
	if err := hs.Shutdown(ctx); err != nil {
		s.cfg.Logger.Warn("requests were cut off at the end of the drain", "error", err)
	}
	cancelRequests()
	if err := hs.Close(); err != nil {
		s.cfg.Logger.Warn("close connections", "error", err)
	}
	s.requests.close()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.requests.idle:
	case <-timer.C:
		return errors.New("server: handlers are still running after their requests were cancelled")
	}
	select {
	case <-gone():
	case <-timer.C: // The kernel closes what is left.
	}
	return nil
}

// gate counts the requests in work and tells when the last one has left after closing.
type gate struct {
	idle chan struct{}

	mu     sync.Mutex // guards n and closed
	n      int
	closed bool
}

// enter reports whether the request may start.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.n++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.closed && g.n == 0 {
		close(g.idle)
	}
}

// close lets nobody in any more; idle is closed when everybody has left.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.n == 0 {
		close(g.idle)
	}
}
