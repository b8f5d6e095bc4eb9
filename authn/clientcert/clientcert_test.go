package clientcert_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/clientcert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// node is a certificate with its key.
type node struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type change func(*x509.Certificate)

// issue makes a certificate signed by parent, or by itself.
func issue(t testing.TB, parent *node, changes ...change) *node {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueFor(t, parent, key, changes...)
}

func issueFor(t testing.TB, parent *node, key crypto.Signer, changes ...change) *node {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	for _, c := range changes {
		c(template)
	}
	if parent == nil {
		parent = &node{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &node{cert: cert, key: key}
}

func authority(name string) change {
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.KeyUsage = name, true, x509.KeyUsageCertSign
	}
}

func client(name string, groups ...string) change {
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.Subject.Organization = name, groups
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
}

func uid(values ...string) change {
	return func(c *x509.Certificate) {
		for _, v := range values {
			c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{
				Type: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}, Value: v,
			})
		}
	}
}

func writeBundle(t testing.TB, path string, roots ...*node) {
	t.Helper()
	var data []byte
	for _, r := range roots {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})...)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// clock can be set.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func open(t testing.TB, c *clock, roots ...*node) (*clientcert.Authenticator, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	writeBundle(t, path, roots...)
	a, err := clientcert.Open(path, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a, path
}

func present(t testing.TB, a *clientcert.Authenticator, chain ...*node) (*authn.Result, error) {
	t.Helper()
	var c authn.Credentials
	for _, n := range chain {
		c.PeerCertificates = append(c.PeerCertificates, n.cert)
	}
	return a.Authenticate(t.Context(), c)
}

func TestAuthenticate(t *testing.T) {
	root := issue(t, nil, authority("root"))
	middle := issue(t, root, authority("middle"))
	a, _ := open(t, &clock{now: start}, root)
	tests := map[string]struct {
		chain []*node
		want  *api.User // nil: no opinion
	}{
		"no certificate":               {},
		"a user and its groups":        {[]*node{issue(t, root, client("alice", "dev", "ops"))}, &api.User{Name: "alice", Groups: []string{"dev", "ops"}}},
		"a uid":                        {[]*node{issue(t, root, client("alice"), uid("u1"))}, &api.User{Name: "alice", UID: "u1"}},
		"through an intermediate":      {[]*node{issue(t, middle, client("bob")), middle}, &api.User{Name: "bob"}},
		"no extended key usage at all": {[]*node{issue(t, root, func(c *x509.Certificate) { c.Subject.CommonName = "carol" })}, &api.User{Name: "carol"}},
		"no common name":               {[]*node{issue(t, root, client("", "system:masters"))}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, again := range []string{"first", "remembered"} {
				res, err := present(t, a, tc.chain...)
				if err != nil {
					t.Fatal(err)
				}
				if tc.want == nil {
					if res != nil {
						t.Errorf("%s: got %v, want no opinion", again, res)
					}
					continue
				}
				sum := sha256.Sum256(tc.chain[0].cert.Raw)
				id := "X509SHA256=" + hex.EncodeToString(sum[:])
				want := &authn.Result{User: *tc.want, Method: "x509", CredentialID: id}
				want.User.Extra = map[string][]string{api.ExtraCredentialID: {id}}
				if diff := cmp.Diff(want, res); diff != "" {
					t.Errorf("%s (-want +got):\n%s", again, diff)
				}
			}
		})
	}
}

// TestHostileCertificates is a corpus of chains that must all be refused.
func TestHostileCertificates(t *testing.T) {
	root, other := issue(t, nil, authority("root")), issue(t, nil, authority("root"))
	middle, notCA := issue(t, root, authority("middle")), issue(t, root, client("alice"))
	longChain := []*node{issue(t, root, client("x"))}
	for range clientcert.MaxChain {
		longChain = append(longChain, middle)
	}
	constrained := issue(t, root, authority("constrained"), func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.com"}, true
	})
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = start.Add(-2*time.Hour), start.Add(-time.Second)
	}
	expiredMiddle, serverMiddle := issue(t, root, authority("m"), expired), issue(t, root, authority("m"), serverOnly)
	noSign := issue(t, root, authority("m"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	tests := map[string][]*node{
		"expired":                           {issue(t, root, client("x"), expired)},
		"not yet valid":                     {issue(t, root, client("x"), func(c *x509.Certificate) { c.NotBefore = start.Add(time.Minute) })},
		"another authority of the name":     {issue(t, other, client("x"))},
		"signed by itself":                  {issue(t, nil, client("x"))},
		"good for servers only":             {issue(t, root, client("x"), serverOnly)},
		"issued by a leaf":                  {issue(t, notCA, client("x")), notCA},
		"issued by an expired intermediate": {issue(t, expiredMiddle, client("x")), expiredMiddle},
		"issued by one for servers only":    {issue(t, serverMiddle, client("x")), serverMiddle},
		"issued by one that may not sign":   {issue(t, noSign, client("x")), noSign},
		"the intermediate is missing":       {issue(t, middle, client("x"))},
		"the intermediate is another":       {issue(t, middle, client("x")), expiredMiddle},
		"against the name constraints": {issue(t, constrained, client("x"), func(c *x509.Certificate) {
			c.DNSNames = []string{"example.org"}
		}), constrained},
		"an unknown critical extension": {issue(t, root, client("x"), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})},
		"two uids":                     {issue(t, root, client("x"), uid("a", "b"))},
		"an empty uid":                 {issue(t, root, client("x"), uid(""))},
		"too many certificates":        longChain,
		"too many bytes":               {issue(t, root, client("x"), func(c *x509.Certificate) { c.DNSNames = manyNames() })},
		"an RSA key over the limit":    {&node{cert: &x509.Certificate{PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16<<10), E: 3}}}},
		"a key of an unknown kind":     {&node{cert: &x509.Certificate{Raw: []byte("x")}}},
		"a hidden second intermediate": {issue(t, issue(t, expiredMiddle, authority("deep")), client("x")), expiredMiddle},
	}
	a, _ := open(t, &clock{now: start}, root)
	for name, chain := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				if res, err := present(t, a, chain...); res != nil || err == nil {
					t.Fatalf("got %v, %v, want an error", res, err)
				}
			}
		})
	}
}

