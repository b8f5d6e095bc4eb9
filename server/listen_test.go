package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

func withReuseCount(ctx context.Context, n *int) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if info.Reused {
			*n++
		}
	}})
}

// pipes is a listener in memory, whose deadlines follow the clock of synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// newPipes is for use in a bubble of synctest. At the end it lets a minute of the bubble's time pass, in which the
// deadlines of connections that both sides close at once run out.
func newPipes(t *testing.T) *pipes {
	t.Cleanup(func() { time.Sleep(time.Minute) })
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	client, srv := newBuffered(a), newBuffered(b)
	var err error
	select {
	case p.conns <- srv:
		return client, nil
	case <-p.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, client.Close(), srv.Close())
}

// buffered is one end of a pipe whose writes do not wait for the reader, as those on a socket do not. Without that, two
// ends that say goodbye at once wait for each other while they hold locks, and the bubble's time stands still.
type buffered struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newBuffered(conn net.Conn) *buffered {
	c := &buffered{Conn: conn, out: make(chan []byte, 1024), closed: make(chan struct{})}
	go c.pump()
	return c
}

// pump passes on what is written until the end is closed and everything was passed on.
func (c *buffered) pump() {
	defer c.Conn.Close() //nolint:errcheck // A pipe's Close returns nil.
	for {
		select {
		case b := <-c.out:
			if _, err := c.Conn.Write(b); err != nil {
				return
			}
			continue
		default:
		}
		select {
		case b := <-c.out:
			if _, err := c.Conn.Write(b); err != nil {
				return
			}
		case <-c.closed:
			if len(c.out) == 0 {
				return
			}
		}
	}
}

func (c *buffered) Write(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	case c.out <- bytes.Clone(b):
		return len(b), nil
	}
}

// Close leaves a second for the reader to take what was written.
func (c *buffered) Close() error {
	c.once.Do(func() { close(c.closed) })
	if err := c.Conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

// SetDeadline bounds reads only: writes do not wait.
func (c *buffered) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes do not wait.
func (c *buffered) SetWriteDeadline(time.Time) error { return nil }

// TestSlowClientsAreCutOff drives clients that never finish what they began; each must lose its connection.
func TestSlowClientsAreCutOff(t *testing.T) {
	for name, behave := range map[string]func(t *testing.T, conn net.Conn, cfg *tls.Config) net.Conn{
		"no handshake": func(_ *testing.T, conn net.Conn, _ *tls.Config) net.Conn { return conn },
		"half a request head": func(t *testing.T, conn net.Conn, cfg *tls.Config) net.Conn {
			cfg.NextProtos = []string{"http/1.1"}
			c := tls.Client(conn, cfg)
			if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: gate"); err != nil {
				t.Fatal(err)
			}
			return c
		},
		"idle after the handshake": func(t *testing.T, conn net.Conn, cfg *tls.Config) net.Conn {
			cfg.NextProtos = []string{"http/1.1"}
			c := tls.Client(conn, cfg)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			return c
		},
		"half an HTTP/2 preface": func(t *testing.T, conn net.Conn, cfg *tls.Config) net.Conn {
			cfg.NextProtos = []string{"h2"}
			c := tls.Client(conn, cfg)
			if _, err := io.WriteString(c, "PRI * HTTP"); err != nil {
				t.Fatal(err)
			}
			return c
		},
		"a watch without a credential whose body never comes": sends("GET /api/v1/pods?watch=1", "Content-Length: 100000"),
		"the same in chunks":                  sends("GET /api/v1/pods?watch=1", "Transfer-Encoding: chunked"),
		"a method that is the name of a verb": sends("WATCH /healthz", "Content-Length: 100000"),
		"another long-running request":        sends("POST /api/v1/nodes/n1/proxy/x", "Content-Length: 100000"),
		"a path that cannot be parsed":        sends("POST /api//v1", "Content-Length: 100000"),
		"a credential that is refused":        sends("GET /api/v1/pods?watch=1", "Content-Length: 100000\r\nAuthorization: Bearer wrong"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := newPipes(t)
				h := start(t, config(t, &stages{}), ln, ln.dial, false)
				conn, err := h.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close() //nolint:errcheck // The server closed it.
				c := behave(t, conn, h.tls.Clone())
				// Nothing but the server ends this connection; its clock runs while everybody waits.
				if err := c.SetReadDeadline(time.Now().Add(10 * time.Minute)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the server still holds the connection")
				}
			})
		})
	}
}

