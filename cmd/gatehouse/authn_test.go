package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

// TestAuthentication shows a whole server the credentials that it tells apart, one after the other.
func TestAuthentication(t *testing.T) {
	proxies, clients := newTestCA(t, "proxies"), newTestCA(t, "clients")
	l := startServer(
		t, "", "--enable-bootstrap-token-auth", "--client-ca-file="+clients.file,
		"--requestheader-client-ca-file="+proxies.file, "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-uid-headers=X-Remote-Uid", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
	)
	t.Run("authorities named in the handshake", func(t *testing.T) {
		names := acceptedAuthorities(t, l)
		for _, ca := range []*testCA{clients, proxies} {
			if !slices.ContainsFunc(names, func(name []byte) bool { return bytes.Equal(name, ca.cert.RawSubject) }) {
				t.Errorf("%s is not among them", ca.cert.Subject)
			}
		}
		if len(names) != 3 { // The third is the data directory's.
			t.Errorf("%d authorities, want 3", len(names))
		}
	})
	t.Run("bootstrap token", l.testBootstrap)
	t.Run("legacy token", l.testLegacy)
	t.Run("token review", l.testTokenReview)
	t.Run("front proxy", func(t *testing.T) {
		proxy, other := l.client(t, proxies.user(t, "front-proxy")), l.client(t, proxies.user(t, "other"))
		client := l.client(t, clients.user(t, "front-proxy"))
		headers := []string{"X-Remote-User", "alice", "X-Remote-Group", "admins", "X-Remote-Uid", "7", "X-Remote-Extra-Scope", "r"}
		code, who := l.whoami(t, proxy, headers...)
		want := authenticationv1.UserInfo{
			Username: "alice", UID: "7", Groups: []string{"admins", "system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"scope": {"r"}},
		}
		if diff := cmp.Diff(want, who); code != http.StatusCreated || diff != "" {
			t.Errorf("a proxy's word: %d (-want +got):\n%s", code, diff)
		}
		if code, who := l.whoami(t, other, headers...); code != http.StatusUnauthorized {
			t.Errorf("a proxy by another name: %d %v", code, who)
		}
		if code, who := l.whoami(t, client, headers...); code != http.StatusCreated || who.Username != "front-proxy" {
			t.Errorf("a client with the proxy's headers and name: %d %v, want the client", code, who)
		}
		if code, _ := l.whoami(t, l.client(t, nil), headers...); code != http.StatusUnauthorized {
			t.Errorf("headers without a certificate: %d", code)
		}
	})
	t.Run("published", func(t *testing.T) {
		_, body := l.do(t, l.admin, http.MethodGet, "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication", "")
		var m corev1.ConfigMap
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{
			"requestheader-client-ca-file": string(proxies.pem()), "requestheader-username-headers": `["X-Remote-User"]`,
			"requestheader-group-headers": `["X-Remote-Group"]`, "requestheader-uid-headers": `["X-Remote-Uid"]`,
			"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`, "requestheader-allowed-names": `["front-proxy"]`,
		} {
			if diff := cmp.Diff(want, m.Data[key]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", key, diff)
			}
		}
		if !strings.Contains(m.Data["client-ca-file"], string(clients.pem())) || strings.Contains(m.Data["client-ca-file"], string(proxies.pem())) {
			t.Errorf("authorities of clients: %s", m.Data["client-ca-file"])
		}
	})
	if strings.Contains(l.log.String(), bootstrapSecret) {
		t.Error("the log holds the secret of a token")
	}
}

const bootstrapSecret = "0123456789abcdef"

func (l *live) testBootstrap(t *testing.T) {
	anybody := l.client(t, nil)
	const token = "Bearer abcdef." + bootstrapSecret
	if code, _ := l.whoami(t, anybody, "Authorization", token); code != http.StatusUnauthorized {
		t.Errorf("before there is a Secret: %d", code)
	}
	l.create(t, "/api/v1/namespaces/kube-system/secrets", `{"metadata":{"name":"bootstrap-token-abcdef"},"type":"bootstrap.kubernetes.io/token",
		"stringData":{"token-id":"abcdef","token-secret":"`+bootstrapSecret+`","usage-bootstrap-authentication":"true",
		"auth-extra-groups":"system:bootstrappers:kubeadm:default-node-token"}}`)
	code, who := l.eventually(t, http.StatusCreated, func() (int, authenticationv1.UserInfo) { return l.whoami(t, anybody, "Authorization", token) })
	want := []string{"system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", "system:authenticated"}
	if code != http.StatusCreated || who.Username != "system:bootstrap:abcdef" || !cmp.Equal(want, who.Groups) {
		t.Errorf("with a Secret: %d %v", code, who)
	}
	if code, _ := l.whoami(t, anybody, "Authorization", token+"x"); code != http.StatusUnauthorized {
		t.Errorf("another token: %d", code)
	}
	l.do(t, l.admin, http.MethodDelete, "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef", "")
	code, _ = l.eventually(t, http.StatusUnauthorized, func() (int, authenticationv1.UserInfo) { return l.whoami(t, anybody, "Authorization", token) })
	if code != http.StatusUnauthorized {
		t.Errorf("after the Secret is gone: %d", code)
	}
}

// eventually asks until the answer has the code: what was written is in the server's cache a moment later.
func (l *live) eventually(t *testing.T, want int, ask func() (int, authenticationv1.UserInfo)) (code int, who authenticationv1.UserInfo) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(readyLimit); time.Now().Before(deadline); <-tick.C {
		if code, who = ask(); code == want {
			break
		}
	}
	return code, who
}