func manyNames() []string {
	var names []string
	for i := range 4000 {
		names = append(names, fmt.Sprintf("host-%d.example.com", i))
	}
	return names
}

func TestRememberedLeafFollowsTheClock(t *testing.T) {
	c := &clock{now: start}
	root := issue(t, nil, authority("root"))
	middle := issue(t, root, authority("middle"), func(c *x509.Certificate) { c.NotAfter = start.Add(time.Minute) })
	leaf := issue(t, middle, client("alice"))
	a, _ := open(t, c, root)
	for _, step := range []struct {
		now  time.Time
		good bool
	}{
		{start, true},
		{start.Add(time.Minute), true},
		{start.Add(time.Minute + time.Second), false}, // the intermediate has ended, the leaf has not
		{start.Add(-2 * time.Hour), false},
		{start, true},
	} {
		c.set(step.now)
		if res, err := present(t, a, leaf, middle); (res != nil) != step.good || (err == nil) != step.good {
			t.Errorf("at %v: got %v, %v, want %v", step.now, res, err, step.good)
		}
	}
}

func TestReload(t *testing.T) {
	one, two := issue(t, nil, authority("one")), issue(t, nil, authority("two"))
	alice, bob := issue(t, one, client("alice")), issue(t, two, client("bob"))
	a, path := open(t, &clock{now: start}, one)
	check := func(name string, wantAlice, wantBob bool) {
		t.Helper()
		_, errAlice := present(t, a, alice)
		_, errBob := present(t, a, bob)
		if (errAlice == nil) != wantAlice || (errBob == nil) != wantBob {
			t.Errorf("%s: alice: %v, bob: %v", name, errAlice, errBob)
		}
	}
	reload := func(wantChanged, wantErr bool) {
		t.Helper()
		if changed, err := a.Reload(); changed != wantChanged || (err != nil) != wantErr {
			t.Errorf("Reload = %v, %v", changed, err)
		}
	}
	check("at first", true, false)
	reload(false, false)
	pemOne := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.cert.Raw})
	for name, data := range map[string]string{
		"empty":                     "",
		"no PEM":                    "hello",
		"cut off":                   string(pemOne) + string(pemOne[:len(pemOne)/2]),
		"damaged in the middle":     strings.Replace(string(pemOne), "MII", "M!I", 1) + string(pemOne),
		"a block that is no cert":   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
		"only a key":                string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})),
		"more than the count limit": strings.Repeat(string(pemOne), 1001),
		"more than the size limit":  strings.Repeat("\n", 4<<20+1),
	} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		reload(false, true)
		check("after a bundle that is "+name, true, false)
	}
	writeBundle(t, path, one, two)
	reload(true, false)
	check("with both", true, true)
	writeBundle(t, path, two)
	reload(true, false)
	check("once the first is gone", false, true)
	if len(a.Authorities()) != 1 {
		t.Errorf("%d authorities to hint at", len(a.Authorities()))
	}
}

// TestResumedSession shows that a session resumed after the authorities changed is judged by the new ones.
func TestResumedSession(t *testing.T) {
	today := func(c *x509.Certificate) { // the TLS library looks at the real clock before it resumes a session
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	one, two := issue(t, nil, authority("one"), today), issue(t, nil, authority("two"), today)
	alice := issue(t, one, client("alice"), today)
	a, path := open(t, &clock{now: time.Now()}, one)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := authn.FromRequest(r)
		if err == nil {
			_, err = a.Authenticate(r.Context(), c)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{alice.cert.Raw}, PrivateKey: alice.key}}
	transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	transport.DisableKeepAlives = true
	get := func() (int, bool) {
		t.Helper()
		res, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.TLS.DidResume
	}
	if code, _ := get(); code != http.StatusOK {
		t.Fatalf("code = %d, want 200", code)
	}
	writeBundle(t, path, two)
	if _, err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if code, resumed := get(); code != http.StatusUnauthorized || !resumed {
		t.Errorf("code = %d, resumed %v, want 401 on a resumed session", code, resumed)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	root := issue(b, nil, authority("root"))
	leaf := issue(b, root, client("alice", "dev"))
	a, _ := open(b, &clock{now: start}, root)
	for b.Loop() {
		if res, err := present(b, a, leaf); res == nil || err != nil {
			b.Fatal(res, err)
		}
	}
}
