package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds of the Retry-After that a refused client is told, in seconds.
const (
	minRetryAfter = 1
	maxRetryAfter = 32
)

// A Seat is the right to execute a request. Its methods are safe for concurrent use and do nothing on a nil
// Seat.
type Seat struct {
	clients  *Clients
	account  *account // nil for an exempt request
	seats    int
	released bool // guarded by clients.mu
}

// A waiter is a request in an account's queue.
type waiter struct {
	account *account
	seats   int
	settled chan struct{} // closed when granted or refused
	granted bool          // guarded by Clients.mu until settled is closed, constant afterwards
	refused bool          // likewise
}

// Acquire takes the cost from the client's budget and waits for a seat. The caller releases the seat when the
// request is done, or, if it is a long-running one, when it has started and holds a place of its own by [Seat.Hold].
//
// The error is an [api.Error]: 429 with RetryAfterSeconds from 1 to 32 when the budget is used up, the queue
// is full or no seat became free within MaxWait; and 504 when ctx ends first.
func (c *Clients) Acquire(ctx context.Context, client Client, cost Cost) (*Seat, error) {
	now := c.config.Clock()
	c.mu.Lock()
	if client.Exempt {
		c.stats.Exempt++
		c.stats.GrantedExempt++
		c.mu.Unlock()
		return &Seat{clients: c}, nil
	}
	a := c.account(client.Name, now)
	if wait, ok := c.take(a, now, cost.Units); !ok {
		c.stats.RefusedRate++
		c.mu.Unlock()
		return nil, tooMany("the client's budget of requests is used up", wait)
	}
	seats := min(max(cost.Seats, 1), c.config.SeatsPerClient)
	w, err := c.enter(a, seats)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if w != nil {
		if err := c.wait(ctx, w); err != nil {
			return nil, err
		}
	}
	return &Seat{clients: c, account: a, seats: seats}, nil
}

// enter gives seats to the account, or returns a waiter that it has put into the account's queue. The caller
// holds c.mu.
func (c *Clients) enter(a *account, seats int) (*waiter, error) {
	if c.config.DisableSeats || (len(c.turns) == 0 && c.fits(a, seats) && c.inUse+seats <= c.config.Seats) {
		c.grant(a, seats)
		return nil, nil
	}
	if len(a.queue) >= c.config.QueuePerClient || (c.queued >= c.config.Queue && !c.pushOut(len(a.queue)+1)) {
		c.stats.RefusedSeats++
		return nil, c.queueFull()
	}
	w := &waiter{account: a, seats: seats, settled: make(chan struct{})}
	if len(a.queue) == 0 {
		c.turns = append(c.turns, a)
	}
	a.queue = append(a.queue, w)
	c.queued++
	c.dispatch()
	return w, nil
}

// fits reports whether the account may hold so many more seats.
func (c *Clients) fits(a *account, seats int) bool { return a.inUse+seats <= c.config.SeatsPerClient }

func (c *Clients) grant(a *account, seats int) {
	a.inUse += seats
	c.inUse += seats
	c.stats.Granted++
}

// dispatch gives free seats to waiting requests: one of each account in turn, the oldest of the account first.
// An account at its own limit is passed over and keeps its turn. Where the next request needs more seats than
// are free, nobody is let past it, or a stream of small requests could hold it back for ever. The caller holds
// c.mu.
func (c *Clients) dispatch() {
	var passed []*account
	for len(c.turns) > 0 {
		a := c.turns[0]
		w := a.queue[0]
		if !c.fits(a, w.seats) {
			passed = append(passed, a)
			c.turns = c.turns[1:]
			continue
		}
		if c.inUse+w.seats > c.config.Seats {
			break
		}
		c.turns, a.queue = c.turns[1:], a.queue[1:]
		if len(a.queue) > 0 {
			c.turns = append(c.turns, a)
		}
		c.queued--
		c.grant(a, w.seats)
		w.granted = true
		close(w.settled)
	}
	if len(passed) > 0 {
		c.turns = append(passed, c.turns...)
	}
}

