package backend

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Defaults of the times in [Config] that are zero.
const (
	// DefaultConnectTimeout is that of kube-apiserver's --kubelet-timeout.
	DefaultConnectTimeout = 5 * time.Second
	// DefaultAnswerTimeout is how long kubelets wait for their container runtime.
	DefaultAnswerTimeout = 2 * time.Minute
	// DefaultIdleTimeout is after what time kubelets close idle streams.
	DefaultIdleTimeout = 4 * time.Hour
)

// maxHeadBytes bounds the head of a backend's answer.
const maxHeadBytes = 256 << 10

// Resolver looks up names and ports; [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupPort(ctx context.Context, network, service string) (int, error)
}

// Config says how backends are reached. Its zero value connects without a certificate and verifies none, as kube-apiserver does
// without flags.
type Config struct {
	// Certificate returns the certificate to show to kubelets; nil means none.
	Certificate func() (*tls.Certificate, error)
	// Authorities returns the authorities of kubelets' certificates; nil means that there are none.
	Authorities func() *x509.CertPool
	// Verify connects over TLS only to what can be verified: kubelets, and https backends too, against Authorities. Without it kubelets are
	// verified if there are authorities, and other backends are not.
	Verify bool
	// AllowLoopback lets kubelets be at loopback addresses, as in clusters on one machine.
	AllowLoopback bool
	// Own reports whether this server listens at the address; nil means nowhere.
	Own func(netip.AddrPort) bool
	// ConnectTimeout bounds looking up, connecting and the TLS handshake, each; 0 means [DefaultConnectTimeout].
	ConnectTimeout time.Duration
	// AnswerTimeout bounds the wait for the answer to an upgrade; 0 means [DefaultAnswerTimeout].
	AnswerTimeout time.Duration
	// IdleTimeout ends a connection on which nothing was sent either way; 0 means [DefaultIdleTimeout].
	IdleTimeout time.Duration
	// Resolver looks up the addresses of names; nil means that of the system.
	Resolver Resolver
	// Dial connects to an address that was checked; nil means over TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Proxy connects clients to backends. Make it with [New]; it is safe for concurrent use and holds nothing between calls.
type Proxy struct{ cfg Config }

// New fills in the defaults.
func New(cfg Config) *Proxy {
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, DefaultConnectTimeout)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, DefaultAnswerTimeout)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, DefaultIdleTimeout)
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	return &Proxy{cfg: cfg}
}

// tls is the configuration of a connection to the target.
func (p *Proxy) tls(t *Target) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(t.ServerName, t.Host)}
	if t.Kubelet && p.cfg.Certificate != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.cfg.Certificate() }
	}
	switch {
	case p.cfg.Verify, t.Kubelet && p.cfg.Authorities != nil && !t.SkipVerify:
		c.RootCAs = x509.NewCertPool() // Without authorities nothing passes; nil would mean those of the system.
		if p.cfg.Authorities != nil {
			c.RootCAs = p.cfg.Authorities()
		}
	default:
		c.InsecureSkipVerify = true // As the operator, or the client for a log, has asked for; see Config.
	}
	if t.Kubelet {
		c.VerifyConnection = notAServer
	}
	return c
}

// serverName is a name that the certificates of all API servers have and those of kubelets never do.
const serverName = "kubernetes.default.svc"

// notAServer refuses an API server in the place of a kubelet before this server's certificate is shown to it. Its own addresses and those of
// its replicas are refused already; this is for load balancers and translated addresses that lead there, which nobody here knows.
func notAServer(state tls.ConnectionState) error {
	if len(state.PeerCertificates) > 0 && slices.Contains(state.PeerCertificates[0].DNSNames, serverName) {
		return errServer
	}
	return nil
}

var errServer = errors.New("the certificate there is that of an API server, not of a kubelet")

// transport makes connections for one request. With keep-alives off, no backend can answer one client's request with what it sent
// unasked on a connection of another, and nothing outlives the request.
func (s *session) transport() *http.Transport {
	t := &http.Transport{
		DialContext:            s.dial,
		TLSClientConfig:        s.p.tls(s.t),
		TLSHandshakeTimeout:    s.p.cfg.ConnectTimeout,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeadBytes,
	}
	if s.upgrade {
		t.ResponseHeaderTimeout = s.p.cfg.AnswerTimeout
	}
	return t
}

// dial connects to an address of the target that was checked. The address that the transport asks for is not looked at.
func (s *session) dial(context.Context, string, string) (net.Conn, error) {
	return s.p.DialTo(s.ctx, s.t)
}

// DialTo connects to an address of the target that may be connected to; TLS is the caller's.
func (p *Proxy) DialTo(ctx context.Context, t *Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout)
	defer cancel()
	addrs, err := p.addresses(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		var conn net.Conn
		if conn, err = p.cfg.Dial(ctx, "tcp", addr.String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
