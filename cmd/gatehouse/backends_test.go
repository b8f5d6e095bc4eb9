package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// TestListensAt: the server knows itself under each of its addresses, so that no node can pretend to be at one of them.
func TestListensAt(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // Nothing was written.
	port := netip.MustParseAddrPort(ln.Addr().String()).Port()
	p := &parts{wiring: wiring{listener: ln, options: &flags.Options{AdvertiseAddress: netip.MustParseAddr("192.0.2.1")}}}
	own := []string{"127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "192.0.2.1"}
	local, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range local {
		own = append(own, netip.MustParsePrefix(a.String()).Addr().String())
	}
	for _, a := range own {
		if !p.listensAt(netip.AddrPortFrom(netip.MustParseAddr(a), port)) {
			t.Errorf("%s is not known as the server's own", a)
		}
		if p.listensAt(netip.AddrPortFrom(netip.MustParseAddr(a), port^1)) {
			t.Errorf("another port of %s is taken for the server's", a)
		}
	}
	if p.listensAt(netip.AddrPortFrom(netip.MustParseAddr("203.0.113.77"), port)) {
		t.Error("another machine is taken for the server")
	}
}
