package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// live is a whole server, made as the command makes it, with its log.
type live struct {
	url, dir string
	roots    *x509.CertPool
	admin    *http.Client
	log      *lines
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// firstWrite closes a channel at the first thing written: the server greets when it is ready.
type firstWrite struct {
	once  sync.Once
	ready chan struct{}
}

func (w *firstWrite) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.ready) })
	return len(p), nil
}

// startServer runs a server of the hardened profile until the test ends. Its data directory is dir, or a new one.
func startServer(t *testing.T, dir string, args ...string) *live {
	t.Helper()
	s, ended, stop := runServer(t, dir, args...)
	select {
	case err := <-ended:
		t.Fatalf("the server ended: %v\n%s", err, s.log)
	case <-s.ready:
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	l := &live{dir: s.dir, log: s.log, roots: x509.NewCertPool()}
	var err error
	if l.url, err = serverOf(filepath.Join(s.dir, "admin.kubeconfig")); err != nil {
		t.Fatal(err)
	}
	l.roots.AppendCertsFromPEM(readFile(t, filepath.Join(s.dir, "pki", "ca.crt")))
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "pki", "admin.crt"), filepath.Join(s.dir, "pki", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	l.admin = l.client(t, &pair)
	return l
}

type started struct {
	dir   string
	log   *lines
	ready chan struct{}
}

func runServer(t *testing.T, dir string, args ...string) (s started, ended chan error, stop func()) {
	t.Helper()
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "data")
	}
	set := flags.New(flags.Hardened)
	if err := set.FlagSet().Parse(append([]string{"--secure-port=0", "--data-dir=" + dir, "--v=4"}, args...)); err != nil {
		t.Fatal(err)
	}
	s = started{dir: dir, log: &lines{}, ready: make(chan struct{})}
	signals := make(chan os.Signal, 2)
	run := &serving{flags: set, path: "gatehouse", signals: signals, wire: wire, stdout: &firstWrite{ready: s.ready}, stderr: s.log}
	ended = make(chan error, 1)
	go func() { ended <- run.run(context.Background()) }()
	return s, ended, sync.OnceFunc(func() { signals <- syscall.SIGTERM })
}

// refusedStart runs a server that must not start and returns why.
func refusedStart(t *testing.T, args ...string) string {
	t.Helper()
	s, ended, stop := runServer(t, "", args...)
	select {
	case err := <-ended:
		if err == nil {
			t.Fatal("the server ended well")
		}
		return err.Error()
	case <-s.ready:
		stop()
		<-ended
		t.Fatal("the server started")
	}
	return ""
}

// client shows a certificate, if there is one.
func (l *live) client(t *testing.T, pair *tls.Certificate) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: l.roots}
	if pair != nil {
		config.Certificates = []tls.Certificate{*pair}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// do sends a request and returns the answer.
func (l *live) do(t *testing.T, c *http.Client, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	code, answer, err := l.try(t.Context(), c, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return code, answer
}

func (l *live) try(ctx context.Context, c *http.Client, method, path, body string, headers ...string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// create posts an object as the administrator.
func (l *live) create(t *testing.T, path, body string) string {
	t.Helper()
	code, answer := l.do(t, l.admin, http.MethodPost, path, body)
	if code != http.StatusCreated {
		t.Fatalf("POST %s: %d %s", path, code, answer)
	}
	return answer
}

// whoami asks the server who is asking; the code is 201 for somebody.
func (l *live) whoami(t *testing.T, c *http.Client, headers ...string) (int, authenticationv1.UserInfo) {
	t.Helper()
	code, body := l.do(t, c, http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews",
		`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`, headers...)
	var review authenticationv1.SelfSubjectReview
	if code == http.StatusCreated {
		if err := json.Unmarshal([]byte(body), &review); err != nil {
			t.Fatal(err)
		}
	}
	return code, review.Status.UserInfo
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// testCA is an authority made for a test.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newTestCA(t *testing.T, name string) *testCA {
	t.Helper()
	ca := &testCA{file: filepath.Join(t.TempDir(), name+".crt")}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair := ca.sign(t, template)
	ca.cert = pair.Leaf
	if err := os.WriteFile(ca.file, ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca
}

func (ca *testCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// sign issues a certificate; the first is the authority's own.
func (ca *testCA) sign(t *testing.T, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if template.SerialNumber == nil {
		if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
			t.Fatal(err)
		}
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer, ca.key = template, key, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// user issues a client certificate.
func (ca *testCA) user(t *testing.T, name string, groups ...string) *tls.Certificate {
	t.Helper()
	return ca.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: groups}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}
