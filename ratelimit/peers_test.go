package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock stands still until it is moved.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// nth is the n-th of many addresses, half of them IPv6 networks.
func nth(n int) netip.Addr {
	if n%2 == 0 {
		return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 4: byte(n >> 24), 5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n), 15: 1})
}

func TestPeerBudget(t *testing.T) {
	c := newClock()
	p := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: 10, Burst: 3, FailureCost: 5, Clock: c.Now})
	peer := addr("192.0.2.1")
	expect := func(step string, ok bool, wait time.Duration) {
		t.Helper()
		if gotWait, gotOK := p.Allow(peer); gotOK != ok || gotWait != wait {
			t.Errorf("%s: Allow = %v, %v; want %v, %v", step, gotWait, gotOK, wait, ok)
		}
	}
	for range 3 {
		expect("the burst", true, 0)
	}
	expect("beyond the burst", false, 100*time.Millisecond)
	expect("a refused request costs nothing", false, 100*time.Millisecond)
	c.advance(100*time.Millisecond - 1)
	expect("a nanosecond early", false, 1)
	c.advance(1)
	expect("at the time told", true, 0)
	expect("but one only", false, 100*time.Millisecond)
	c.advance(time.Hour)
	for range 3 {
		expect("the burst again, and no more", true, 0)
	}
	expect("the burst does not accumulate", false, 100*time.Millisecond)
	p.Penalize(peer)
	expect("a failure is paid by waiting", false, 600*time.Millisecond)
	for range 1000 {
		p.Penalize(peer)
	}
	expect("but no longer than 30 seconds", false, 30*time.Second+100*time.Millisecond)
	if _, ok := p.Allow(addr("192.0.2.2")); !ok {
		t.Error("the neighbour pays for it")
	}
}

func TestWhichAddressesAreOnePeer(t *testing.T) {
	tests := []struct {
		name, one, other string
		same             bool
	}{
		{"two IPv4 hosts", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 in IPv6 form", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two IPv4 hosts in IPv6 form", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"one IPv6 network", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true},
		{"two IPv6 networks", "2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"a zone makes no other peer", "fe80::1%eth0", "fe80::2%eth1", true},
		{"an IPv4 host and the IPv6 network of its bits", "192.0.2.1", "c000:201::1", false},
		{"loopback of both families", "127.0.0.1", "::1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: 1, Burst: 1, Clock: newClock().Now})
			p.Allow(addr(tt.one))
			if _, ok := p.Allow(addr(tt.other)); ok == tt.same {
				t.Errorf("%s and %s are one peer: %v, want %v", tt.one, tt.other, !ok, tt.same)
			}
		})
	}
	p := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: 1, Burst: 1, Clock: newClock().Now})
	p.Allow(netip.Addr{})
	if _, ok := p.Allow(netip.Addr{}); ok {
		t.Error("a peer without an address is not limited")
	}
}

// TestThrottledPeersStay fills the only set of a table with throttled peers and lets many others come by.
func TestThrottledPeersStay(t *testing.T) {
	c := newClock()
	p := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: 1, Burst: 2, Slots: 1, Clock: c.Now})
	for range 3 {
		for n := range 4 {
			p.Allow(nth(n))
		}
	}
	allowed := 0
	for n := range 10_000 {
		if _, ok := p.Allow(nth(100 + n)); ok {
			allowed++
		}
	}
	if allowed != 2 {
		t.Errorf("%d requests of peers without a slot were allowed, want their common budget of 2", allowed)
	}
	for n := range 4 {
		if wait, ok := p.Allow(nth(n)); ok || wait != time.Second {
			t.Errorf("peer %d was forgotten: Allow = %v, %v", n, wait, ok)
		}
	}
	c.advance(2 * time.Second)
	if _, ok := p.Allow(nth(200)); !ok {
		t.Error("a table of idle peers has no place for a new one")
	}
}

// TestAnyWindow sends requests at random times and checks the promise itself: in no stretch of time were more
// allowed than the burst and what the rate gives for that time; and who comes back when told is let in.
func TestAnyWindow(t *testing.T) {
	const interval, burst = 20 * time.Millisecond, 7
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := newClock()
		p := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: float64(time.Second / interval), Burst: burst, Clock: c.Now})
		peer := nth(int(seed))
		var allowed []time.Time
		for range 400 {
			c.advance(time.Duration(rnd.Int64N(int64(2 * interval))))
			wait, ok := p.Allow(peer)
			if !ok && rnd.IntN(2) == 0 {
				c.advance(wait)
				if _, ok = p.Allow(peer); !ok {
					t.Fatalf("seed %d: refused again after waiting %v as told", seed, wait)
				}
			}
			if ok {
				allowed = append(allowed, c.now)
			}
		}
		for i := range allowed {
			for j := i; j < len(allowed); j++ {
				if n, most := j-i+1, burst+int(allowed[j].Sub(allowed[i])/interval); n > most {
					t.Fatalf("seed %d: %d requests allowed in %v, at most %d are permitted", seed, n, allowed[j].Sub(allowed[i]), most)
				}
			}
		}
	}
}

func TestPeerDefaults(t *testing.T) {
	c := newClock()
	p := ratelimit.NewPeers(ratelimit.PeersConfig{Clock: c.Now})
	for i := range 20 * 200 {
		c.advance(5 * time.Millisecond)
		if _, ok := p.Allow(addr("192.0.2.1")); !ok {
			t.Fatalf("request %d of a client with 200 requests per second was refused", i)
		}
	}
	served := 0
	for range 2000 { // one second of bad credentials
		c.advance(500 * time.Microsecond)
		if _, ok := p.Allow(addr("192.0.2.9")); ok {
			served++
			p.Penalize(addr("192.0.2.9"))
		}
	}
	if served < 200 || served > 310 {
		t.Errorf("%d failed authentications in the first second, want the burst of about 200 and 100 more", served)
	}
	off := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: 1, Burst: 1, Disable: true, Clock: c.Now})
	for range 10 {
		off.Penalize(nth(1))
		if _, ok := off.Allow(nth(1)); !ok {
			t.Fatal("a disabled limiter refused")
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMillionPeers: the table is 2 MiB; a million addresses must not add to it.
func TestMillionPeers(t *testing.T) {
	before := heap()
	p := ratelimit.NewPeers(ratelimit.PeersConfig{})
	for n := range 1_000_000 {
		p.Allow(nth(n))
	}
	if grown := int64(heap()) - int64(before); grown > 3<<20 {
		t.Errorf("heap grew by %d bytes, want at most 3 MiB", grown)
	}
	runtime.KeepAlive(p)
	if n := testing.AllocsPerRun(100, func() { p.Allow(nth(7)); p.Penalize(nth(7)) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkPeersAllow(b *testing.B) {
	for _, peers := range []int{1, 1_000_000} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			p := ratelimit.NewPeers(ratelimit.PeersConfig{})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				p.Allow(nth(n % peers))
			}
		})
	}
}
