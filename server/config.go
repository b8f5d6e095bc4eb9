package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/version"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/resource"
)

// Defaults of the values in [Config] that are zero.
const (
	DefaultRequestTimeout = 60 * time.Second
	DefaultDrainTimeout   = 3 * time.Second
	DefaultMaxConnections = 10_000
	DefaultMaxStreams     = 100
)

// MaxBodyBytes bounds the body of a request, in bytes as sent. It is not configurable: etcd refuses less than
// half of it.
const MaxBodyBytes = 3 << 20

// Authenticator says who makes a request. Its error is a 401 [api.Error].
type Authenticator interface {
	Authenticate(ctx context.Context, c authn.Credentials, info api.RequestInfo) (*authn.Result, error)
}

// Authorizer permits a request or returns why not; see [authz.Chain].
type Authorizer interface {
	Permit(ctx context.Context, user api.User, info api.RequestInfo) (authz.Permit, error)
}

// Auditor begins the record of a request. An error means that the request must not be executed.
type Auditor interface {
	Begin(ctx context.Context, r audit.Request) (*audit.Record, error)
}

// PeerLimiter bounds what one address may ask before anybody knows who asks.
type PeerLimiter interface {
	// Allow reports whether the address may go on, and if not, when it may come back.
	Allow(addr netip.Addr) (retryAfter time.Duration, ok bool)
	// Penalize charges the address for a failed authentication.
	Penalize(addr netip.Addr)
}

// ClientLimiter bounds what one user may have in work. Its error is a 429 [api.Error].
type ClientLimiter interface {
	Acquire(ctx context.Context, client ratelimit.Client, cost ratelimit.Cost) (*ratelimit.Seat, error)
}

// Resources answers requests for API objects that have passed every earlier stage. An error that it returns
// before it wrote anything is rendered as a Status; after that, it ends the connection or stream.
type Resources interface {
	ServeResource(w http.ResponseWriter, r *http.Request, p authz.Permit, rec *audit.Record, seat *ratelimit.Seat) error
}

// Config is what a [Server] is made of. The stages, the table, the certificate, the registry and the logger must be given:
// there is no stage that a server does without.
type Config struct {
	// The stages, in the order in which a request meets them.
	Peers         PeerLimiter
	Authenticator Authenticator
	Auditor       Auditor
	Clients       ClientLimiter
	Authorizer    Authorizer
	Resources     Resources

	// Table describes the served resources, for discovery and metric labels.
	Table *resource.Table
	// Rechecker judges the credentials of long-running requests again, when [Server.Recheck] is called. Nil means that they are good
	// as long as the request lasts.
	Rechecker Rechecker
	// IdentityHeaders are the headers of front proxies, which are taken off every request.
	IdentityHeaders authn.IdentityHeaders
	// OpenAPI holds the specification; nil means that /openapi is not served.
	OpenAPI OpenAPI
	// Issuer holds the documents of the service account issuer; nil means that they are not served.
	Issuer Documents
	// Checks are asked, in order, by the health paths, after "ping" and before "shutdown".
	Checks []Check
	// Registry is what /metrics serves. The server adds its own metrics and those of Go and the process.
	Registry *prometheus.Registry
	// Flags are the effective options by the names of their flags, for /flagz. They hold no secrets.
	Flags map[string]string
	// Version is what /version reports; without a GitVersion it is [DefaultVersion].
	Version version.Info
	// Address is the host:port that clients are told to use in /api.
	Address string

	// MinTLSVersion is the lowest protocol version as crypto/tls numbers it; 0 means TLS 1.2.
	MinTLSVersion uint16
	// CipherSuites are those for TLS 1.2 and lower; nil means the suites with forward secrecy and authenticated encryption.
	// Where it is set it must hold a TLS_ECDHE_*_WITH_AES_128_GCM_SHA256, which HTTP/2 requires (RFC 9113, section 9.2.2).
	CipherSuites []uint16
	// MaxStreams bounds the requests that one HTTP/2 connection has open; 0 means [DefaultMaxStreams].
	MaxStreams int
	// CurvePreferences are the key exchanges of TLS; nil means Go's.
	CurvePreferences []tls.CurveID
	// DisableHTTP2 serves HTTP/1.1 only.
	DisableHTTP2 bool
	// Edge is what browsers and load balancers are told.
	Edge Edge
	// GetCertificate returns the serving certificate of the moment.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAs returns the authorities whose names clients are told when they are asked for a certificate (RFC 8446, section 4.2.4), asked with
	// each handshake. It decides about nothing. Nil, or a nil pool, tells no names.
	ClientCAs func() *x509.CertPool
	// Logger takes everything the server has to say. No credential and no body is ever logged.
	Logger *slog.Logger

	// RequestTimeout bounds a request that is not long-running; its query may only lower it. 0 means [DefaultRequestTimeout].
	RequestTimeout time.Duration
	// ShutdownDelay is how long readyz fails, while everything is still served, before the server drains. 0 means none.
	ShutdownDelay time.Duration
	// WatchGrace is how long watches go on after that, each ended at a random moment of it, so that their clients do not all come back
	// at once. 0 ends them at once.
	WatchGrace time.Duration
	// RetryAfter keeps the port open during the drain and answers new requests with 429 and Retry-After; else it is closed.
	RetryAfter bool
	// DrainTimeout bounds how long requests in flight are waited for. 0 means [DefaultDrainTimeout].
	DrainTimeout time.Duration
	// MaxConnections bounds the open connections; one peer gets half of them at most. 0 means [DefaultMaxConnections].
	MaxConnections int
}

// validate returns everything that is wrong, in one error.
func (c *Config) validate() error {
	var errs []error
	for _, v := range []struct {
		bad bool
		msg string
	}{
		{c.Peers == nil, "no peer limiter"},
		{c.Authenticator == nil, "no authenticator"},
		{c.Auditor == nil, "no audit log"},
		{c.Clients == nil, "no client limiter"},
		{c.Authorizer == nil, "no authorizer"},
		{c.Resources == nil, "no resources"},
		{c.Table == nil, "no resource table"},
		{c.Registry == nil, "no metrics registry"},
		{c.GetCertificate == nil, "no serving certificate"},
		{c.Logger == nil, "no logger"},
		{c.RequestTimeout < 0 || c.ShutdownDelay < 0 || c.WatchGrace < 0 || c.DrainTimeout < 0, "a time is negative"},
		{c.MaxConnections < 0, "the number of connections is negative"},
		{c.MaxStreams < 0, "the number of streams is negative"},
		{
			c.CipherSuites != nil && !slices.Contains(c.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) &&
				!slices.Contains(c.CipherSuites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
			"the cipher suites lack a TLS_ECDHE_*_WITH_AES_128_GCM_SHA256, which HTTP/2 requires",
		},
	} {
		if v.bad {
			errs = append(errs, errors.New("server: config: "+v.msg))
		}
	}
	return errors.Join(errs...)
}

// setDefaults fills what is zero.
func (c *Config) setDefaults() {
	if c.RequestTimeout == 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	if c.MinTLSVersion == 0 {
		c.MinTLSVersion = tls.VersionTLS12
	}
	if c.CipherSuites == nil {
		c.CipherSuites = modernSuites
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = DefaultMaxStreams
	}
	if c.Version.GitVersion == "" {
		c.Version = DefaultVersion("", "")
	}
}
