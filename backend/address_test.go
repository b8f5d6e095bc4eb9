package backend_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gatehouse/gatehouse/backend"
)

// FuzzAllowed: whatever an address looks like, what is dialled is a global unicast address that is no metadata service.
func FuzzAllowed(f *testing.F) {
	for _, host := range []string{
		"127.0.0.1", "127.1", "0x7f.1", "::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "[::1]", "169.254.169.254", "64:ff9b::7f00:1", "fe80::1%lo",
		"0", "192.0.2.1", "2001:db8::1", "", "localhost", "100.100.100.200",
	} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		dialled := ""
		p := backend.New(backend.Config{
			Resolver: &names{answers: [][]string{{}}},
			Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = address
				return nil, errDialled
			},
		})
		target := backend.Target{Scheme: "http", Host: host, Port: "80", Path: "/"}
		_ = p.Log(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), target, "p", false, func(int) {})
		if dialled == "" {
			return
		}
		at, err := netip.ParseAddrPort(dialled)
		if err != nil {
			t.Fatalf("dialled %q for %q", dialled, host)
		}
		if a := at.Addr().Unmap(); !a.IsGlobalUnicast() || a == netip.MustParseAddr("100.100.100.200") {
			t.Errorf("dialled %q for %q", dialled, host)
		}
	})
}
