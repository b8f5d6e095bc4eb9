package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// testIssuer is an OpenID Connect issuer over HTTPS.
type testIssuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
	ca  string // a file
}

func newTestIssuer(t *testing.T) *testIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &testIssuer{key: key, ca: filepath.Join(t.TempDir(), "issuer.crt")}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "k", Key: key.Public()}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	}))
	t.Cleanup(i.Close)
	writeTestFile(t, i.ca, i.pem())
	return i
}

func (i *testIssuer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}))
}

func (i *testIssuer) token(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	claims["iss"], claims["exp"] = i.URL, time.Now().Add(time.Hour).Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "k"
	text, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeTestFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOIDCFlags(t *testing.T) {
	i := newTestIssuer(t)
	l := startServer(t, "", "--oidc-issuer-url="+i.URL, "--oidc-client-id=kubernetes", "--oidc-ca-file="+i.ca, "--oidc-signing-algs=ES256",
		"--oidc-groups-claim=groups", "--oidc-groups-prefix=oidc:", "--oidc-required-claim=hd=acme")
	anybody := l.client(t, nil)
	token := i.token(t, jwt.MapClaims{"aud": "kubernetes", "sub": "alice", "groups": []string{"dev"}, "hd": "acme", "jti": "j1"})
	code, who := l.eventually(t, http.StatusCreated, func() (int, authenticationv1.UserInfo) {
		return l.whoami(t, anybody, "Authorization", "Bearer "+token)
	})
	want := authenticationv1.UserInfo{
		Username: i.URL + "#alice", Groups: []string{"oidc:dev", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=j1"}},
	}
	if diff := cmp.Diff(want, who); code != http.StatusCreated || diff != "" {
		t.Errorf("who: %d (-want +got):\n%s", code, diff)
	}
	for name, token := range map[string]string{
		"another audience":         i.token(t, jwt.MapClaims{"aud": "x", "sub": "alice", "hd": "acme"}),
		"without what is required": i.token(t, jwt.MapClaims{"aud": "kubernetes", "sub": "alice"}),
		"a changed signature":      token[:len(token)-6] + "AAAAAA",
	} {
		if code, who := l.whoami(t, anybody, "Authorization", "Bearer "+token); code != http.StatusUnauthorized {
			t.Errorf("%s: %d %v", name, code, who)
		}
	}
	if strings.Contains(l.log.String(), token) {
		t.Error("a token is in the log")
	}
}

func TestAuthenticationConfig(t *testing.T) {
	i := newTestIssuer(t)
	ca, err := json.Marshal(i.pem())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "authn.yaml")
	writeTestFile(t, file, fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: %q, audiences: [a, b], audienceMatchPolicy: MatchAny, certificateAuthority: %s}
  claimMappings:
    username: {expression: '"corp:" + claims.sub'}
    groups: {expression: 'claims.roles'}
    extra: [{key: acme.io/team, valueExpression: 'claims.team'}]
  userValidationRules: [{expression: '!user.username.endsWith("mallory")', message: go away}]
anonymous: {enabled: true, conditions: [{path: /version}]}
`, i.URL, ca))
	l := startServer(t, "", "--authentication-config="+file)
	anybody := l.client(t, nil)
	token := i.token(t, jwt.MapClaims{"aud": "b", "sub": "alice", "roles": []string{"dev"}, "team": "red"})
	code, who := l.eventually(t, http.StatusCreated, func() (int, authenticationv1.UserInfo) {
		return l.whoami(t, anybody, "Authorization", "Bearer "+token)
	})
	want := authenticationv1.UserInfo{
		Username: "corp:alice", Groups: []string{"dev", "system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"acme.io/team": {"red"}},
	}
	if diff := cmp.Diff(want, who); code != http.StatusCreated || diff != "" {
		t.Errorf("who: %d (-want +got):\n%s", code, diff)
	}
	mallory := i.token(t, jwt.MapClaims{"aud": "b", "sub": "mallory", "roles": []string{}, "team": "red"})
	if code, _ := l.whoami(t, anybody, "Authorization", "Bearer "+mallory); code != http.StatusUnauthorized {
		t.Errorf("a user that a rule refuses: %d", code)
	}
	for path, want := range map[string]int{"/version": http.StatusOK, "/livez": http.StatusUnauthorized, "/api": http.StatusUnauthorized} {
		if code, _ := l.do(t, anybody, http.MethodGet, path, ""); code != want {
			t.Errorf("%s without a credential: %d, want %d", path, code, want)
		}
	}
}
