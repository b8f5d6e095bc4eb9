package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// reviewer is a service that knows the token "known" and keeps what it was asked.
type reviewer struct {
	mu    sync.Mutex // guards asked
	asked []string
}

func (r *reviewer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.asked = append(r.asked, review.Spec.Token)
	r.mu.Unlock()
	if review.Spec.Token == "known" {
		review.Status = authenticationv1.TokenReviewStatus{
			Authenticated: true, User: authenticationv1.UserInfo{Username: "remote-alice", UID: "7", Groups: []string{"remote"}},
		}
	}
	review.Spec = authenticationv1.TokenReviewSpec{}
	_ = json.NewEncoder(w).Encode(review)
}

func (r *reviewer) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.asked = nil }()
	return strings.Join(r.asked, " ")
}

func TestTokenWebhook(t *testing.T) {
	r := &reviewer{}
	s := httptest.NewTLSServer(r)
	defer s.Close()
	dir := t.TempDir()
	ca, config := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "config")
	for path, text := range map[string]string{
		ca: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		config: fmt.Sprintf("current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"+
			"clusters: [{name: k, cluster: {server: %q, certificate-authority: ca.crt}}]\n", s.URL),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := startServer(t, "", "--authentication-token-webhook-config-file="+config, "--authentication-token-webhook-version=v1")
	anybody := l.client(t, nil)
	for range 3 {
		code, who := l.whoami(t, anybody, "Authorization", "Bearer known")
		if code != http.StatusCreated || who.Username != "remote-alice" || who.UID != "7" {
			t.Errorf("a token that the service knows: %d %v", code, who)
		}
		if code, _ := l.whoami(t, anybody, "Authorization", "Bearer unknown"); code != http.StatusUnauthorized {
			t.Errorf("a token that nobody knows: %d", code)
		}
	}
	if asked := r.take(); asked != "known unknown" {
		t.Errorf("the service was asked about %s; want each token once", asked)
	}
	token, _ := l.token(t, "local")
	if code, _ := l.whoami(t, anybody, "Authorization", "Bearer "+token); code != http.StatusCreated {
		t.Errorf("a token of the server's own: %d", code)
	}
	if asked := r.take(); asked != "" {
		t.Errorf("the service was shown a token of the server's own")
	}
}
