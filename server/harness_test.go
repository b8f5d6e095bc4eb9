package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stages stands for every package whose stage the server calls: each method notes that it was called and
// refuses if it was told to. A request is alice's, who may do everything, unless fields say otherwise.
type stages struct {
	refuse string // the stage that refuses
	panic  string // the stage that panics
	user   api.User
	lookup error // why the token "unchecked" could not be checked
	serve  func(w http.ResponseWriter, r *http.Request, p authz.Permit) error

	mu       sync.Mutex // guards what follows
	seen     []string
	requests []audit.Request
	infos    []api.RequestInfo // what was authorized
}

func (s *stages) note(stage string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, stage)
	if s.panic == stage {
		panic("a secret value")
	}
	return s.refuse == stage
}

// take returns what was noted since the last time.
func (s *stages) take() (seen []string, infos []api.RequestInfo, requests []audit.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, infos, requests = s.seen, s.infos, s.requests
	s.seen, s.infos, s.requests = nil, nil, nil
	return seen, infos, requests
}

func (s *stages) Allow(netip.Addr) (time.Duration, bool) {
	return 1500 * time.Millisecond, !s.note("peer")
}

func (s *stages) Penalize(netip.Addr) { s.note("penalty") }

func (s *stages) Authenticate(_ context.Context, c authn.Credentials, _ api.RequestInfo) (*authn.Result, error) {
	if c.BearerToken == "unchecked" {
		s.note("authn")
		return nil, api.Unauthorized(errors.Join(fmt.Errorf("look up the account: %w", s.lookup)))
	}
	if s.note("authn") || c.BearerToken == "wrong" {
		return nil, api.Unauthorized(errors.New("the token has expired"))
	}
	user := s.user
	if user.Name == "" {
		user.Name = "alice"
	}
	return &authn.Result{User: user, Method: "test", Warnings: []string{`say "hi"`}}, nil
}

func (s *stages) Begin(_ context.Context, r audit.Request) (*audit.Record, error) {
	refused := s.note("audit")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if refused {
		return nil, errors.New("write /var/log/audit: no space left")
	}
	return nil, nil
}

func (s *stages) Acquire(context.Context, ratelimit.Client, ratelimit.Cost) (*ratelimit.Seat, error) {
	if s.note("client") {
		return nil, api.TooManyRequests("too many requests", 7)
	}
	return nil, nil
}

func (s *stages) Permit(ctx context.Context, user api.User, info api.RequestInfo) (authz.Permit, error) {
	stage := "authz"
	if info.Verb == "impersonate" {
		stage = "impersonate"
	}
	refused := s.note(stage)
	s.mu.Lock()
	s.infos = append(s.infos, info)
	s.mu.Unlock()
	if refused {
		return authz.Permit{}, authz.Refusal(user, info, "")
	}
	return authz.Chain{Allowers: []authz.Authorizer{everything{}}}.Permit(ctx, user, info)
}

type everything struct{}

func (everything) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "", nil
}

func (s *stages) ServeResource(w http.ResponseWriter, r *http.Request, p authz.Permit, _ *audit.Record, _ *ratelimit.Seat) error {
	if s.note("resource") {
		return api.NotFound(p.Info().GroupResource(), p.Info().Name)
	}
	if s.serve != nil {
		return s.serve(w, r, p)
	}
	_, err := io.WriteString(w, "served "+p.Info().Path)
	return err
}

// config is a server over the stages.
func config(t testing.TB, s *stages) server.Config {
	t.Helper()
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := certificate(t)
	return server.Config{
		Peers: s, Authenticator: s, Auditor: s, Clients: s, Authorizer: s, Resources: s,
		Table: table, Registry: prometheus.NewRegistry(), Address: "127.0.0.1:6443",
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
		Logger:         slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		// A stream that a test leaves open must not hold up the end of the test.
		DrainTimeout: 200 * time.Millisecond,
	}
}

// certificate makes the one serving certificate of the tests, for the name "gatehouse".
var certificate = func() func(t testing.TB) (*tls.Certificate, *x509.CertPool) {
	make1 := sync.OnceValues(newCertificate)
	return func(t testing.TB) (*tls.Certificate, *x509.CertPool) {
		t.Helper()
		cert, err := make1()
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert.Leaf)
		return cert, pool
	}
}()

func newCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gatehouse"}, DNSNames: []string{"gatehouse"},
		// The dates hold in the time of synctest as well, which begins in the year 2000.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// host is a running server and a client of it.
type host struct {
	client *http.Client
	dial   func(ctx context.Context) (net.Conn, error)
	tls    *tls.Config
	stop   func() error // ends the server and waits for it
}

// start runs a server on a listener until the test ends.
func start(t *testing.T, cfg server.Config, ln net.Listener, dial func(context.Context) (net.Conn, error), http2 bool) *host {
	t.Helper()
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, pool := certificate(t)
	h := &host{dial: dial, tls: &tls.Config{RootCAs: pool, ServerName: "gatehouse"}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		TLSClientConfig: h.tls.Clone(), Protocols: protocols,
	}
	h.client = &http.Client{Transport: transport}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := h.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return h
}

// listen starts a server on a loopback port.
func listen(t *testing.T, cfg server.Config, http2 bool) *host {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, cfg, ln, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}, http2)
}

// run runs f against a new server over HTTP/1.1 and over HTTP/2. f gets the stages to change before or between
// its requests.
func run(t *testing.T, f func(t *testing.T, h *host, s *stages), change ...func(*server.Config)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			s := &stages{}
			cfg := config(t, s)
			for _, c := range change {
				c(&cfg)
			}
			f(t, listen(t, cfg, http2), s)
		})
	}
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
	err  error // of reading the body
}

func (a answer) status(t *testing.T) metav1.Status {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("the body is not a Status: %v: %s", err, a.body)
	}
	return s
}

// do sends a request; headers are key, value pairs.
func (h *host) do(t *testing.T, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://gatehouse"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // The body was read.
	b, err := io.ReadAll(resp.Body)
	return answer{Response: resp, body: string(b), err: err}
}

func (h *host) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return h.do(t, http.MethodGet, path, nil, headers...)
}

// raw sends bytes on a new HTTP/1.1 connection and reads one answer.
func (h *host) raw(t *testing.T, request string) answer {
	t.Helper()
	conn, err := h.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // The answer was read.
	cfg := h.tls.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	c := tls.Client(conn, cfg)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // The body was read.
	b, err := io.ReadAll(resp.Body)
	return answer{Response: resp, body: string(b), err: err}
}
