package ratelimit_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/ratelimit"
)

var one = ratelimit.Cost{Units: 1, Seats: 1}

// ask sends one request of the client that ends at once, and returns how many seconds to wait if it is
// refused, else 0.
func ask(t *testing.T, c *ratelimit.Clients, name string, cost ratelimit.Cost) int {
	t.Helper()
	seat, err := c.Acquire(context.Background(), ratelimit.Client{Name: name}, cost)
	if err == nil {
		seat.Release()
		return 0
	}
	return retryAfter(t, err)
}

func retryAfter(t *testing.T, err error) int {
	t.Helper()
	e := api.ToError(err)
	if e.Code() != 429 || e.Status.Details == nil || e.Status.Details.RetryAfterSeconds < 1 || e.Status.Details.RetryAfterSeconds > 32 {
		t.Fatalf("refused with %+v, want 429 and 1 to 32 seconds", e.Status)
	}
	return int(e.Status.Details.RetryAfterSeconds)
}

func TestClientBudget(t *testing.T) {
	c := newClock()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 2, Burst: 10, Clock: c.Now})
	expect := func(step string, units, wait int) {
		t.Helper()
		if got := ask(t, l, "jane", ratelimit.Cost{Units: units}); got != wait {
			t.Errorf("%s: wait %d s, want %d", step, got, wait)
		}
	}
	expect("most of the burst", 8, 0)
	expect("more than is left", 4, 1)
	expect("a refusal costs nothing", 2, 0)
	expect("seconds are rounded up", 3, 2)
	expect("no units count as one", 0, 1)
	c.advance(500 * time.Millisecond)
	expect("one unit came back", 1, 0)
	c.advance(time.Hour)
	expect("more than the burst counts as the burst", 1000, 0)
	expect("and uses it up", 1, 1)
	if got := ask(t, l, "bob", one); got != 0 {
		t.Errorf("another client waits %d s for jane", got)
	}
}

func TestCharge(t *testing.T) {
	c := newClock()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 10, Burst: 20, Clock: c.Now})
	charge := func(bytes int64) {
		t.Helper()
		seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: "jane"}, one)
		if err != nil {
			t.Fatal(err)
		}
		seat.Charge(bytes)
		seat.Release()
	}
	charge(99_999)
	if got := l.Stats().ChargedUnits; got != 0 {
		t.Errorf("%d units for less than 100 KB", got)
	}
	charge(-1)
	charge(2_500_000) // 25 units: 3 requests and these overdraw 20 by 8
	if got := ask(t, l, "jane", one); got != 1 {
		t.Errorf("after 2.5 MB: wait %d s, want 1", got)
	}
	c.advance(900 * time.Millisecond)
	if got := ask(t, l, "jane", one); got != 0 {
		t.Errorf("the debt of 8 units is paid after 0.9 s, yet wait %d s", got)
	}
	c.advance(time.Hour)
	charge(1 << 50)
	if got := ask(t, l, "jane", one); got != 31 {
		t.Errorf("after a petabyte: wait %d s, want 31: 30 of debt and one unit", got)
	}
	c.advance(31 * time.Second)
	if got := ask(t, l, "jane", one); got != 0 {
		t.Errorf("after the debt: wait %d s", got)
	}
}

func TestCostOf(t *testing.T) {
	tests := []struct {
		info api.RequestInfo
		want ratelimit.Cost
	}{
		{api.RequestInfo{Verb: "get", Name: "x"}, ratelimit.Cost{Units: 1, Seats: 1}},
		{api.RequestInfo{Verb: "list"}, ratelimit.Cost{Units: 1, Seats: 2}},
		{api.RequestInfo{Verb: "list", Name: "x"}, ratelimit.Cost{Units: 1, Seats: 1}},
		{api.RequestInfo{Verb: "watch"}, ratelimit.Cost{Units: 1, Seats: 1}},
		{api.RequestInfo{Verb: "create"}, ratelimit.Cost{Units: 1, Seats: 1}},
		{api.RequestInfo{Verb: "deletecollection"}, ratelimit.Cost{Units: 10, Seats: 2}},
	}
	for _, tt := range tests {
		if got := ratelimit.CostOf(tt.info); got != tt.want {
			t.Errorf("CostOf(%s %q) = %+v, want %+v", tt.info.Verb, tt.info.Name, got, tt.want)
		}
	}
}

// TestDefaultsFitRealClients: a controller must not notice the limiter, a flood must.
func TestDefaultsFitRealClients(t *testing.T) {
	c := newClock()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Clock: c.Now})
	refused := map[string]int{}
	seconds := 20
	for tick := range seconds * 1200 {
		c.advance(time.Second / 1200)
		if ask(t, l, "flood", one) > 0 {
			refused["flood"]++
		}
		if tick%6 == 0 {
			refused["controller"] += ask(t, l, "controller", one)
		}
		if seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: "flood", Exempt: true}, one); err != nil {
			t.Fatalf("an exempt request was refused: %v", err)
		} else {
			seat.Release()
		}
	}
	if refused["controller"] != 0 {
		t.Error("a controller with 200 requests per second was refused")
	}
	served := seconds*1200 - refused["flood"]
	if want := ratelimit.DefaultClientBurst + seconds*ratelimit.DefaultClientRate; served > want || served < want-10 {
		t.Errorf("of a flood of 1200 per second %d requests were served in %d s, want %d", served, seconds, want)
	}
	if got := l.Stats().GrantedExempt; got != uint64(seconds*1200) {
		t.Errorf("%d exempt requests counted", got)
	}
}