// testLegacy makes a token in a Secret as a controller would.
func (l *live) testLegacy(t *testing.T) {
	var account corev1.ServiceAccount
	if err := json.Unmarshal([]byte(l.create(t, "/api/v1/namespaces/default/serviceaccounts", `{"metadata":{"name":"bot"}}`)), &account); err != nil {
		t.Fatal(err)
	}
	key, err := serviceaccount.LoadSigningKey(filepath.Join(l.dir, "pki", "service-account.key"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:default:bot", "kubernetes.io/serviceaccount/namespace": "default",
		"kubernetes.io/serviceaccount/secret.name": "bot-token", "kubernetes.io/serviceaccount/service-account.name": "bot",
		"kubernetes.io/serviceaccount/service-account.uid": string(account.UID),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	l.create(t, "/api/v1/namespaces/default/secrets", fmt.Sprintf(`{"metadata":{"name":"bot-token","annotations":{"kubernetes.io/service-account.name":"bot"}},
		"type":"kubernetes.io/service-account-token","stringData":{"token":%q}}`, token))
	anybody := l.client(t, nil)
	code, who := l.eventually(t, http.StatusCreated, func() (int, authenticationv1.UserInfo) {
		return l.whoami(t, anybody, "Authorization", "Bearer "+token)
	})
	if code != http.StatusCreated || who.Username != "system:serviceaccount:default:bot" || who.UID != string(account.UID) {
		t.Fatalf("who = %d %v", code, who)
	}
	const path = "/api/v1/namespaces/default/secrets/bot-token"
	labelled := func() (int, authenticationv1.UserInfo) {
		if _, body := l.do(t, l.admin, http.MethodGet, path, ""); !strings.Contains(body, `"kubernetes.io/legacy-token-last-used":"20`) {
			return 0, authenticationv1.UserInfo{}
		}
		return http.StatusOK, authenticationv1.UserInfo{}
	}
	if code, _ := l.eventually(t, http.StatusOK, labelled); code != http.StatusOK {
		t.Error("the use of the token is not on its Secret")
	}
	l.do(t, l.admin, http.MethodDelete, path, "")
	code, _ = l.eventually(t, http.StatusUnauthorized, func() (int, authenticationv1.UserInfo) {
		return l.whoami(t, anybody, "Authorization", "Bearer "+token)
	})
	if code != http.StatusUnauthorized {
		t.Errorf("after the Secret is gone: %d", code)
	}
}

// testTokenReview checks what a reviewer learns.
func (l *live) testTokenReview(t *testing.T) {
	l.create(t, "/api/v1/namespaces/default/serviceaccounts", `{"metadata":{"name":"reviewed"}}`)
	var request authenticationv1.TokenRequest
	if err := json.Unmarshal([]byte(l.create(t, "/api/v1/namespaces/default/serviceaccounts/reviewed/token", `{"spec":{"audiences":["vault"]}}`)), &request); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		spec authenticationv1.TokenReviewSpec
		want authenticationv1.TokenReviewStatus
	}{
		"an unknown token": {
			authenticationv1.TokenReviewSpec{Token: "xyz"}, authenticationv1.TokenReviewStatus{Error: "invalid bearer token"},
		},
		"a token for somebody else": {
			authenticationv1.TokenReviewSpec{Token: request.Status.Token},
			authenticationv1.TokenReviewStatus{Error: `[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["` + l.url + `"]]`},
		},
		"a token for one of those asked for": {
			authenticationv1.TokenReviewSpec{Token: request.Status.Token, Audiences: []string{"x", "vault"}},
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"vault"}, User: authenticationv1.UserInfo{
				Username: "system:serviceaccount:default:reviewed",
				Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"},
			}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ask, err := json.Marshal(authenticationv1.TokenReview{Spec: tc.spec})
			if err != nil {
				t.Fatal(err)
			}
			var got authenticationv1.TokenReview
			if err := json.Unmarshal([]byte(l.create(t, "/apis/authentication.k8s.io/v1/tokenreviews", string(ask))), &got); err != nil {
				t.Fatal(err)
			}
			got.Status.User.UID, got.Status.User.Extra = "", nil
			if diff := cmp.Diff(tc.want, got.Status); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStartRefusesAuthentication gives files that must not be used, and expects the flag and the file to be named.
func TestStartRefusesAuthentication(t *testing.T) {
	ca := newTestCA(t, "one")
	none := filepath.Join(t.TempDir(), "none")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	anonymous := filepath.Join(t.TempDir(), "anonymous")
	writeTestFile(t, anonymous, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\nanonymous: {enabled: true}\n")
	tests := map[string]struct {
		args []string
		says []string
	}{
		"one authority for clients and proxies": {
			[]string{"--client-ca-file=" + ca.file, "--requestheader-client-ca-file=" + ca.file, "--requestheader-allowed-names=p"},
			[]string{"--requestheader-client-ca-file and --client-ca-file contain overlapping certificates"},
		},
		"no authority of proxies": {
			[]string{"--requestheader-client-ca-file=" + none, "--requestheader-allowed-names=p"}, []string{"--requestheader-client-ca-file", none},
		},
		"a list of what is revoked that is none":       {[]string{"--client-crl-file=" + text}, []string{"--client-crl-file", text}},
		"a deny list that is none":                     {[]string{"--deny-list-file=" + text}, []string{"--deny-list-file", text}},
		"an authentication configuration that is none": {[]string{"--authentication-config=" + text}, []string{"--authentication-config", text}},
		"anonymous requests twice": {
			[]string{"--authentication-config=" + anonymous, "--anonymous-auth=false"},
			[]string{"--authentication-config: anonymous: Forbidden: --anonymous-auth flag cannot be set"},
		},
		"an issuer whose authority is not there": {
			[]string{"--oidc-issuer-url=https://a", "--oidc-client-id=b", "--oidc-ca-file=" + none}, []string{"--oidc-ca-file", none},
		},
		"a kubeconfig that is none": {
			[]string{"--authentication-token-webhook-config-file=" + text}, []string{"--authentication-token-webhook-config-file", text},
		},
		"an authority that is none": {[]string{"--client-ca-file=" + text}, []string{"--client-ca-file", text}},
		"a key that is none": {
			[]string{"--service-account-key-file=" + text, "--service-account-signing-key-file=" + text}, []string{"--service-account-signing-key-file", text},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := refusedStart(t, tc.args...)
			for _, says := range tc.says {
				if !strings.Contains(got, says) {
					t.Errorf("error %q does not say %q", got, says)
				}
			}
		})
	}
}
