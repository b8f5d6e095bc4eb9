package server

import (
	"bytes"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/internal/gather"
)

// Bounds of a connection. They are not configurable: a client that needs more is broken or hostile.
const (
	// readHeaderTimeout bounds the TLS handshake and, after it, each HTTP/1.1 request head.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 90 * time.Second
	// maxHeaderBytes leaves room for a token of 16 KiB beside long impersonation headers.
	maxHeaderBytes = 64 << 10
	// Upload windows: a connection can make the server hold at most 1 MiB of unread bodies.
	streamReceiveBuffer     = 256 << 10
	connectionReceiveBuffer = 1 << 20
	// A peer that neither takes a byte nor answers a ping within these times is gone.
	writeStallTimeout = 30 * time.Second
	pingAfter         = 30 * time.Second
	pingTimeout       = 15 * time.Second
)

// maxErrorLogBytes bounds one line that net/http reports; peers can put text of their choice in it.
const maxErrorLogBytes = 512

// tlsConfig asks for a client certificate but does not verify it: that is done per request, against
// the client CA of that moment. Session tickets are off because a resumed session carries the certificate
// of its first handshake, and nothing that was decided under an earlier CA may outlive it.
func tlsConfig(c *Config) *tls.Config {
	config := &tls.Config{
		GetCertificate:         c.GetCertificate,
		MinVersion:             c.MinTLSVersion,
		CipherSuites:           c.CipherSuites,
		CurvePreferences:       c.CurvePreferences,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		NextProtos:             nextProtocols(c),
	}
	if c.ClientCAs == nil {
		return config
	}
	// The bundles are read again while the server runs, so each handshake asks for the names of the moment.
	whole := config.Clone()
	whole.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := config.Clone()
		now.ClientCAs = c.ClientCAs()
		return now, nil
	}
	return whole
}

func nextProtocols(c *Config) []string {
	if c.DisableHTTP2 {
		return []string{"http/1.1"}
	}
	return []string{"h2", "http/1.1"}
}

// modernSuites are for TLS 1.2 only: forward secrecy and authenticated encryption. TLS 1.3 suites are all fit.
var modernSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func httpServer(h http.Handler, c *Config, handshakeFailed func()) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!c.DisableHTTP2)
	return &http.Server{
		Handler:   h,
		TLSConfig: tlsConfig(c),
		Protocols: protocols,
		// Without this, net/http would answer "OPTIONS *" itself, past every stage.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     log.New(errorLog{c.Logger, handshakeFailed}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          c.MaxStreams,
			MaxReceiveBufferPerStream:     streamReceiveBuffer,
			MaxReceiveBufferPerConnection: connectionReceiveBuffer,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			WriteByteTimeout:              writeStallTimeout,
		},
	}
}

// errorLog passes the lines of net/http to slog as an attribute, so that the handler escapes what a
// peer put into them. Failed handshakes are the peer's business and go to debug.
type errorLog struct {
	logger          *slog.Logger
	handshakeFailed func()
}

// Write takes one line.
func (l errorLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line[:min(len(line), maxErrorLogBytes)]))
	handshake := strings.HasPrefix(text, "http: TLS handshake error")
	if handshake {
		l.handshakeFailed()
	}
	if handshake || strings.HasPrefix(text, "http2: ") {
		l.logger.Debug("connection refused", "detail", text)
	} else {
		l.logger.Warn("http server", "detail", text)
	}
	return len(line), nil
}

// cappedListener holds the number of open connections under a bound: at the bound it stops accepting, so
// further peers wait in the kernel's queue. One peer (an IPv4 address or an IPv6 /64) gets at most
// half of the places; what it opens beyond is closed at once.
type cappedListener struct {
	net.Listener
	writes  *gather.Pool
	places  chan struct{}
	perPeer int
	open    sync.WaitGroup // has one for each open connection
	closed  chan struct{}
	once    sync.Once

	mu    sync.Mutex // guards peers
	peers map[netip.Prefix]int
}

func capListener(ln net.Listener, limit int) *cappedListener {
	return &cappedListener{
		Listener: ln,
		writes:   gather.NewPool(writeStallTimeout),
		places:   make(chan struct{}, limit),
		perPeer:  max(limit/2, 1),
		closed:   make(chan struct{}),
		peers:    make(map[netip.Prefix]int),
	}
}

// Accept waits for a place and then for a connection.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.places <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		peer := peerPrefix(conn.RemoteAddr().String())
		if l.enter(peer) {
			return l.writes.Conn(&cappedConn{Conn: conn, leave: func() { l.leave(peer) }}), nil
		}
		<-l.places
		if err := conn.Close(); err != nil {
			continue // The peer was refused; how its socket ended does not matter.
		}
	}
}

// Close ends accepting; open connections stay.
func (l *cappedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *cappedListener) enter(peer netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers[peer] >= l.perPeer {
		return false
	}
	l.peers[peer]++
	l.open.Add(1)
	return true
}

func (l *cappedListener) leave(peer netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers[peer]--; l.peers[peer] <= 0 {
		delete(l.peers, peer)
	}
	<-l.places
	l.open.Done()
}

// gone is closed when no connection is open. It must not be called before Accept has failed.
func (l *cappedListener) gone() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		l.open.Wait()
	}()
	return gone
}

type cappedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection and gives its place back, once.
func (c *cappedConn) Close() error {
	defer c.once.Do(c.leave)
	return c.Conn.Close()
}

// peerAddr is the address of the other end of the connection, IPv4 in its one form. The zero Addr stands for an
// address that cannot be read.
func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func peerPrefix(remote string) netip.Prefix {
	addr := peerAddr(remote)
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
