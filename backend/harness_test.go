package backend_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/backend"
)

// TestMain passes over two goroutines of the libraries by which the tests play client and kubelet: one that the client forgets, and one
// that lingers for a second after a connection was closed from both ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/remotecommand.(*heartbeat).start"),
		goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

// patience bounds what should take no time at all.
const patience = 20 * time.Second

// kubelet is a server as a kubelet's is: the streaming code is that of container runtimes.
type kubelet struct {
	*httptest.Server
	requests atomic.Int32
	ended    chan struct{} // gets a value when a process has ended
}

// processes run what a test's commands say.
type processes struct{ k *kubelet }

// exit is how a process ended.
type exit int

func (e exit) Error() string   { return "command terminated with exit code " + strconv.Itoa(int(e)) }
func (e exit) String() string  { return e.Error() }
func (e exit) Exited() bool    { return true }
func (e exit) ExitStatus() int { return int(e) }

// ExecInContainer implements the runtime: cat copies its input, wait runs until its caller is gone, fail fails.
func (p processes) ExecInContainer(ctx context.Context, _, _, _ string, cmd []string, in io.Reader, out, errs io.WriteCloser,
	_ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	defer func() {
		select {
		case p.k.ended <- struct{}{}:
		default: // Nobody counts them.
		}
	}()
	switch cmd[0] {
	case "cat":
		_, err := io.Copy(out, in)
		return err
	case "both":
		_, _ = io.WriteString(out, "to out")
		_, _ = io.WriteString(errs, "to err")
		return nil
	case "wait":
		_, _ = io.WriteString(out, "ready")
		_, err := io.Copy(io.Discard, in)
		return err
	}
	return exit(3)
}

// PortForward implements the runtime: every port echoes.
func (p processes) PortForward(_ context.Context, _, _ string, _ int32, stream io.ReadWriteCloser) error {
	_, err := io.Copy(stream, stream)
	return err
}

// wait returns when a process has ended.
func (k *kubelet) wait(t testing.TB) {
	t.Helper()
	select {
	case <-k.ended:
	case <-time.After(patience):
		t.Fatal("the process still runs")
	}
}

func newKubelet(t testing.TB, extra http.HandlerFunc) *kubelet {
	t.Helper()
	k := &kubelet{ended: make(chan struct{}, 16)}
	p := processes{k}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/", func(w http.ResponseWriter, r *http.Request) {
		opts, err := remotecommand.NewOptions(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		remotecommand.ServeExec(w, r, p, "p", "", "c", r.URL.Query()["command"], opts, time.Hour, patience, remotecommand.SupportedStreamingProtocols)
	})
	mux.HandleFunc("/portForward/", func(w http.ResponseWriter, r *http.Request) {
		opts, err := portforward.NewV4Options(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		portforward.ServePortForward(w, r, p, "p", "", opts, time.Hour, patience, portforward.SupportedProtocols)
	})
	if extra != nil {
		mux.HandleFunc("/", extra)
	}
	k.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.requests.Add(1)
		mux.ServeHTTP(w, r)
	}))
	k.Config.ErrorLog = nil
	k.StartTLS()
	t.Cleanup(k.Close)
	return k
}

// target is the kubelet with a path and a query.
func (k *kubelet) target(path, query string) backend.Target {
	host, port, _ := net.SplitHostPort(k.Listener.Addr().String())
	return backend.Target{
		What: `the kubelet of node "n1"`, Kubelet: true, Scheme: "https", Host: host, Port: port, Path: path, RawQuery: query,
	}
}

// config trusts the kubelet and lets it be where tests are.
func (k *kubelet) config() backend.Config {
	pool := x509.NewCertPool()
	pool.AddCert(k.Certificate())
	return backend.Config{Verify: true, AllowLoopback: true, Authorities: func() *x509.CertPool { return pool }}
}

// front is a server that does with each request what a test wants.
type front struct {
	*httptest.Server
	mu      sync.Mutex // guards codes
	codes   []int      // that handlers were told of
	served  chan error // what handlers returned
	clients *http.Client
}

func newFront(t testing.TB, serve func(w http.ResponseWriter, r *http.Request, started func(int)) error) *front {
	t.Helper()
	f := &front{served: make(chan error, 16)}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := false
		err := serve(w, r, func(code int) {
			f.mu.Lock()
			defer f.mu.Unlock()
			began = true
			f.codes = append(f.codes, code)
		})
		f.served <- err
		switch {
		case err != nil && began:
			panic(http.ErrAbortHandler)
		case err != nil:
			e := api.ToError(err)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(e.Code())
			_ = json.NewEncoder(w).Encode(e.Status)
		}
	}))
	f.StartTLS()
	t.Cleanup(f.Close)
	f.clients = f.Client()
	f.clients.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

func (f *front) started() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int(nil), f.codes...)
}

// wait returns what a handler returned.
func (f *front) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-f.served:
		return err
	case <-time.After(patience):
		t.Fatal("the handler has not returned")
		return nil
	}
}

func (f *front) rest() *rest.Config {
	return &rest.Config{Host: f.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

func (f *front) url(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(f.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// get asks the front and returns code, header and body.
func (f *front) do(t *testing.T, method, path string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	res, err := f.clients.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// raw opens a connection to the front on which a test writes what it wants.
func (f *front) raw(t *testing.T, request string) net.Conn {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	return conn
}

// pod is a plain HTTP server that is reached under an address that pods have.
type pod struct {
	*httptest.Server
	dialled atomic.Value // the address that was connected to last
}

const podAddress = "192.0.2.7"

func newPod(t testing.TB, h http.HandlerFunc) (*pod, backend.Config) {
	t.Helper()
	p := &pod{Server: httptest.NewServer(h)}
	t.Cleanup(p.Close)
	return p, backend.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		p.dialled.Store(address)
		return new(net.Dialer).DialContext(ctx, network, p.Listener.Addr().String())
	}}
}

func podTarget(path string) backend.Target {
	return backend.Target{Scheme: "http", Host: podAddress, Port: "80", Path: path}
}

// names is a resolver with fixed answers, which may change from one question to the next.
type names struct {
	mu      sync.Mutex // guards answers
	answers [][]string // one for each question; the last one stays
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.answers[0]
	if len(n.answers) > 1 {
		n.answers = n.answers[1:]
	}
	var addrs []netip.Addr
	for _, a := range now {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: "gone", IsNotFound: true}
	}
	return addrs, nil
}

func (n *names) LookupPort(_ context.Context, _, service string) (int, error) {
	port, err := strconv.Atoi(service)
	if err != nil {
		return 0, fmt.Errorf("unknown port %q", service)
	}
	return port, nil
}

// selfSigned makes a certificate for an address and a name, and what trusts it.
func selfSigned(t *testing.T, ip, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IPAddresses: []net.IP{net.ParseIP(ip)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}
