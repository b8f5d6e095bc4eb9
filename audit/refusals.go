package audit

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Summing up
//
// Idea: whoever is refused before anything is done for the request costs the server little, so that a client which ignores
// refusals could push everything else out of a log of bounded size. The first refusal of its kind is written in full. Those
// that follow are counted, and as long as they go on, the last of them is written once a second with their number. The
// numbers add up to all refusals.
//
// Attack considered: many addresses, each with a few refusals. At most maxRefusalKinds are told apart; the others share one
// kind for each code and class.

const (
	summaryInterval = time.Second
	maxRefusalKinds = 128
)

// refusal is what refusals that are summed up have in common.
type refusal struct {
	code  int
	who   string // the user (429) or the address (401)
	write bool
	all   bool // whoever it was
}

// refusals counts what is not written for each kind. It starts no goroutine but those of its timers.
type refusals struct {
	log     *Log
	similar atomic.Uint64 // counted in place of an event of their own

	mu     sync.Mutex // guards the fields below; it is taken before that of a Record and of the queue
	kinds  map[refusal]*similar
	closed bool
}

// similar are the refusals of one kind since its last event.
type similar struct {
	timer *time.Timer
	n     uint64
	last  *Record // which has ended; nil if n is 0
}

func newRefusals(l *Log) *refusals { return &refusals{log: l, kinds: map[refusal]*similar{}} }

// refusal is the kind of a refused request, if that is summed up. It is called with mu held.
func (r *Record) refusal(code int) (refusal, bool) {
	if r.received {
		return refusal{}, false
	}
	kind := refusal{code: code, write: r.precedes}
	switch code {
	case 401:
		if n := len(r.event.SourceIPs); n > 0 {
			kind.who = network(r.event.SourceIPs[n-1])
		}
		return kind, true
	case 429:
		kind.who = r.event.User.Username
		return kind, true
	}
	return refusal{}, false
}

// network is the address, or the /64 network of an IPv6 address, which is what one host gets.
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is6() || addr.Is4In6() {
		return ip
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.String()
}

// add writes the record, or counts it if one of its kind was written within the interval.
func (s *refusals) add(kind refusal, r *Record) {
	s.mu.Lock()
	k := s.kinds[kind]
	if k == nil && len(s.kinds) >= maxRefusalKinds {
		kind = refusal{code: kind.code, write: kind.write, all: true}
		k = s.kinds[kind]
	}
	if k != nil && !s.closed {
		k.n++
		k.last = r
		s.similar.Add(1)
		s.mu.Unlock()
		return
	}
	if !s.closed {
		s.kinds[kind] = &similar{timer: time.AfterFunc(summaryInterval, func() { s.due(kind) })}
	}
	s.mu.Unlock()
	r.mu.Lock()
	event := r.entry()
	r.mu.Unlock()
	r.push(event)
}

// due writes what was counted in the last interval, or forgets the kind. While the queue is half full, as it is when records
// cannot be written, it goes on counting.
func (s *refusals) due(kind refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	switch {
	case k == nil: // closed
		return
	case k.n == 0:
		delete(s.kinds, kind)
		return
	case 2*s.log.queue.fill() <= s.log.opts.MaxQueueBytes:
		s.write(kind, k)
	}
	k.timer.Reset(summaryInterval)
}

// write is called with mu held.
func (s *refusals) write(kind refusal, k *similar) {
	r := k.last
	r.mu.Lock()
	r.notes = r.notes.set(AnnotationSummarised, strconv.FormatUint(k.n, 10))
	if kind.all {
		r.notes = r.notes.set(AnnotationSummarisedOver, "all")
	}
	event := r.entry()
	r.mu.Unlock()
	k.n, k.last = 0, nil
	if err := s.log.queue.force(event); err != nil {
		s.log.opts.Logger.Error("an audit record came after the log was closed")
	}
}

// close writes what was counted. Refusals that come later are not summed up.
func (s *refusals) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for kind, k := range s.kinds {
		k.timer.Stop()
		if k.n > 0 {
			s.write(kind, k)
		}
	}
	clear(s.kinds)
}