// sends returns a client that sends the head of an HTTP/1.1 request, and nothing after it.
func sends(line, headers string) func(*testing.T, net.Conn, *tls.Config) net.Conn {
	return func(t *testing.T, conn net.Conn, cfg *tls.Config) net.Conn {
		cfg.NextProtos = []string{"http/1.1"}
		c := tls.Client(conn, cfg)
		if _, err := io.WriteString(c, line+" HTTP/1.1\r\nHost: gatehouse\r\n"+headers+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// TestRefusalWithoutItsBody: a refusal over HTTP/1 does not wait for the body, and says that the connection ends. One that read
// its body keeps the connection.
func TestRefusalWithoutItsBody(t *testing.T) {
	s := &stages{serve: func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		return api.BadRequest("read and refused")
	}}
	h := listen(t, config(t, s), false)
	for _, tc := range []struct {
		name, request string
		code          int
		closes        bool
	}{
		{"a credential is refused", "POST " + pods + " HTTP/1.1\r\nAuthorization: Bearer wrong\r\nContent-Length: 100000", 401, true},
		{"a watch with a body", "GET " + pods + "?watch=1 HTTP/1.1\r\nContent-Length: 5", 400, true},
		{"a watch with a body in chunks", "GET " + pods + "?watch=1 HTTP/1.1\r\nTransfer-Encoding: chunked", 400, true},
		{"a watch with an empty body is a watch", "GET " + pods + "?watch=1 HTTP/1.1\r\nContent-Length: 0", 400, false},
		{"the body was read", "POST " + pods + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: x\r\n\r\n2\r\n{}\r\n0", 400, false},
	} {
		a := h.raw(t, strings.Replace(tc.request, "\r\n", "\r\nHost: gatehouse\r\n", 1)+"\r\n\r\n")
		if a.StatusCode != tc.code || a.Close != tc.closes {
			t.Errorf("%s: %d, the connection ends: %v; want %d, %v: %s", tc.name, a.StatusCode, a.Close, tc.code, tc.closes, a.body)
		}
	}
}

// TestSlowBody guards the deadline of a request against a body that never ends.
func TestSlowBody(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := make(chan error, 1)
				s := &stages{serve: func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
					_, err := io.Copy(io.Discard, r.Body)
					read <- err
					return err
				}}
				ln := newPipes(t)
				h := start(t, config(t, s), ln, ln.dial, http2)
				body, feed := io.Pipe()
				defer feed.Close() //nolint:errcheck // A pipe's Close returns nil.
				go func() {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://gatehouse"+pods, body)
					if err != nil {
						return
					}
					if resp, err := h.client.Do(r); err == nil {
						_ = resp.Body.Close() //nolint:errcheck // The server cut it off.
					}
				}()
				if err := <-read; err == nil {
					t.Error("the body ended")
				}
			})
		})
	}
}

// TestShutdown states the order of the end: readyz fails while all else is served, watches end, what is in flight
// finishes, and then nothing is accepted.
func TestShutdown(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { shutdown(t, http2) })
		})
	}
}

func shutdown(t *testing.T, http2 bool) {
	watchEnded, finish := make(chan struct{}), make(chan struct{})
	s := &stages{serve: func(w http.ResponseWriter, r *http.Request, p authz.Permit) error {
		switch p.Info().Verb {
		case "watch":
			<-r.Context().Done()
			close(watchEnded)
		case "create":
			<-finish
		}
		return nil
	}}
	cfg := config(t, s)
	cfg.ShutdownDelay, cfg.DrainTimeout = 20*time.Second, 3*time.Second
	ln := newPipes(t)
	h := start(t, cfg, ln, ln.dial, http2)
	watched, created := make(chan int, 1), make(chan int, 1)
	go func() { watched <- h.do(t, http.MethodGet, pods+"?watch=true", nil).StatusCode }()
	go func() { created <- h.do(t, http.MethodPost, pods, nil).StatusCode }()
	synctest.Wait()
	if a := h.get(t, "/readyz"); a.StatusCode != 200 {
		t.Fatalf("readyz: %d %s", a.StatusCode, a.body)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	synctest.Wait()
	if a := h.get(t, "/readyz"); a.StatusCode != 500 {
		t.Errorf("readyz while shutting down: %d %s", a.StatusCode, a.body)
	}
	if a := h.get(t, "/livez"); a.StatusCode != 200 {
		t.Errorf("livez while shutting down: %d %s", a.StatusCode, a.body)
	}
	if a := h.get(t, pods); a.StatusCode != 200 {
		t.Errorf("a request while shutting down: %d %s", a.StatusCode, a.body)
	}
	<-watchEnded
	if code := <-watched; code != 200 {
		t.Errorf("the watch ended with %d", code)
	}
	synctest.Wait()
	if len(created) > 0 {
		t.Fatal("a request in flight was cut off")
	}
	close(finish)
	if code := <-created; code != 200 {
		t.Errorf("the request in flight ended with %d", code)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := h.dial(t.Context()); err == nil {
		t.Error("a connection was accepted after the end")
	}
}

// TestShutdownCutsOff guards Ctrl-C from a request that ignores its end.
func TestShutdownCutsOff(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				entered := make(chan struct{})
				s := &stages{serve: func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
					close(entered)
					<-r.Context().Done()
					return r.Context().Err()
				}}
				cfg := config(t, s)
				cfg.DrainTimeout, cfg.RequestTimeout = 0, time.Hour
				ln := newPipes(t)
				h := start(t, cfg, ln, ln.dial, http2)
				done := make(chan struct{})
				go func() {
					defer close(done)
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://gatehouse"+pods, nil)
					if err != nil {
						return
					}
					if resp, err := h.client.Do(r); err == nil {
						_ = resp.Body.Close() //nolint:errcheck // The server cut it off.
					}
				}()
				<-entered
				begun := time.Now() // the clock of synctest: exact
				if err := h.stop(); err != nil {
					t.Errorf("Serve: %v", err)
				}
				if took := time.Since(begun); took > 5*time.Second {
					t.Errorf("the end took %s", took)
				}
				<-done
			})
		})
	}
}

