package webhook_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with h over HTTPS and returns a kubeconfig for it, with more lines for cluster and user.
func serve(t *testing.T, h http.HandlerFunc, cluster, user string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	return kubeconfig(t, dir, "server: "+s.URL+"/review?a=b\n    certificate-authority: ca.crt\n    "+cluster, user)
}

func kubeconfig(t *testing.T, dir, cluster, user string) string {
	t.Helper()
	path := filepath.Join(dir, "config")
	write(t, path, fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters:
- name: k
  cluster:
    %s
users:
- name: u
  user: {%s}
`, cluster, user))
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *webhook.Client {
	t.Helper()
	c, err := webhook.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestPost(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	var body atomic.Value
	path := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		asked.Store(r)
		body.Store(string(data))
		fmt.Fprint(w, `{"answer":"yes"}`)
	}, "", "token: canary")
	var out struct{ Answer string }
	if err := open(t, path).Post(t.Context(), map[string]string{"question": "?"}, &out); err != nil {
		t.Fatal(err)
	}
	r := asked.Load()
	if out.Answer != "yes" || body.Load() != `{"question":"?"}` || r.URL.String() != "/review?a=b" || r.Method != http.MethodPost ||
		r.Header.Get("Authorization") != "Bearer canary" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answer %v to %s %s %v %v", out, r.Method, r.URL, r.Header, body.Load())
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	tests := map[string]struct {
		h     http.HandlerFunc
		says  string
		tries int32
	}{
		"a refusal": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "canary", http.StatusForbidden) }, "answered 403", 1},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "redirects, which is not followed", 1},
		"no JSON":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "canary") }, "not the JSON", 1},
		"another type": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"Answer":["canary"]}`) }, "not the JSON", 1},
		"without an end": {func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(" "), 1<<20)
			for range 5 {
				_, _ = w.Write(chunk)
			}
		}, "larger than", 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			path := serve(t, func(w http.ResponseWriter, r *http.Request) { tries.Add(1); tc.h(w, r) }, "", "")
			var out struct{ Answer string }
			err := open(t, path).Post(t.Context(), "question-canary", &out)
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "canary") || tries.Load() != tc.tries {
				t.Errorf("error %v after %d tries, want %q", err, tries.Load(), tc.says)
			}
		})
	}
}

func TestTriesAgain(t *testing.T) {
	var tries atomic.Int32
	path := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) == 1 {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, `{}`)
	}, "", "")
	if err := open(t, path).Post(t.Context(), "q", &struct{}{}); err != nil || tries.Load() != 2 {
		t.Errorf("error %v after %d tries", err, tries.Load())
	}
}

func TestOnlyTheNamedAuthorityIsTrusted(t *testing.T) {
	path := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }, "", "")
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	// The certificate of httptest is always the same, so another name makes the difference.
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(config), "certificate-authority: ca.crt", "certificate-authority: ca.crt\n    tls-server-name: other.test", 1))
	if err := open(t, path).Post(t.Context(), "q", &struct{}{}); err == nil || !strings.Contains(err.Error(), "other.test") {
		t.Errorf("error = %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := map[string]struct{ cluster, user, says string }{
		"clear text":                     {"server: http://127.0.0.1", "", "want an https URL"},
		"no server":                      {"server: ''", "", "want an https URL"},
		"a password in the URL":          {"server: https://me:canary@127.0.0.1", "", "no user in the URL"},
		"no verification":                {"server: https://127.0.0.1\n    insecure-skip-tls-verify: true", "", "insecure-skip-tls-verify"},
		"a proxy":                        {"server: https://127.0.0.1\n    proxy-url: http://p", "", "proxy-url"},
		"an authority that is not there": {"server: https://127.0.0.1\n    certificate-authority: none.crt", "", "none.crt"},
		"an authority that is none":      {"server: https://127.0.0.1\n    certificate-authority: config", "", "no certificate"},
		"a program":                      {"server: https://127.0.0.1", "exec: {command: sh, apiVersion: v1, interactiveMode: Never}", "exec"},
		"a password":                     {"server: https://127.0.0.1", "username: me, password: canary", "username and password"},
		"somebody else":                  {"server: https://127.0.0.1", "as: admin", "as: not supported"},
		"a certificate without its key":  {"server: https://127.0.0.1", "client-certificate: config", "client-certificate"},
		"no token file":                  {"server: https://127.0.0.1", "tokenFile: none", "tokenFile"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := kubeconfig(t, t.TempDir(), tc.cluster, tc.user)
			_, err := webhook.Open(path, 0)
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error = %v, want %q of %s", err, tc.says, path)
			}
		})
	}
	none := filepath.Join(t.TempDir(), "none")
	if _, err := webhook.Open(none, 0); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), none) {
		t.Errorf("no file: %v", err)
	}
	write(t, none, "{")
	if _, err := webhook.Open(none, 0); err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("no YAML: %v", err)
	}
}

func TestReload(t *testing.T) {
	var seen atomic.Value
	path := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		fmt.Fprint(w, `{}`)
	}, "", "token: one")
	c := open(t, path)
	if changed, err := c.Reload(); changed || err != nil {
		t.Errorf("without a change: %v, %v", changed, err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "{")
	if changed, err := c.Reload(); changed || err == nil {
		t.Errorf("a broken file: %v, %v", changed, err)
	}
	write(t, path, strings.Replace(string(old), "token: one", "token: two", 1))
	if changed, err := c.Reload(); !changed || err != nil {
		t.Errorf("another token: %v, %v", changed, err)
	}
	if err := c.Post(t.Context(), "q", &struct{}{}); err != nil || seen.Load() != "Bearer two" {
		t.Errorf("asked with %v, %v", seen.Load(), err)
	}
}

func FuzzKubeconfig(f *testing.F) {
	f.Add("apiVersion: v1\nclusters: [{name: a, cluster: {server: https://a}}]\ncontexts: [{name: a, context: {cluster: a}}]\ncurrent-context: a")
	f.Add("{")
	path := filepath.Join(f.TempDir(), "config")
	f.Fuzz(func(t *testing.T, text string) {
		write(t, path, text)
		c, err := webhook.Open(path, 0)
		if (c == nil) != (err != nil) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	})
}
