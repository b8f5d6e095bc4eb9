package backend

import (
	"context"
	"net/netip"
	"slices"

	"github.com/gatehouse/gatehouse/api"
)

// Where connections may go. Whoever may write the status of a node or a pod chooses the address that this server connects to on a client's
// behalf, with this server's place in the network and, towards kubelets, with its certificate. What is refused is what only this server
// can reach, or what would take its certificate for something else: its own machine, the metadata services of clouds, and the API servers
// themselves (a node that claims to be one would make the server authenticate to itself).
//
// The check is made on addresses, after names are resolved, and the connection is made to an address that passed. Checking the name and
// leaving it to the dialer to resolve it would check one answer of a name server and use another.

// metadata are addresses at which clouds serve credentials to their machines, beside those that are link-local.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("192.0.0.192"),     // Oracle
		netip.MustParseAddr("fd00:ec2::254"),   // Amazon
		netip.MustParseAddr("fd20:ce::254"),    // Google
	}
}

// Prefixes whose addresses stand for others or for nobody.
func nowhere() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}
}

// embedded returns the IPv4 address that an IPv6 address stands for, where networks translate or tunnel it: with the prefix of RFC 6052,
// with one of RFC 8215 that is laid out alike, with that of 6to4 (RFC 3056), and with none at all (RFC 4291, section 2.5.5.1).
func embedded(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch last, head := [4]byte(b[12:]), [12]byte(b[:12]); {
	case !addr.Is6():
		return addr, false
	case [6]byte(b[:6]) == [6]byte{0, 0x64, 0xff, 0x9b, 0, 1}, head == [12]byte{0, 0x64, 0xff, 0x9b}, head == [12]byte{} && b[12] != 0:
		return netip.AddrFrom4(last), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return addr, false
}

// errAddress is what a client is told of any address that is refused, in the words of kube-apiserver.
func errAddress() error { return api.BadRequest("address not allowed") }

// allowed reports whether the target may be connected to at the address.
func (p *Proxy) allowed(t *Target, at netip.AddrPort) bool {
	addr := at.Addr().Unmap().WithZone("")
	at = netip.AddrPortFrom(addr, at.Port())
	if v4, ok := embedded(addr); ok {
		return p.allowed(t, netip.AddrPortFrom(v4, at.Port()))
	}
	switch {
	case !addr.IsValid(), addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast():
		return false
	case addr.IsLoopback() && (!t.Kubelet || t.NoLoopback || !p.cfg.AllowLoopback):
		return false
	case slices.ContainsFunc(nowhere(), func(n netip.Prefix) bool { return n.Contains(addr) }):
		return false
	case slices.Contains(metadata(), addr), slices.Contains(t.Servers, at):
		return false
	}
	return p.cfg.Own == nil || !p.cfg.Own(at)
}

// addresses resolves the target. One address that is not allowed refuses them all: a name that also leads elsewhere is not trusted.
func (p *Proxy) addresses(ctx context.Context, t *Target) ([]netip.AddrPort, error) {
	port, err := p.cfg.Resolver.LookupPort(ctx, "tcp", t.port())
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(t.Host); err == nil {
		addrs = []netip.Addr{addr}
	} else if addrs, err = p.cfg.Resolver.LookupNetIP(ctx, "ip", t.Host); err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errAddress()
	}
	found := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		found[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port)) //nolint:gosec // A port that was looked up has 16 bits.
		if !p.allowed(t, found[i]) {
			return nil, errAddress()
		}
	}
	return found, nil
}