func TestTLS(t *testing.T) {
	h := listen(t, config(t, &stages{}), true)
	dial := func(cfg *tls.Config) (*tls.Conn, error) {
		conn, err := h.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() }) //nolint:errcheck // It may be closed by the server.
		c := tls.Client(conn, cfg)
		return c, c.Handshake()
	}
	old := h.tls.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := dial(old); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	weak := h.tls.Clone()
	weak.MaxVersion, weak.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	if _, err := dial(weak); err == nil {
		t.Error("a CBC suite was accepted")
	}
	// A session must not outlive the client CA under which it began: none is ever resumed.
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := h.tls.Clone()
		cfg.MaxVersion, cfg.ClientSessionCache, cfg.NextProtos = version, tls.NewLRUClientSessionCache(1), []string{"http/1.1"}
		for range 2 {
			c, err := dial(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(c); err != nil {
				t.Fatal(err)
			}
			if c.ConnectionState().DidResume {
				t.Errorf("version %x: a session was resumed", version)
			}
		}
	}
}

// TestTLSSettings sees the operator's minimum version and suites enforced.
func TestTLSSettings(t *testing.T) {
	handshake := func(h *host, change func(*tls.Config)) error {
		conn, err := h.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // It may be closed by the server.
		cfg := h.tls.Clone()
		change(cfg)
		return tls.Client(conn, cfg).HandshakeContext(t.Context())
	}
	only12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }

	cfg := config(t, &stages{})
	cfg.MinTLSVersion = tls.VersionTLS13
	h := listen(t, cfg, true)
	if err := handshake(h, only12); err == nil {
		t.Error("TLS 1.2 was accepted below the minimum of 1.3")
	}
	if err := handshake(h, func(*tls.Config) {}); err != nil {
		t.Errorf("TLS 1.3 was refused: %v", err)
	}

	cfg = config(t, &stages{})
	cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	h = listen(t, cfg, true)
	if err := handshake(h, func(c *tls.Config) {
		only12(c)
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	}); err == nil {
		t.Error("a suite that was not configured was accepted")
	}
	if err := handshake(h, only12); err != nil {
		t.Errorf("the configured suite was refused: %v", err)
	}

	cfg = config(t, &stages{})
	cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	if _, err := server.New(cfg); err == nil {
		t.Error("suites without the one that HTTP/2 requires were accepted: nothing could be served")
	}
}

// TestConnectionCap fills the places and sees the next peer wait for one.
func TestConnectionCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &stages{})
		cfg.MaxConnections = 4
		ln := newPipes(t)
		h := start(t, cfg, ln, ln.dial, false)
		held := make([]net.Conn, 2) // All pipes are one peer, which gets half of the places.
		for i := range held {
			var err error
			if held[i], err = h.dial(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		over, err := h.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := over.Read(make([]byte, 1)); err == nil {
			t.Error("a peer got more than its share of connections")
		}
		if err := over.Close(); err != nil {
			t.Fatal(err)
		}
		if err := held[0].Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a := h.get(t, "/livez"); a.StatusCode != 200 {
			t.Errorf("with a place free again: %d", a.StatusCode)
		}
		if err := held[1].Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNewNeedsEveryStage(t *testing.T) {
	_, err := server.New(server.Config{})
	if err == nil {
		t.Fatal("a server without stages was made")
	}
	for _, want := range []string{"authenticator", "authorizer", "audit log", "limiter", "logger"} {
		if !containsText(err, want) {
			t.Errorf("the error does not tell that there is no %s: %v", want, err)
		}
	}
}
