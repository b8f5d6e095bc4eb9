package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of [PeersConfig]. One address may be a whole office or a load balancer, so the rate is far above
// what one client does; credentials that fail use it up fifty times as fast, which leaves 100 of them per
// second.
const (
	DefaultPeerRate    = 5000
	DefaultPeerBurst   = 10000
	DefaultPeerSlots   = 1 << 17
	DefaultFailureCost = 50
)

// PeersConfig configures [Peers]. Its zero value uses the defaults.
type PeersConfig struct {
	// Rate is how many requests per second one peer may send in the long run; 0 means DefaultPeerRate. It must
	// not be negative. Less than one per hour counts as one per hour.
	Rate float64
	// Burst is how many it may send at once, at most 1,000,000; 0 means DefaultPeerBurst.
	Burst int
	// FailureCost is what a failed authentication costs on top of its request, at most 1,000,000 units; 0
	// means DefaultFailureCost.
	FailureCost int
	// Slots bounds the table at 16 bytes per slot; 0 means DefaultPeerSlots (2 MiB). It is rounded up to a
	// power of two, and to 4 at least.
	Slots int
	// Disable lets every peer send what it wants.
	Disable bool
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
}

// Peers limits the requests of each peer address before anybody is authenticated. Make it with [NewPeers]; it
// is safe for concurrent use.
//
// The idea: a peer is an IPv4 address or an IPv6 /64 network (what one host or home gets), its state is one
// time ([gcra]), and the states live in a fixed table of 16-byte slots: sets of four, found by a seeded hash
// of the address, each slot tagged with the whole 64-bit hash. Memory is 2 MiB however many addresses come; a
// decision is one hash and at most four comparisons under one of 64 locks.
//
// Rejected: a map of token buckets. One million IPv4 addresses in map[netip.Addr]*rate.Limiter take 156 MB,
// and any rule that evicts by age lets whoever has many addresses push the throttled ones out.
//
// Collisions: a new peer whose set is full takes the slot that is nearest to a full bucket. A slot of a full
// bucket holds nothing, so usually nothing is lost; otherwise the evicted peer is forgiven what it had used of
// its burst. A peer that is being throttled is never evicted. If all four are, the new peer draws on one
// budget that all such peers share: it may be refused early, never let in beyond it. Two peers with the same
// 64-bit hash share a budget. The seed is secret, so nobody can choose addresses that meet in a set.
//
// Attack considered: one IPv6 site has 65,536 /64 networks, each with its own budget here. What they can do
// together is bounded by connection limits below and by the clients' limits above this one.
type Peers struct {
	arith       gcra
	failureCost int64
	clock       func() time.Time
	start       time.Time
	seed        maphash.Seed
	disabled    bool
	refused     prometheus.Counter
	penalized   prometheus.Counter

	locks [peerLocks]sync.Mutex // locks[i%peerLocks] guards sets[i]
	sets  []slotSet

	overflowMu sync.Mutex // guards overflow
	overflow   int64      // tat of the peers that found no slot
}

const (
	slotsPerSet = 4
	peerLocks   = 64
	// maxPeerDebt bounds how long a peer is refused after its last failed authentication.
	maxPeerDebt = 30 * time.Second
)

type slotSet [slotsPerSet]slot

type slot struct {
	tag uint64
	tat int64 // 0 in an unused slot, which no other slot can be confused with: it is long past
}

// NewPeers returns a limiter without any state. Its memory is allocated here and never grows.
func NewPeers(c PeersConfig) *Peers {
	sets := 1
	for sets*slotsPerSet < orDefault(c.Slots, DefaultPeerSlots) {
		sets *= 2
	}
	p := &Peers{
		arith:       newGCRA(orDefault(c.Rate, DefaultPeerRate), orDefault(c.Burst, DefaultPeerBurst)),
		failureCost: int64(min(orDefault(c.FailureCost, DefaultFailureCost), maxUnits)),
		clock:       c.Clock,
		seed:        maphash.MakeSeed(),
		disabled:    c.Disable,
		sets:        make([]slotSet, sets),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_ratelimit_peers_refused_total", Help: "Requests refused before authentication because of their address.",
		}),
		penalized: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_ratelimit_peers_failures_total", Help: "Failed authentications charged to their address.",
		}),
	}
	if p.clock == nil {
		p.clock = time.Now
	}
	p.start = p.clock()
	return p
}

func orDefault[T int | float64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Allow takes one request of the peer into account and reports whether it may be served. If not, the request
// costs nothing and retryAfter says when the next one may be.
func (p *Peers) Allow(addr netip.Addr) (retryAfter time.Duration, ok bool) {
	if p.disabled {
		return 0, true
	}
	var wait int64
	p.update(addr, func(tat, now int64) (next int64) {
		next, wait = p.arith.take(tat, now, 1)
		return next
	})
	if wait != 0 {
		p.refused.Inc()
	}
	return time.Duration(wait), wait == 0
}

// Penalize takes a failed authentication of the peer into account. Failures can use up the budget of at most
// 30 seconds to come.
func (p *Peers) Penalize(addr netip.Addr) {
	if p.disabled {
		return
	}
	p.penalized.Inc()
	p.update(addr, func(tat, now int64) int64 {
		return p.arith.charge(tat, now, p.failureCost, int64(maxPeerDebt))
	})
}

// update replaces the peer's tat by what f makes of it.
func (p *Peers) update(addr netip.Addr, f func(tat, now int64) int64) {
	now := int64(p.clock().Sub(p.start)) + 1 // an unused slot is in the past from the beginning
	tag := p.tag(addr)
	i := tag % uint64(len(p.sets))
	lock := &p.locks[i%peerLocks]
	lock.Lock()
	if s := p.sets[i].find(tag, now, p.arith); s != nil {
		s.tat = f(s.tat, now)
		lock.Unlock()
		return
	}
	lock.Unlock()
	p.overflowMu.Lock()
	defer p.overflowMu.Unlock()
	p.overflow = f(p.overflow, now)
}

// find returns the slot of the tag, taking one for it if need be and possible.
func (s *slotSet) find(tag uint64, now int64, arith gcra) *slot {
	victim := &s[0]
	for i := range s {
		if s[i].tag == tag && s[i].tat != 0 {
			return &s[i]
		}
		if s[i].tat < victim.tat {
			victim = &s[i]
		}
	}
	if arith.throttled(victim.tat, now) {
		return nil
	}
	*victim = slot{tag: tag}
	return victim
}

// tag hashes what of the address tells peers apart. An IPv4 address in IPv6 form is the IPv4 address; the zero
// address is a peer of its own.
func (p *Peers) tag(addr netip.Addr) uint64 {
	addr = addr.Unmap().WithZone("")
	network := addr.As16()
	if addr.Is6() {
		clear(network[8:])
	}
	return maphash.Bytes(p.seed, network[:])
}
