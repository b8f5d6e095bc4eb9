package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of what a client says about itself and the audit record repeats.
const (
	maxUserAgent = 1 << 10
	maxClientID  = 64
	maxHops      = 16
)

// sourceIPs are the addresses that the request says it came through, and last the one it did come from. All
// but the last can be forged; what is no address is left out.
func sourceIPs(h http.Header, peer netip.Addr) []string {
	var ips []string
	for _, line := range append(slices.Clone(h["X-Forwarded-For"]), h["X-Real-Ip"]...) {
		for hop := range strings.SplitSeq(line, ",") {
			addr, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil || len(ips) == maxHops {
				continue
			}
			if text := addr.Unmap().WithZone("").String(); !slices.Contains(ips, text) {
				ips = append(ips, text)
			}
		}
	}
	if !peer.IsValid() {
		return ips
	}
	last := peer.String()
	return append(slices.DeleteFunc(ips, func(ip string) bool { return ip == last }), last)
}
