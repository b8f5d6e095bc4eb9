package services

import (
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// block is the range of addresses of one CIDR. Addresses are taken at random from its upper part first, so that whoever
// chooses addresses himself finds free ones in the lower.
type block struct {
	prefix      netip.Prefix
	first, last netip.Addr // that can be taken
	dynamic     netip.Addr // where the upper part begins; first, if there is no lower part
	low, high   uint64     // how many addresses the parts have; above 2^64-1 it is that
}

// The lower part of a CIDR is a sixteenth of it, within these bounds; small CIDRs have none.
const (
	minStaticAddresses = 16
	maxStaticAddresses = 256
	staticAddressPart  = 16
)

// minPrefix6 is the shortest prefix of IPv6 that addresses are taken from.
const minPrefix6 = 64

// newBlock computes the range of a CIDR, which must be valid; ok is false for one that is too large or has no addresses to give.
func newBlock(p netip.Prefix) (b block, ok bool) {
	p = p.Masked()
	hostBits := p.Addr().BitLen() - p.Bits()
	if !p.Addr().Is4() && p.Bits() < minPrefix6 {
		return block{}, false
	}
	total := uint64(math.MaxUint64)
	if hostBits < 64 {
		total = 1<<hostBits - 1 // all but the network's own address
	}
	b = block{prefix: p, first: p.Addr().Next(), last: lastOf(p)}
	if p.Addr().Is4() {
		if total < 2 {
			return block{}, false
		}
		total-- // the broadcast address
		b.last = b.last.Prev()
	}
	if total == 0 {
		return block{}, false
	}
	b.low = staticAddresses(hostBits)
	b.high = total - b.low
	b.dynamic = plus(b.first, b.low)
	return b, true
}

// staticAddresses is the size of the lower part.
func staticAddresses(hostBits int) uint64 {
	if hostBits >= 63 {
		return maxStaticAddresses
	}
	size := uint64(1) << hostBits
	if size <= minStaticAddresses {
		return 0
	}
	return min(max(size/staticAddressPart, minStaticAddresses), maxStaticAddresses)
}

// contains reports whether the address is one that can be taken from the block.
func (b block) contains(a netip.Addr) bool { return prefixHolds(b.prefix, a) }

// prefixHolds reports whether an address can be a service's by a CIDR: the network's own address and the broadcast address of IPv4
// cannot.
func prefixHolds(p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) && a != p.Masked().Addr() && (!a.Is4() || a != lastOf(p))
}

// search visits the addresses of the block in the order in which they are tried, each once, until visit returns false.
func (b block) search(visit func(netip.Addr) bool) {
	if b.high > 0 && !walk(b.dynamic, b.last, rand.Uint64N(b.high), visit) {
		return
	}
	if b.low > 0 {
		walk(b.first, b.dynamic.Prev(), rand.Uint64N(b.low), visit)
	}
}

// walk visits every address from first to last, beginning at an offset and going round. It reports whether it was let finish.
func walk(first, last netip.Addr, offset uint64, visit func(netip.Addr) bool) bool {
	start := plus(first, offset)
	for a := start; ; {
		if !visit(a) {
			return false
		}
		if a == last {
			a = first
		} else {
			a = a.Next()
		}
		if a == start {
			return true
		}
	}
}

// plus adds to an address. The sum must be an address of the family.
func plus(a netip.Addr, n uint64) netip.Addr {
	sum := new(big.Int).SetBytes(a.AsSlice())
	sum.Add(sum, new(big.Int).SetUint64(n))
	out, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, a.BitLen()/8)))
	return out
}

// lastOf is the address of a prefix with all host bits set.
func lastOf(p netip.Prefix) netip.Addr {
	b := slices.Clone(p.Masked().Addr().AsSlice())
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// familyOf is the family of an address.
func familyOf(a netip.Addr) corev1.IPFamily {
	if a.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// otherFamily is the one that the given family is not.
func otherFamily(f corev1.IPFamily) corev1.IPFamily {
	if f == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
