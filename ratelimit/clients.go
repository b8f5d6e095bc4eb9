package ratelimit

import (
	"container/list"
	"crypto/sha256"
	"math"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatehouse/gatehouse/api"
)

// Defaults of [ClientsConfig]. A controller that does 200 requests per second stays well below its rate. The pods of a
// DaemonSet share one account: with three watches each, those of 1,600 nodes stay below the bound of one client.
const (
	DefaultClientRate     = 500
	DefaultClientBurst    = 1000
	DefaultMaxClients     = 1 << 14
	DefaultSeats          = 400
	DefaultSeatsPerClient = 100
	DefaultQueue          = 800
	DefaultQueuePerClient = 50
	DefaultMaxWait        = 15 * time.Second
	DefaultHeld           = 20_000
	DefaultHeldPerClient  = 5_000
)

// StreamPlaces is how many watches a connection through this server counts as: it has two sockets and two copying goroutines with their
// buffers. A client may have 500 of them by default, all clients 2,000.
const StreamPlaces = 10

// BytesPerUnit is how many bytes of a response cost one unit, see [Seat.Charge].
const BytesPerUnit = 100_000

// ClientsConfig configures [Clients]. Its zero value uses the defaults; a negative number counts as zero.
type ClientsConfig struct {
	// Rate is how many units per second each client may use in the long run; 0 means DefaultClientRate.
	Rate float64
	// Burst is how many units a client may use at once; 0 means DefaultClientBurst.
	Burst int
	// MaxClients bounds how many clients have state of their own; 0 means DefaultMaxClients.
	MaxClients int
	// Seats is how many seats there are for all clients; 0 means DefaultSeats.
	Seats int
	// SeatsPerClient is how many of them one client may hold; 0 means DefaultSeatsPerClient, and at most
	// Seats.
	SeatsPerClient int
	// Queue is how many requests may wait for a seat; 0 means DefaultQueue.
	Queue int
	// QueuePerClient is how many of them may be of one client; 0 means DefaultQueuePerClient.
	QueuePerClient int
	// MaxWait is how long a request may wait for a seat; 0 means DefaultMaxWait.
	MaxWait time.Duration
	// Held is how many long-running requests may be open, see [Seat.Hold]; 0 means DefaultHeld. An idle watch costs
	// about 26 KiB.
	Held int
	// HeldPerClient is how many of them may be of one client; 0 means DefaultHeldPerClient, and at most Held.
	HeldPerClient int
	// DisableRate gives every client as many units as it wants.
	DisableRate bool
	// DisableSeats gives every request a seat at once. Long-running requests stay bounded.
	DisableSeats bool
	// Clock tells the time for the budgets; nil means time.Now.
	Clock func() time.Time
}

