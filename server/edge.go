package server

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/api"
)

// Edge is what browsers and load balancers in front of the server are told. The zero value tells them nothing.
type Edge struct {
	// AllowedOrigins match the origins whose pages may use the API in a browser, as the Fetch standard's CORS protocol has it.
	AllowedOrigins []*regexp.Regexp
	// StrictTransportSecurity is the value of that header (RFC 6797); empty sends none.
	StrictTransportSecurity string
	// GoAwayChance is the probability, from 0 to 1, that a request over HTTP/2 is the last one that its connection takes: the client gets a
	// GOAWAY and connects anew, perhaps to another server.
	GoAwayChance float64
}

// What a page of an allowed origin may do.
const (
	corsMethods = "POST, GET, OPTIONS, PUT, DELETE, PATCH"
	corsHeaders = "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since"
	corsExposed = "Date"
)

// tell sets the headers of the edge.
func (e *Edge) tell(h http.Header, r *http.Request) {
	if e.StrictTransportSecurity != "" {
		h.Set("Strict-Transport-Security", e.StrictTransportSecurity)
	}
	if e.GoAwayChance > 0 && r.ProtoMajor == 2 && rand.Float64() < e.GoAwayChance { //nolint:gosec // The choice needs no secrecy.
		h.Set("Connection", "close") // which net/http turns into a GOAWAY
	}
	if origin := r.Header.Get("Origin"); e.allows(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Expose-Headers", corsExposed)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

func (e *Edge) allows(origin string) bool {
	return origin != "" && slices.ContainsFunc(e.AllowedOrigins, func(re *regexp.Regexp) bool { return re.MatchString(origin) })
}

// isPreflight tells the question that a browser asks before the request of an allowed page.
func (x *exchange) isPreflight() bool {
	return x.r.Method == http.MethodOptions && x.s.cfg.Edge.allows(x.r.Header.Get("Origin"))
}

// preflight answers it. It carries no credentials, and the answer reveals nothing but that the origin is allowed.
func (x *exchange) preflight() error {
	if err := x.limitPeer(); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// reasonOtherSite is why a page may not do what fromOtherSite tells.
const reasonOtherSite = "a page of another site may not use the certificate of the browser"

// fromOtherSite tells a request that a page of another site makes a browser send: the browser adds the certificate of its user by itself, and
// needs no preflight for a POST without a type of content or for a WebSocket. Browsers say so in Sec-Fetch-Site (W3C Fetch Metadata), which pages
// cannot set. What only reads is left alone, since the page does not see the answer, unless it is for something that runs.
func (x *exchange) fromOtherSite() bool {
	switch site := x.r.Header.Get("Sec-Fetch-Site"); {
	case site != "cross-site" && site != "same-site", x.who.Method != "x509", x.s.cfg.Edge.allows(x.r.Header.Get("Origin")):
		return false
	}
	return !x.info.IsReadOnly() || connects(x.info) || len(x.r.Header["Upgrade"]) > 0
}

// turnAway answers what comes when the server has stopped taking requests. With RetryAfter the client is told to come back, on a new
// connection, which a load balancer leads elsewhere.
func (x *exchange) turnAway() {
	err := api.Unavailable("the server is shutting down")
	if x.s.cfg.RetryAfter {
		x.w.Header().Set("Connection", "close")
		err = api.TooManyRequests("the server is shutting down, please try again later", retryAfterShutdown)
	}
	x.reply(err.Wrap(errShuttingDown))
}

// retryAfterShutdown is when to come back; it is kube-apiserver's.
const retryAfterShutdown = 5 // seconds

// CompileOrigins compiles the patterns of allowed origins.
func CompileOrigins(patterns []string) ([]*regexp.Regexp, error) {
	list := make([]*regexp.Regexp, 0, len(patterns))
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, err
		}
		list = append(list, re)
	}
	return list, nil
}

// JoinDirectives makes the value of Strict-Transport-Security.
func JoinDirectives(directives []string) string { return strings.Join(directives, "; ") }
