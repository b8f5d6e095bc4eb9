package backend_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/backend"
)

// forwardFront proxies everything to a target.
func forwardFront(t *testing.T, cfg backend.Config, target func(r *http.Request) backend.Target, mustUpgrade bool) *front {
	t.Helper()
	p := backend.New(cfg)
	return newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
		return p.Forward(w, r, target(r), "/prefix", mustUpgrade, started)
	})
}

func toPod(r *http.Request) backend.Target {
	target := podTarget(r.URL.Path)
	target.RawQuery = r.URL.RawQuery
	return target
}

// TestForwardHidesTheClient: what says who the client is does not reach a backend, whatever the client calls hop-by-hop (P01, N08).
func TestForwardHidesTheClient(t *testing.T) {
	_, cfg := newPod(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding")
		_, _ = fmt.Fprintf(w, "%s %s %v", r.Method, r.URL, r.Header)
	})
	f := forwardFront(t, cfg, toPod, false)
	_, got := f.do(t, http.MethodPut, "/a%20b/c?x=1;y", http.Header{
		"Authorization": {"Bearer secret"}, "Proxy-Authorization": {"Basic secret"}, "Impersonate-User": {"root"}, "X-Remote-User": {"root"},
		"X_remote_group": {"system:masters"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-For": {"198.51.100.1"}, "X-Hop": {"1"},
		"Connection": {"X-Hop, X-Forwarded-Uri"}, "X-Kept": {"yes"}, "User-Agent": {"test"},
	}, "")
	want := "PUT /a%20b/c?x=1;y map[Connection:[close] User-Agent:[test] X-Forwarded-For:[198.51.100.1, 127.0.0.1] X-Forwarded-Uri:[/prefix/a%20b/c] X-Kept:[yes]]"
	if diff := cmp.Diff(want, strings.ReplaceAll(got, " Content-Length:[0]", "")); diff != "" {
		t.Errorf("request at the backend (-want +got):\n%s", diff)
	}
}