// TestFloodOfNamesResetsNobody: whoever can invent names must not get a throttled name a fresh budget.
func TestFloodOfNamesResetsNobody(t *testing.T) {
	c := newClock()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 1, Burst: 5, MaxClients: 8, Clock: c.Now})
	busy := func(n int) string { return fmt.Sprint("busy", n) }
	for n := range 8 {
		ask(t, l, busy(n), ratelimit.Cost{Units: 5})
	}
	served := 0
	for n := range 10_000 {
		if ask(t, l, fmt.Sprint("new", n), one) == 0 {
			served++
		}
	}
	if served != 5 {
		t.Errorf("%d requests of new names were served, want the 5 of the shared account", served)
	}
	for n := range 8 {
		if ask(t, l, busy(n), one) == 0 {
			t.Errorf("%s got a new budget from the flood", busy(n))
		}
	}
	c.advance(5 * time.Second)
	for n := range 8 {
		if ask(t, l, fmt.Sprint("later", n), ratelimit.Cost{Units: 4}) != 0 {
			t.Errorf("later%d found no place though all others are idle", n)
		}
	}
	if got := l.Stats(); got.Accounts != 8 || got.Overflow != 10_000 {
		t.Errorf("%+v, want 8 accounts and 10,000 requests on the shared one", got)
	}
}

// TestIndebtedDoNotBlockTheDoor: accounts that cannot be forgotten, being the oldest, must not keep those
// behind them from being found idle.
func TestIndebtedDoNotBlockTheDoor(t *testing.T) {
	c := newClock()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 1, Burst: 100, MaxClients: 40, Clock: c.Now})
	for n := range 40 {
		cost := one
		if n < 20 {
			cost.Units = 100
		}
		ask(t, l, fmt.Sprint(n), cost)
	}
	c.advance(10 * time.Second)
	for n := range 22 {
		ask(t, l, fmt.Sprint("new", n), one)
	}
	if got := l.Stats().Overflow; got != 2 {
		t.Errorf("%d of 22 new clients found no place, want the 2 that looked at 8 of the 20 indebted each", got)
	}
}

// TestSeatHoldersStay: an account that holds a seat must not be forgotten, or its share would be lost count
// of.
func TestSeatHoldersStay(t *testing.T) {
	c := newClock()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{MaxClients: 1, SeatsPerClient: 1, QueuePerClient: 1, Clock: c.Now})
	seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: "long"}, one)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour)
	ask(t, l, "other", one)
	if got := l.Stats(); got.Overflow != 1 || got.Seats != 1 {
		t.Errorf("%+v, want the other on the shared account", got)
	}
	seat.Release()
	ask(t, l, "other", one)
	if got := l.Stats(); got.Overflow != 1 || got.Accounts != 1 || got.Seats != 0 {
		t.Errorf("%+v, want the other in the place that became free", got)
	}
}

func TestLongNames(t *testing.T) {
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 1, Burst: 1, Clock: newClock().Now})
	long := strings.Repeat("x", 1<<20)
	if ask(t, l, long+"a", one) != 0 || ask(t, l, long+"b", one) != 0 {
		t.Error("two long names share an account")
	}
	if ask(t, l, long+"a", one) == 0 {
		t.Error("a long name has no account")
	}
}

func TestDisabled(t *testing.T) {
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 1, Burst: 1, Seats: 1, DisableRate: true, DisableSeats: true, Clock: newClock().Now})
	for range 100 {
		seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: "jane"}, one)
		if err != nil {
			t.Fatal(err)
		}
		seat.Charge(1 << 40)
	}
	if got := l.Stats().Seats; got != 100 {
		t.Errorf("%d seats counted, want 100", got)
	}
}

// TestMillionClients: with the default bound of 16,384 accounts, state stays below 16 MiB.
func TestMillionClients(t *testing.T) {
	c := newClock()
	before := heap()
	l := ratelimit.NewClients(ratelimit.ClientsConfig{Clock: c.Now})
	for n := range 1_000_000 {
		c.advance(100 * time.Microsecond)
		ask(t, l, fmt.Sprintf("system:serviceaccount:namespace-%d:builder", n), one)
	}
	if grown := int64(heap()) - int64(before); grown > 16<<20 {
		t.Errorf("heap grew by %d bytes, want at most 16 MiB", grown)
	}
	want := ratelimit.Stats{Accounts: ratelimit.DefaultMaxClients, Granted: 1_000_000}
	if diff := cmp.Diff(want, l.Stats(), cmpopts.IgnoreFields(ratelimit.Stats{}, "GrantedExempt")); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	runtime.KeepAlive(l)
}

func BenchmarkAcquire(b *testing.B) {
	for _, clients := range []int{1, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			l := ratelimit.NewClients(ratelimit.ClientsConfig{Rate: 1e9, Burst: 1e9})
			names := make([]string, clients)
			for i := range names {
				names[i] = fmt.Sprint("user", i)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				seat, err := l.Acquire(context.Background(), ratelimit.Client{Name: names[n%clients]}, one)
				if err != nil {
					b.Fatal(err)
				}
				seat.Release()
			}
		})
	}
}