// pushOut refuses the newest request of the longest queue, if that is longer than limit: a few clients that
// flood must not keep the others out of the queue. The caller holds c.mu.
func (c *Clients) pushOut(limit int) bool {
	longest := slices.MaxFunc(c.turns, func(a, b *account) int { return len(a.queue) - len(b.queue) })
	last := len(longest.queue) - 1
	if last+1 <= limit {
		return false
	}
	w := longest.queue[last]
	longest.queue = longest.queue[:last]
	c.queued--
	c.stats.RefusedSeats++
	w.refused = true
	close(w.settled)
	return true
}

// wait blocks until the waiter is granted its seats (nil) or refused.
func (c *Clients) wait(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(c.config.MaxWait)
	defer timer.Stop()
	var err error
	select {
	case <-w.settled:
	case <-ctx.Done():
		err = api.ToError(ctx.Err())
	case <-timer.C:
		err = tooMany("no seat became free in time", time.Second)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case w.granted: // perhaps at the last moment; then it is used and released like any other
		return nil
	case w.refused:
		return c.queueFull()
	}
	c.abandon(w)
	return err
}

// abandon takes a waiter that is neither granted nor refused out of its queue. The caller holds c.mu.
func (c *Clients) abandon(w *waiter) {
	a := w.account
	a.queue = slices.DeleteFunc(a.queue, func(other *waiter) bool { return other == w })
	if len(a.queue) == 0 {
		c.turns = slices.DeleteFunc(c.turns, func(other *account) bool { return other == a })
	}
	c.queued--
	c.stats.RefusedSeats++
	c.dispatch() // it may have held back smaller ones
}

// queueFull asks for a second of patience for each round of all seats that is waiting. The caller holds c.mu.
func (c *Clients) queueFull() error {
	return tooMany("the queue is full", time.Duration(1+c.queued/c.config.Seats)*time.Second)
}

// Charge takes what a response of so many bytes costs beyond its request, one unit per 100,000 bytes, from the
// client's budget. A budget can be overdrawn by 30 seconds of its rate at most; the client is refused until it
// has recovered. Charge before Release: an account that holds no seat and no long-running request may be forgotten, and
// a later charge with it.
func (s *Seat) Charge(bytes int64) {
	units := bytes / BytesPerUnit
	if s == nil || units <= 0 {
		return
	}
	c := s.clients
	now := c.config.Clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.ChargedUnits += uint64(units)
	if s.account != nil {
		c.charge(s.account, now, units)
	}
}

// Hold counts the request among the long-running ones of its client and of all, beside the seat, which is then released
// when the request has started. The caller calls release, which is never nil, when the request has ended; all calls
// after the first do nothing. Requests of exempt clients are counted apart and never refused.
//
// The error is an [api.Error]: 429 when the client, or all clients together, have as many open as they may.
func (s *Seat) Hold() (release func(), err error) { return s.hold(1) }

// HoldStream is [Seat.Hold] for a connection through this server to another: it takes as many places as [StreamPlaces].
func (s *Seat) HoldStream() (release func(), err error) { return s.hold(StreamPlaces) }

func (s *Seat) hold(places int) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	c, a := s.clients, s.account
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == nil {
		c.stats.HeldExempt += places
		return sync.OnceFunc(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.stats.HeldExempt -= places
		}), nil
	}
	switch {
	case a.held+places > c.config.HeldPerClient:
		err = tooMany("the client has too many watches and streams open", maxRetryAfter*time.Second)
	case c.held+places > c.config.Held:
		err = tooMany("too many watches and streams are open", maxRetryAfter*time.Second)
	}
	if err != nil {
		c.stats.RefusedHeld++
		return func() {}, err
	}
	a.held += places
	c.held += places
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		a.held -= places
		c.held -= places
	}), nil
}

// Release gives the seat back. All calls after the first do nothing.
func (s *Seat) Release() {
	if s == nil {
		return
	}
	c := s.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.released {
		return
	}
	s.released = true
	if s.account == nil {
		c.stats.Exempt--
		return
	}
	s.account.inUse -= s.seats
	c.inUse -= s.seats
	c.dispatch()
}

func tooMany(why string, wait time.Duration) error {
	return api.TooManyRequests("Too many requests, please try again later: "+why+".", retrySeconds(wait))
}

// retrySeconds rounds up to whole seconds within the bounds.
func retrySeconds(wait time.Duration) int {
	seconds := (wait + time.Second - 1) / time.Second
	return int(min(max(seconds, minRetryAfter), maxRetryAfter))
}