// TestForwardAnswers: a backend speaks for itself and not for this server's origin.
func TestForwardAnswers(t *testing.T) {
	_, cfg := newPod(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, name := range []string{"Access-Control-Allow-Origin", "Strict-Transport-Security", "Alt-Svc", "Clear-Site-Data", "Audit-Id"} {
			h.Set(name, "backend")
		}
		h.Set("Cache-Control", "max-age=1")
		h.Set("Set-Cookie", "a=b")
		h.Set("Link", "</early>")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Link")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	p := backend.New(cfg)
	f := newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
		w.Header().Set("Audit-Id", "server")
		w.Header().Set("Cache-Control", "no-cache, private")
		return p.Forward(w, r, toPod(r), "/prefix", false, started)
	})
	res, body := f.do(t, http.MethodGet, "/", nil, "")
	if res.StatusCode != http.StatusTeapot || body != "short and stout" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	res.Header.Del("Date")
	want := http.Header{
		"Audit-Id": {"server"}, "Cache-Control": {"max-age=1"}, "Set-Cookie": {"a=b"}, "Content-Length": {"15"}, "Content-Type": {"text/plain; charset=utf-8"},
	}
	if diff := cmp.Diff(want, res.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// TestForwardRewritesLinks: links of a page lead through the server, redirects are the client's to follow, and a page without end is passed
// on without being held in memory.
func TestForwardRewritesLinks(t *testing.T) {
	other := newPodCounter(t)
	long := strings.Repeat("x", 5<<20)
	_, cfg := newPod(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/there?z=1", http.StatusFound)
		case "/other":
			w.Header().Set("Location", other.URL+"/x")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/page":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, `<a href="/x">x</a>`)
		case "/long":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<a href="/x">x</a>`+long)
		}
	})
	f := forwardFront(t, cfg, toPod, false)
	for _, c := range []struct{ path, location, body string }{
		{"/same", "/prefix/there?z=1", ""},
		{"/other", other.URL + "/x", ""},
		{"/page", "", `<a href="/prefix/x">x</a>`},
		{"/long", "", `<a href="/x">x</a>` + long},
	} {
		res, body := f.do(t, http.MethodGet, c.path, nil, "")
		if got := res.Header.Get("Location"); got != c.location || (c.body != "" && body != c.body) {
			t.Errorf("%s: location %q, want %q; body of %d bytes, want %d", c.path, got, c.location, len(body), len(c.body))
		}
	}
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

type counter struct {
	*httptest.Server
	requests atomic.Int32
}

func newPodCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { c.requests.Add(1) }))
	t.Cleanup(c.Close)
	return c
}

// TestFailedUpgradeIsNoTunnel is CVE-2018-1002105: after an upgrade that failed, what the client sends must not reach the backend, which
// sees exactly one request, and redirects are not followed (CVE-2018-1002102, CVE-2020-8559).
func TestFailedUpgradeIsNoTunnel(t *testing.T) {
	other := newPodCounter(t)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   int
	}{
		"200": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, 500},
		"403": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, 403},
		"302": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, 500},
		"307": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, 500},
		"another protocol": {switchTo("h2c"), 500},
		"garbage": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, "\x00\x01garbage\n\n")
			_ = conn.Close()
		}, 503},
	} {
		for _, kind := range []string{"kubelet", "proxy"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				k := newKubelet(t, c.answer)
				f := forwardFront(t, k.config(), func(*http.Request) backend.Target { return k.target("/other", "") }, kind == "kubelet")
				conn := f.raw(t, "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: SPDY/3.1\n\n")
				reader := bufio.NewReader(conn)
				res, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != c.code {
					t.Errorf("code %d, want %d", res.StatusCode, c.code)
				}
				_ = f.wait(t)
				_, _ = io.WriteString(conn, "GET /exec/other/pod HTTP/1.1\r\nHost: h\r\n\r\n")
				if n := k.requests.Load(); n != 1 {
					t.Errorf("the backend saw %d requests", n)
				}
			})
		}
	}
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestUpgradePassesThrough: after a change of protocol both sides talk, and the end of either is the end of both.
func TestUpgradePassesThrough(t *testing.T) {
	gone := make(chan struct{}, 2)
	_, cfg := newPod(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(); gone <- struct{}{} }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nStrict-Transport-Security: x\r\n\r\n")
		_ = rw.Flush()
		if r.URL.Path == "/ends" {
			return
		}
		_, _ = io.Copy(conn, conn)
	})
	f := forwardFront(t, cfg, toPod, false)
	for _, path := range []string{"/ends", "/stays"} {
		conn := f.raw(t, "GET "+path+" HTTP/1.1\nHost: h\nConnection: keep-alive, Upgrade\nUpgrade: echo\n\n")
		reader := bufio.NewReader(conn)
		res, err := http.ReadResponse(reader, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v %v", res, err)
		}
		if res.Header.Get("Strict-Transport-Security") != "" {
			t.Error("a harmful header was passed on")
		}
		if path == "/stays" {
			_, _ = io.WriteString(conn, "echo")
			back := make([]byte, 4)
			if _, err := io.ReadFull(reader, back); err != nil || string(back) != "echo" {
				t.Errorf("%q came back, %v", back, err)
			}
			_ = conn.Close()
		} else if _, err := reader.ReadByte(); err == nil {
			t.Error("the client's connection is still open")
		}
		if err := f.wait(t); err != nil {
			t.Errorf("the handler returned %v", err)
		}
		<-gone
	}
}

// TestUpgradeIsRequired: what only makes sense as a stream is not sent to a kubelet as a plain request.
func TestUpgradeIsRequired(t *testing.T) {
	k := newKubelet(t, nil)
	f := forwardFront(t, k.config(), func(*http.Request) backend.Target { return k.target("/exec/default/p/c", "") }, true)
	res, body := f.do(t, http.MethodPost, "/", nil, "")
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Upgrade request required") || k.requests.Load() != 0 {
		t.Errorf("got %d %s, %d requests at the kubelet", res.StatusCode, body, k.requests.Load())
	}
}

// TestAddresses: a connection is made only to what may be connected to, and to the address that was checked (K29, N02).
func TestAddresses(t *testing.T) {
	var dialled atomic.Value
	own := netip.MustParseAddrPort("198.51.100.1:6443")
	base := backend.Config{
		Own: func(at netip.AddrPort) bool { return at == own },
		Dial: func(_ context.Context, _, address string) (_ netConn, err error) {
			dialled.Store(address)
			return nil, errDialled
		},
	}
	for _, c := range []struct {
		name, host, port    string
		kubelet, noLoopback bool
		loopback            bool
		answers             [][]string
		want                string // the address that is dialled; empty if none is
	}{
		{name: "a pod", host: "192.0.2.7", port: "80", want: "192.0.2.7:80"},
		{name: "IPv6", host: "2001:db8::7", port: "80", want: "[2001:db8::7]:80"},
		{name: "IPv4 in IPv6 is IPv4", host: "::ffff:192.0.2.7", port: "80", want: "192.0.2.7:80"},
		{name: "loopback", host: "127.0.0.1", port: "80", loopback: true},
		{name: "loopback in IPv6", host: "::ffff:127.0.0.1", port: "80"},
		{name: "a kubelet at loopback", host: "127.0.0.1", port: "10250", kubelet: true},
		{name: "a kubelet at loopback, where that is allowed", host: "127.0.0.1", port: "10250", kubelet: true, loopback: true, want: "127.0.0.1:10250"},
		{name: "a proxied kubelet at loopback", host: "127.0.0.1", port: "10250", kubelet: true, loopback: true, noLoopback: true},
		{name: "metadata", host: "169.254.169.254", port: "80", kubelet: true, loopback: true},
		{name: "metadata by translation", host: "64:ff9b::a9fe:a9fe", port: "80"},
		{name: "metadata by a local translation", host: "64:ff9b:1::a9fe:a9fe", port: "80"},
		{name: "loopback by 6to4", host: "2002:7f00:1::1", port: "80"},
		{name: "loopback in the old form", host: "::127.0.0.1", port: "80"},
		{name: "metadata that is not link-local", host: "fd00:ec2::254", port: "80"},
		{name: "link-local", host: "fe80::1", port: "80"},
		{name: "link-local with a zone", host: "fe80::1%lo", port: "80"},
		{name: "multicast", host: "224.0.0.1", port: "80"},
		{name: "unspecified", host: "0.0.0.0", port: "80"},
		{name: "this network", host: "0.1.2.3", port: "80"},
		{name: "broadcast", host: "255.255.255.255", port: "80"},
		{name: "the server itself", host: "198.51.100.1", port: "6443", kubelet: true},
		{name: "a kubelet beside the server", host: "198.51.100.1", port: "10250", kubelet: true, want: "198.51.100.1:10250"},
		{name: "another server", host: "198.51.100.2", port: "6443", kubelet: true},
		{name: "a name", host: "node", port: "10250", kubelet: true, answers: [][]string{{"192.0.2.8"}}, want: "192.0.2.8:10250"},
		{name: "a name that leads home", host: "node", port: "10250", kubelet: true, answers: [][]string{{"127.0.0.1"}}},
		{name: "a name that also leads home", host: "node", port: "10250", kubelet: true, answers: [][]string{{"192.0.2.8", "127.0.0.1"}}},
		{
			name: "a name that leads elsewhere when asked again", host: "node", port: "10250", kubelet: true,
			answers: [][]string{{"192.0.2.8"}, {"127.0.0.1"}}, want: "192.0.2.8:10250",
		},
		{name: "a name that leads nowhere", host: "node", port: "10250", answers: [][]string{{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialled.Store("")
			cfg := base
			cfg.AllowLoopback, cfg.Resolver = c.loopback, &names{answers: c.answers}
			target := backend.Target{
				Kubelet: c.kubelet, NoLoopback: c.noLoopback, Scheme: "http", Host: c.host, Port: c.port, Path: "/",
				Servers: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.2:6443")},
			}
			w := httptest.NewRecorder()
			err := backend.New(cfg).Log(w, httptest.NewRequest(http.MethodGet, "/", nil), target, "p", false, func(int) {})
			if err == nil {
				t.Fatal("no error")
			}
			if got := dialled.Load(); got != c.want {
				t.Errorf("connected to %q, want %q (%v)", got, c.want, err)
			}
		})
	}
}

// TestCertificates: a kubelet that cannot be verified gets neither a request nor this server's certificate (N03).
func TestCertificates(t *testing.T) {
	shown := 0
	k := newKubelet(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "a log") })
	k.TLS.ClientAuth = tls.RequestClientCert
	trusted := k.config().Authorities
	for _, c := range []struct {
		name        string
		authorities func() *x509.CertPool
		verify      bool
		target      func(*backend.Target)
		works       bool
	}{
		{name: "trusted", authorities: trusted, verify: true, works: true},
		{name: "trusted in the compatible profile", authorities: trusted, works: true},
		{name: "another authority", authorities: x509.NewCertPool, verify: true},
		{name: "another authority in the compatible profile", authorities: x509.NewCertPool},
		{name: "no authority", verify: true},
		{name: "no authority in the compatible profile", works: true},
		{name: "another name", authorities: trusted, verify: true, target: func(t *backend.Target) { t.ServerName = "other" }},
		{name: "the client wants no verification", authorities: x509.NewCertPool, target: func(t *backend.Target) { t.SkipVerify = true }, works: true},
		{name: "the client wants no verification, which the server does", authorities: trusted, verify: true, target: func(t *backend.Target) { t.SkipVerify = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown = 0
			before := k.requests.Load()
			cfg := backend.Config{
				Verify: c.verify, AllowLoopback: true, Authorities: c.authorities,
				Certificate: func() (*tls.Certificate, error) { shown++; return &tls.Certificate{}, nil },
			}
			target := k.target("/other", "")
			if c.target != nil {
				c.target(&target)
			}
			w := httptest.NewRecorder()
			err := backend.New(cfg).Log(w, httptest.NewRequest(http.MethodGet, "/", nil), target, "p", false, func(int) {})
			if (err == nil) != c.works || (err == nil) != (w.Body.String() == "a log") {
				t.Errorf("got %q, %v", w.Body, err)
			}
			if !c.works && (shown != 0 || k.requests.Load() != before) {
				t.Errorf("certificate shown %d times, %d requests", shown, k.requests.Load()-before)
			}
		})
	}
}

// TestServersAreNotKubelets: where a node's address leads to an API server by a way that nobody here knows, such as a load balancer, the
// server does not authenticate to it, whether or not certificates are verified (N02).
func TestServersAreNotKubelets(t *testing.T) {
	for _, verify := range []bool{false, true} {
		t.Run(fmt.Sprintf("verify %t", verify), func(t *testing.T) {
			certificate, pool := selfSigned(t, "127.0.0.1", "kubernetes.default.svc")
			shown, asked := 0, 0
			k := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
			k.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert}
			k.StartTLS()
			defer k.Close()
			at := netip.MustParseAddrPort(k.Listener.Addr().String())
			p := backend.New(backend.Config{
				Verify: verify, AllowLoopback: true, Authorities: func() *x509.CertPool { return pool },
				Certificate: func() (*tls.Certificate, error) { shown++; return &tls.Certificate{}, nil },
			})
			target := backend.Target{
				Kubelet: true, Scheme: "https", Host: at.Addr().String(), Port: fmt.Sprint(at.Port()), Path: "/", SkipVerify: !verify,
			}
			err := p.Log(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), target, "p", false, func(int) {})
			if err == nil || !strings.Contains(err.Error(), "API server") || shown+asked != 0 {
				t.Errorf("certificate shown %d times, %d requests, %v", shown, asked, err)
			}
		})
	}
}

// TestErrorsNameTheNode: who runs kubectl learns which node was not reached, and why.
func TestErrorsNameTheNode(t *testing.T) {
	k := newKubelet(t, nil)
	target := k.target("/exec/default/p/c", "")
	cfg := k.config()
	k.Close()
	f := forwardFront(t, cfg, func(*http.Request) backend.Target { return target }, true)
	res, body := f.do(t, http.MethodPost, "/", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}}, "")
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, `the kubelet of node \"n1\"`) || !strings.Contains(body, "connection refused") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// TestBackendThatNeverAnswers: nothing holds a client for ever, and what is given up on is closed.
func TestBackendThatNeverAnswers(t *testing.T) {
	gone := make(chan struct{}, 4)
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); gone <- struct{}{} }
	for name, c := range map[string]struct {
		change func(*backend.Config)
		header http.Header
		must   bool
	}{
		"an upgrade": {func(c *backend.Config) { c.AnswerTimeout = time.Millisecond }, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}}, true},
		"a proxy":    {func(c *backend.Config) { c.IdleTimeout = time.Millisecond }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKubelet(t, silent)
			cfg := k.config()
			c.change(&cfg)
			f := forwardFront(t, cfg, func(*http.Request) backend.Target { return k.target("/other", "") }, c.must)
			res, body := f.do(t, http.MethodGet, "/", c.header, "")
			if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "timed out") {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
			_ = f.wait(t)
		})
	}
}

