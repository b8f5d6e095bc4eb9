package server_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/server"
)

// FuzzAccept: whatever the header says, the answer is a form that exists, and one that the header does not name is
// never chosen over the one that is always there.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{
		"", "*/*", "application/json", server.TypeAggregated + ",application/json", server.TypeSpec3,
		"application/json;q=0.5,text/html", ";;;,", "application/json;as=", "a/b;q=x", "/,/", `application/json;as="x,y"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		media, params, ok := server.Choose(accept, server.AggregatedOrPlain)
		if ok == (media == "") || !slices.Contains([]string{"", server.TypeJSON, "application/yaml", "application/vnd.kubernetes.protobuf"}, media) {
			t.Errorf("%q chose %q, %v", accept, media, ok)
		}
		if params["as"] != "" && params["as"] != "APIGroupDiscoveryList" {
			t.Errorf("%q chose a form that is not there: %v", accept, params)
		}
		if got := server.AcceptSpec(accept, server.TypeSpec3); !slices.Contains([]string{"", server.TypeJSON, server.TypeSpec3}, got) {
			t.Errorf("%q chose %q", accept, got)
		}
	})
}

// FuzzProtocols: a token is taken out of the list whole, and no part of it stays in what is left.
func FuzzProtocols(f *testing.F) {
	const prefix = "base64url.bearer.authorization.k8s.io."
	for _, seed := range []string{"", "a", "a, b", prefix + "YWJj,a", prefix + "YWJj", prefix + "!,a", prefix + "YQ," + prefix + "Yg,a", prefix + "_w,a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		token, rest, err := server.BearerFromProtocols(list)
		if err != nil && (token != "" || rest != "") {
			t.Errorf("%q: %q and %q with an error", list, token, rest)
		}
		if strings.Contains(","+strings.ReplaceAll(rest, " ", ""), ","+prefix) {
			t.Errorf("%q left %q", list, rest)
		}
		if token != "" && (rest == "" && !strings.Contains(list, ",") || !utf8.ValidString(token)) {
			t.Errorf("%q gave %q and left %q", list, token, rest)
		}
	})
}

// FuzzSourceIPs: what is recorded is a bounded list of addresses in their one form, each once, and the last is the true one.
func FuzzSourceIPs(f *testing.F) {
	for _, seed := range []string{"", "10.0.0.1", "10.0.0.1, ::1", "::ffff:10.0.0.1,fe80::1%eth0", "a,b,,", "1.1.1.1,1.1.1.1,127.0.0.9"} {
		f.Add(seed, seed)
	}
	peer := netip.MustParseAddr("127.0.0.9")
	f.Fuzz(func(t *testing.T, forwarded, real string) {
		ips := server.SourceIPs(http.Header{"X-Forwarded-For": {forwarded}, "X-Real-Ip": {real}}, peer)
		if len(ips) == 0 || len(ips) > 17 || ips[len(ips)-1] != peer.String() {
			t.Fatalf("got %v", ips)
		}
		for i, ip := range ips {
			addr, err := netip.ParseAddr(ip)
			if err != nil || addr.Unmap().WithZone("").String() != ip || slices.Contains(ips[:i], ip) {
				t.Errorf("%q in %v: %v", ip, ips, err)
			}
		}
	})
}
