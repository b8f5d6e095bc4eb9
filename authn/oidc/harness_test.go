package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is a real issuer over HTTPS.
type provider struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	keys   []jose.JSONWebKey
	issuer string // what the discovery document says; empty: the truth
	jwks   string // where it says the keys are; empty: the truth
	down   bool
	fetch  int // how often keys were asked for
	asked  []string
}

func newProvider(t testing.TB, keys ...jose.JSONWebKey) *provider {
	t.Helper()
	p := &provider{keys: keys}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.URL.Path+r.Header.Get("Authorization"))
	switch {
	case p.down:
		http.Error(w, "", http.StatusServiceUnavailable)
	case r.URL.Path == "/keys":
		p.fetch++
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	case r.URL.Path == "/moved":
		http.Redirect(w, r, "/.well-known/openid-configuration", http.StatusFound)
	default:
		iss, jwks := p.issuer, p.jwks
		if iss == "" {
			iss = p.URL
		}
		if jwks == "" {
			jwks = p.URL + "/keys"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": iss, "jwks_uri": jwks})
	}
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetch
}

func (p *provider) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// config is a configuration for the provider.
func (p *provider) config(changes ...func(*oidc.JWT)) *oidc.Config {
	empty := ""
	j := oidc.JWT{
		Issuer:        oidc.Issuer{URL: p.URL, CertificateAuthority: p.ca(), Audiences: []string{"kubernetes"}},
		ClaimMappings: oidc.ClaimMappings{Username: oidc.PrefixedClaim{Claim: "sub", Prefix: &empty}},
	}
	for _, c := range changes {
		c(&j)
	}
	return &oidc.Config{JWT: []oidc.JWT{j}}
}

// signer is a key with its identifier.
type signer struct {
	id  string
	key crypto.Signer
}

func (s signer) public() jose.JSONWebKey { return jose.JSONWebKey{KeyID: s.id, Key: s.key.Public()} }

func ecKey(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key}
}

func rsaKey(t testing.TB, id string, bits int) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key}
}

// token signs good claims, with some replaced; nil removes one.
func (p *provider) token(t testing.TB, s signer, method jwt.SigningMethod, changes map[string]any, header ...string) string {
	t.Helper()
	c := jwt.MapClaims{"iss": p.URL, "aud": "kubernetes", "sub": "alice", "exp": start.Add(time.Hour).Unix(), "jti": "j1"}
	for k, v := range changes {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	token := jwt.NewWithClaims(method, c)
	if s.id != "" {
		token.Header["kid"] = s.id
	}
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

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

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newAuthenticator(t testing.TB, c *oidc.Config, clock *clock, algorithms ...string) *oidc.Authenticator {
	t.Helper()
	if len(algorithms) == 0 {
		algorithms = oidc.Algorithms()
	}
	a, err := oidc.New(c, oidc.Options{
		Algorithms: algorithms, Disallowed: []string{"https://own"}, Clock: clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run reads the keys until the test ends.
func run(t testing.TB, a *oidc.Authenticator) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func present(t testing.TB, a *oidc.Authenticator, token string) (*authn.Result, error) {
	t.Helper()
	return a.Authenticate(t.Context(), authn.Credentials{BearerToken: token, HasBearer: true})
}

// until asks until ok: keys are read beside requests.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(fmt.Sprint("never: ", what))
		}
	}
}
