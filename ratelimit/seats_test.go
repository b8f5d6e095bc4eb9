package ratelimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/ratelimit"
)

// A hall is a limiter whose requests hold their seats until told to leave.
type hall struct {
	t     *testing.T
	seats *ratelimit.Clients

	mu      sync.Mutex // guards the following
	holding []*guest   // in the order they got their seats
	served  []string
	refused map[string]int
}

type guest struct {
	name string
	seat *ratelimit.Seat
}

func newHall(t *testing.T, c ratelimit.ClientsConfig) *hall {
	c.DisableRate = true
	return &hall{t: t, seats: ratelimit.NewClients(c), refused: map[string]int{}}
}

// come lets n requests of the client arrive, one after the other, and returns when each has a seat, waits or
// was refused.
func (h *hall) come(name string, n, seats int) {
	for range n {
		go func() {
			seat, err := h.seats.Acquire(context.Background(), ratelimit.Client{Name: name}, ratelimit.Cost{Seats: seats})
			h.mu.Lock()
			defer h.mu.Unlock()
			if err != nil {
				retryAfter(h.t, err)
				h.refused[name]++
				return
			}
			h.holding = append(h.holding, &guest{name, seat})
			h.served = append(h.served, name)
		}()
		synctest.Wait()
	}
}

// leave releases the n oldest seats, one after the other.
func (h *hall) leave(n int) {
	for range n {
		h.mu.Lock()
		g := h.holding[0]
		h.holding = h.holding[1:]
		h.mu.Unlock()
		g.seat.Release()
		synctest.Wait()
	}
}

// empty releases all seats until nobody is left.
func (h *hall) empty() {
	for len(h.holding) > 0 {
		h.leave(1)
	}
	if s := h.seats.Stats(); s.Seats != 0 || s.Waiting != 0 {
		h.t.Errorf("the hall is empty, yet %+v", s)
	}
}

func (h *hall) take() []string {
	served := h.served
	h.served = nil
	return served
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, ratelimit.ClientsConfig{Seats: 2, SeatsPerClient: 2, QueuePerClient: 5})
		h.come("flood", 10, 1)
		h.come("jane", 2, 1)
		h.come("bob", 1, 1)
		if diff := cmp.Diff([]string{"flood", "flood"}, h.take()); diff != "" {
			t.Errorf("at first (-want +got):\n%s", diff)
		}
		if got := h.refused["flood"]; got != 3 {
			t.Errorf("%d requests of the flood were refused, want the 3 beyond its queue", got)
		}
		h.leave(5)
		if diff := cmp.Diff([]string{"flood", "jane", "bob", "flood", "jane"}, h.take()); diff != "" {
			t.Errorf("in turn (-want +got):\n%s", diff)
		}
		h.empty()
	})
}

func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, ratelimit.ClientsConfig{Seats: 4, SeatsPerClient: 2})
		h.come("flood", 20, 1)
		h.come("jane", 1, 1)
		if diff := cmp.Diff([]string{"flood", "flood", "jane"}, h.take()); diff != "" {
			t.Errorf("a client at its share holds up others (-want +got):\n%s", diff)
		}
		h.come("greedy", 1, 100)
		if s := h.seats.Stats(); s.Seats != 3 || s.Waiting != 19 {
			t.Errorf("%+v, want a request for too many seats to wait for the share of one client", s)
		}
		h.leave(1)
		if diff := cmp.Diff([]string{"flood"}, h.take()); diff != "" {
			t.Errorf("the flood's seat goes to whose turn it is (-want +got):\n%s", diff)
		}
		h.empty()
	})
}

// TestLargeIsNotStarved: a list that needs two seats must not wait for ever behind small requests.
func TestLargeIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, ratelimit.ClientsConfig{Seats: 2, SeatsPerClient: 2})
		h.come("a", 2, 1)
		h.come("lister", 1, 2)
		h.come("b", 2, 1)
		h.take()
		h.leave(2)
		if diff := cmp.Diff([]string{"lister"}, h.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.empty()
	})
}