func (c ClientsConfig) withDefaults() ClientsConfig {
	c.Rate = orDefault(c.Rate, DefaultClientRate)
	c.Burst = orDefault(c.Burst, DefaultClientBurst)
	c.MaxClients = orDefault(c.MaxClients, DefaultMaxClients)
	c.Seats = orDefault(c.Seats, DefaultSeats)
	c.SeatsPerClient = min(orDefault(c.SeatsPerClient, DefaultSeatsPerClient), c.Seats)
	c.Queue = orDefault(c.Queue, DefaultQueue)
	c.QueuePerClient = orDefault(c.QueuePerClient, DefaultQueuePerClient)
	c.MaxWait = orDefault(c.MaxWait, DefaultMaxWait)
	c.Held = orDefault(c.Held, DefaultHeld)
	c.HeldPerClient = min(orDefault(c.HeldPerClient, DefaultHeldPerClient), c.Held)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// Client says on whose account a request is.
type Client struct {
	// Name is the name of the authenticated user. All requests without a name share one account.
	Name string
	// Exempt requests are counted and never refused nor delayed: those of system:masters, and health checks.
	Exempt bool
}

// Cost is what a request costs at its start.
type Cost struct {
	// Units are taken from the client's budget; less than 1 counts as 1, more than the burst as the burst.
	Units int
	// Seats are held until the release; less than 1 counts as 1, more than one client may hold as that many.
	Seats int
}

// CostOf is the cost of a request by its kind: one unit and one seat, but two seats for a list, which holds
// much at once, and ten units for the deletion of a collection. What a list returned is charged later.
func CostOf(info api.RequestInfo) Cost {
	switch {
	case info.Verb == "deletecollection":
		return Cost{Units: 10, Seats: 2}
	case info.Verb == "list" && info.Name == "":
		return Cost{Units: 1, Seats: 2}
	}
	return Cost{Units: 1, Seats: 1}
}

// Clients limits what each authenticated client may ask of the server. Make it with [NewClients]; it is safe
// for concurrent use and starts no goroutine.
//
// Memory: at most MaxClients clients have state of their own, about 500 bytes each. Only a client that is idle
// (no seat, nothing waiting or long-running, its budget full) is forgotten, and forgetting it changes nothing. A client that
// has used its budget can therefore not be reset by a flood of other names. When all places are taken by
// clients that are not idle, new ones share a single account with the limits of one client.
type Clients struct {
	config   ClientsConfig
	metrics  []metric
	overflow *account // shared by clients that found no place

	mu       sync.Mutex // guards everything below and every account
	accounts map[string]*account
	recent   *list.List // of *account, most recently used first
	inUse    int        // seats held
	queued   int        // requests waiting
	held     int        // long-running requests of clients that are not exempt
	turns    []*account // accounts with waiting requests, next one first
	stats    Stats
}

// An account is the state of one client.
type account struct {
	name   string
	budget *rate.Limiter
	inUse  int
	held   int // long-running requests
	queue  []*waiter
	place  *list.Element // in Clients.recent; nil for the overflow account
}

// Stats counts what a [Clients] did since its start, and what it holds now.
type Stats struct {
	Accounts, Seats, Waiting              int    // now
	Exempt                                int    // exempt requests being executed now
	Held, HeldExempt                      int    // long-running requests open now
	Granted, RefusedRate, RefusedSeats    uint64 // since the start
	RefusedHeld                           uint64 // long-running requests, since the start
	GrantedExempt, ChargedUnits, Overflow uint64 // since the start; Overflow counts requests on the shared account
}

// NewClients returns a limiter in which every client has its full budget.
func NewClients(c ClientsConfig) *Clients {
	c = c.withDefaults()
	l := &Clients{config: c, metrics: clientMetrics(), accounts: make(map[string]*account), recent: list.New()}
	l.overflow = l.newAccount("")
	return l
}

// Stats returns the counters.
func (c *Clients) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Accounts, s.Seats, s.Waiting, s.Held = len(c.accounts), c.inUse, c.queued, c.held
	return s
}

func (c *Clients) newAccount(name string) *account {
	limit := rate.Limit(c.config.Rate)
	if c.config.DisableRate {
		limit = rate.Inf
	}
	return &account{name: name, budget: rate.NewLimiter(limit, c.config.Burst)}
}

const (
	maxNameBytes = 256
	// evictionTries bounds how many accounts one request looks at for an idle one. Those that are not idle go
	// to the front, so that the next request looks at others.
	evictionTries = 8
)

// account returns the account of the name. The caller holds c.mu.
func (c *Clients) account(name string, now time.Time) *account {
	if len(name) > maxNameBytes {
		sum := sha256.Sum256([]byte(name))
		name = string(sum[:])
	}
	if a := c.accounts[name]; a != nil {
		c.recent.MoveToFront(a.place)
		return a
	}
	if len(c.accounts) >= c.config.MaxClients && !c.evict(now) {
		c.stats.Overflow++
		return c.overflow
	}
	a := c.newAccount(strings.Clone(name))
	a.place = c.recent.PushFront(a)
	c.accounts[a.name] = a
	return a
}

// evict forgets an idle account and reports whether there was one among those longest unused.
func (c *Clients) evict(now time.Time) bool {
	for range evictionTries {
		oldest := c.recent.Back()
		a := oldest.Value.(*account)
		if a.inUse == 0 && a.held == 0 && len(a.queue) == 0 && a.budget.TokensAt(now) >= float64(c.config.Burst) {
			c.recent.Remove(oldest)
			delete(c.accounts, a.name)
			return true
		}
		c.recent.MoveToFront(oldest)
	}
	return false
}

// take takes units from the account's budget, or says how long until they are there.
func (c *Clients) take(a *account, now time.Time, units int) (wait time.Duration, ok bool) {
	units = min(max(units, 1), c.config.Burst)
	if a.budget.AllowN(now, units) {
		return 0, true
	}
	lacking := float64(units) - a.budget.TokensAt(now)
	return time.Duration(lacking / c.config.Rate * float64(time.Second)), false
}

// maxDebt is how far a budget can be overdrawn by charges, in seconds of its rate.
const maxDebt = 30

// charge takes units that are owed already, down to the greatest debt.
func (c *Clients) charge(a *account, now time.Time, units int64) {
	if c.config.DisableRate {
		return
	}
	most := math.Max(a.budget.TokensAt(now)+c.config.Rate*maxDebt, 0)
	rest := int(math.Min(float64(units), most))
	for rest > 0 {
		n := min(rest, c.config.Burst)
		a.budget.ReserveN(now, n)
		rest -= n
	}
}