// TestClientThatLeaves: a request that the client gives up ends at the backend too.
func TestClientThatLeaves(t *testing.T) {
	asked, gone := make(chan struct{}), make(chan struct{})
	_, cfg := newPod(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	})
	f := forwardFront(t, cfg, toPod, false)
	conn := f.raw(t, "GET / HTTP/1.1\nHost: h\n\n")
	<-asked
	_ = conn.Close()
	_ = f.wait(t)
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the backend still works on it")
	}
}

// TestIdleStreamEnds: a stream on which nothing is sent does not stay for ever, though both ends are there.
func TestIdleStreamEnds(t *testing.T) {
	k := newKubelet(t, switchTo("SPDY/3.1"))
	cfg := k.config()
	cfg.IdleTimeout = 100 * time.Millisecond
	f := forwardFront(t, cfg, func(*http.Request) backend.Target { return k.target("/other", "") }, true)
	conn := f.raw(t, "POST / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: SPDY/3.1\n\n")
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Error(err)
	}
	_ = f.wait(t)
}

// TestClientThatDoesNotRead: the end of the server is not held up by an answer that nobody takes.
func TestClientThatDoesNotRead(t *testing.T) {
	_, cfg := newPod(t, func(w http.ResponseWriter, r *http.Request) {
		var out io.Writer = w
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close() //nolint:errcheck // It ends in an error.
			out = conn
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: flood\r\n\r\n")
		}
		for {
			if _, err := out.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	p := backend.New(cfg)
	for name, header := range map[string]string{"an answer": "", "a stream": "Connection: Upgrade\nUpgrade: flood\n"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			f := newFront(t, func(w http.ResponseWriter, r *http.Request, started func(int)) error {
				return p.Forward(w, r.WithContext(ctx), toPod(r), "", false, started)
			})
			conn := f.raw(t, "GET / HTTP/1.1\nHost: h\n"+header+"\n")
			if _, err := io.ReadFull(conn, make([]byte, 12)); err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = f.wait(t)
		})
	}
}