// TestFullQueue: clients that fill the queue lose their newest request to one with a shorter queue.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, ratelimit.ClientsConfig{Seats: 1, SeatsPerClient: 1, Queue: 4, QueuePerClient: 3})
		h.come("x", 1, 1)
		h.come("flood", 3, 1)
		h.come("other", 1, 1)
		h.come("jane", 1, 1)
		if h.refused["flood"] != 1 || h.refused["jane"] != 0 {
			t.Errorf("refused: %v, want the newest of the flood", h.refused)
		}
		h.come("other", 1, 1)
		if h.refused["other"] != 1 {
			t.Errorf("refused: %v, want the one that would have the longest queue", h.refused)
		}
		h.take()
		h.empty()
		if diff := cmp.Diff([]string{"flood", "other", "jane", "flood"}, h.take()); diff != "" {
			t.Errorf("served (-want +got):\n%s", diff)
		}
	})
}

func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewClients(ratelimit.ClientsConfig{Seats: 1, SeatsPerClient: 1, Clock: time.Now})
		seat, err := l.Acquire(t.Context(), ratelimit.Client{Name: "a"}, one)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = l.Acquire(t.Context(), ratelimit.Client{Name: "b"}, one)
		if got := time.Since(start); got != ratelimit.DefaultMaxWait {
			t.Errorf("waited %v, want %v", got, ratelimit.DefaultMaxWait)
		}
		retryAfter(t, err)
		seat.Release()
		if s := l.Stats(); s.Seats != 0 || s.Waiting != 0 {
			t.Errorf("who gave up was given the seat: %+v", s)
		}
	})
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, ratelimit.ClientsConfig{Seats: 2, SeatsPerClient: 2})
		h.come("a", 1, 1)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := h.seats.Acquire(ctx, ratelimit.Client{Name: "b"}, ratelimit.Cost{Seats: 2})
			failed <- err
		}()
		synctest.Wait()
		h.come("c", 1, 1) // held back by the larger request of b
		h.take()
		cancel()
		if err := <-failed; api.ToError(err).Code() != http.StatusGatewayTimeout {
			t.Errorf("a request whose client left ended with %v, want 504", err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"c"}, h.take()); diff != "" {
			t.Errorf("the place of who left was not passed on (-want +got):\n%s", diff)
		}
		h.empty()
	})
}

func TestExemptNeedsNoSeat(t *testing.T) {
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 1, Burst: 1, Seats: 1, Clock: newClock().Now})
	if _, err := l.Acquire(context.Background(), ratelimit.Client{Name: "jane"}, one); err != nil {
		t.Fatal(err)
	}
	var seats []*ratelimit.Seat
	for range 1000 {
		seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: "root", Exempt: true}, one)
		if err != nil {
			t.Fatalf("an exempt request was refused: %v", err)
		}
		seat.Charge(1 << 40)
		seats = append(seats, seat)
	}
	if s := l.Stats(); s.Exempt != 1000 || s.Seats != 1 {
		t.Errorf("%+v, want 1000 exempt requests beside one seat", s)
	}
	for _, seat := range seats {
		seat.Release()
	}
	if s := l.Stats(); s.Exempt != 0 || s.Seats != 1 {
		t.Errorf("%+v after the release of the exempt", s)
	}
}

func TestReleaseOnce(t *testing.T) {
	l := ratelimit.NewClients(ratelimit.ClientsConfig{})
	for _, exempt := range []bool{false, true} {
		seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: "jane", Exempt: exempt}, one)
		if err != nil {
			t.Fatal(err)
		}
		seat.Release()
		seat.Release()
	}
	if s := l.Stats(); s.Seats != 0 || s.Exempt != 0 {
		t.Errorf("%+v after a second release", s)
	}
	var none *ratelimit.Seat
	none.Charge(1)
	none.Release()
}

// TestHold states the bounds of long-running requests, which outlive their seats, and that each gives its place back once.
func TestHold(t *testing.T) {
	l := ratelimit.NewClients(ratelimit.ClientsConfig{DisableRate: true, Held: 3, HeldPerClient: 2})
	hold := func(name string, exempt bool) (func(), error) {
		seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: name, Exempt: exempt}, one)
		if err != nil {
			t.Fatal(err)
		}
		defer seat.Release()
		return seat.Hold()
	}
	var releases []func()
	for _, tc := range []struct {
		what, name string
		exempt     bool
		refused    bool
	}{
		{"the first of a client", "jane", false, false},
		{"the last it may have", "jane", false, false},
		{"one more of the same client", "jane", false, true},
		{"another client has its own bound", "joe", false, false},
		{"nobody gets more than there are for all", "ann", false, true},
		{"an exempt client is counted and not refused", "root", true, false},
	} {
		release, err := hold(tc.name, tc.exempt)
		if tc.refused != (err != nil) {
			t.Errorf("%s: %v", tc.what, err)
		}
		if err != nil {
			retryAfter(t, err)
		}
		releases = append(releases, release)
	}
	if s := l.Stats(); s.Held != 3 || s.HeldExempt != 1 || s.RefusedHeld != 2 || s.Seats != 0 || s.Exempt != 0 {
		t.Errorf("%+v, want 3 held, 1 exempt, 2 refused and no seats", s)
	}
	releases[0]()
	releases[0]() // counts once
	if _, err := hold("ann", false); err != nil {
		t.Errorf("the place that was given back is not free: %v", err)
	}
	if _, err := hold("ann", false); err == nil {
		t.Error("a place was given back twice")
	}
	for _, release := range releases {
		release()
	}
	if s := l.Stats(); s.Held != 1 || s.HeldExempt != 0 {
		t.Errorf("%+v, want the one of ann to be left", s)
	}
	var none *ratelimit.Seat
	release, err := none.Hold()
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// TestHoldersStay guards against a client whose watches are forgotten when other names flood the table.
func TestHoldersStay(t *testing.T) {
	l := ratelimit.NewClients(ratelimit.ClientsConfig{DisableRate: true, MaxClients: 2, HeldPerClient: 1})
	acquire := func(name string) *ratelimit.Seat {
		seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: name}, one)
		if err != nil {
			t.Fatal(err)
		}
		return seat
	}
	seat := acquire("jane")
	if _, err := seat.Hold(); err != nil {
		t.Fatal(err)
	}
	seat.Release()
	for i := range 100 {
		acquire(fmt.Sprint("other", i)).Release()
	}
	seat = acquire("jane")
	defer seat.Release()
	if _, err := seat.Hold(); err == nil {
		t.Error("a client that was forgotten holds twice what it may")
	}
}

// TestCrowd lets many clients come, hold, wait, give up and leave at random, and checks that no bound is ever
// exceeded and that all is free at the end.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seats, share = 10, 4
		l := ratelimit.NewClients(ratelimit.ClientsConfig{
			Rate: 1e6, Seats: seats, SeatsPerClient: share, Queue: 20, QueuePerClient: 6, MaxWait: 50 * time.Millisecond,
		})
		var all atomic.Int64
		var each [8]atomic.Int64
		var served, refused atomic.Int64
		var crowd sync.WaitGroup
		for i := range 400 {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			crowd.Go(func() {
				time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(100))*time.Millisecond)
				defer cancel()
				who, n := rnd.IntN(len(each)), int64(1+rnd.IntN(3))
				seat, err := l.Acquire(ctx, ratelimit.Client{Name: fmt.Sprint(who)}, ratelimit.Cost{Seats: int(n)})
				if err != nil {
					refused.Add(1)
					return
				}
				if a, e := all.Add(n), each[who].Add(n); a > seats || e > share {
					t.Errorf("%d seats taken, %d of them by one client", a, e)
				}
				time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
				all.Add(-n)
				each[who].Add(-n)
				seat.Release()
				served.Add(1)
			})
		}
		crowd.Wait()
		if s := l.Stats(); s.Seats != 0 || s.Waiting != 0 {
			t.Errorf("%+v when all have gone", s)
		}
		if served.Load() < 100 || refused.Load() < 10 {
			t.Errorf("%d served and %d refused say little", served.Load(), refused.Load())
		}
	})
}
