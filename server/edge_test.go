package server_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

// TestBrowsersOfAllowedOrigins guards that other pages learn nothing, and that a preflight needs no credentials and reaches no stage behind the peer's.
func TestBrowsersOfAllowedOrigins(t *testing.T) {
	for name, tt := range map[string]struct {
		method, origin string
		code           int
		allowed        string
	}{
		"a preflight of an allowed page": {http.MethodOptions, "https://ui.example.com", http.StatusNoContent, "https://ui.example.com"},
		"a request of an allowed page":   {http.MethodGet, "https://ui.example.com", http.StatusOK, "https://ui.example.com"},
		"a preflight of another page":    {http.MethodOptions, "https://ui.example.com.evil.example", http.StatusMethodNotAllowed, ""},
		"a request of another page":      {http.MethodGet, "https://evil.example", http.StatusOK, ""},
		"no page":                        {http.MethodGet, "", http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stages{}
				cfg := config(t, s)
				var err error
				cfg.Edge.AllowedOrigins, err = server.CompileOrigins([]string{`^https://ui\.example\.com$`})
				if err != nil {
					t.Fatal(err)
				}
				ln := newPipes(t)
				h := start(t, cfg, ln, ln.dial, true)
				a := h.do(t, tt.method, pods, nil, "Origin", tt.origin)
				if a.StatusCode != tt.code {
					t.Errorf("code %d: %s", a.StatusCode, a.body)
				}
				if got := a.Header.Get("Access-Control-Allow-Origin"); got != tt.allowed {
					t.Errorf("allowed origin %q, want %q", got, tt.allowed)
				}
				if seen, _, _ := s.take(); tt.code == http.StatusNoContent && len(seen) > 1 {
					t.Errorf("a preflight reached %v", seen)
				}
			})
		})
	}
}

// by recognises everybody, by a method.
type by string

func (b by) Authenticate(context.Context, authn.Credentials, api.RequestInfo) (*authn.Result, error) {
	return &authn.Result{User: api.User{Name: "alice"}, Method: string(b)}, nil
}

// TestPagesOfOtherSites guards a browser's certificate from pages that its user happens to look at.
func TestPagesOfOtherSites(t *testing.T) {
	cross := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	for name, tt := range map[string]struct {
		method by
		verb   string
		path   string
		header []string
		code   int
	}{
		"a write":                    {"x509", http.MethodPost, pods, cross, http.StatusForbidden},
		"a write from a sibling":     {"x509", http.MethodPost, pods, []string{"Origin", "https://x.example.com", "Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"a read":                     {"x509", http.MethodGet, pods, cross, http.StatusOK},
		"a read by WebSocket":        {"x509", http.MethodGet, pods + "?watch=1", append([]string{"Connection", "Upgrade", "Upgrade", "websocket"}, cross...), http.StatusForbidden},
		"a command":                  {"x509", http.MethodGet, pods + "/p/exec", cross, http.StatusForbidden},
		"a proxy":                    {"x509", http.MethodGet, pods + "/p/proxy/", cross, http.StatusForbidden},
		"a write with a token":       {"serviceaccount", http.MethodPost, pods, cross, http.StatusOK},
		"a write of an allowed page": {"x509", http.MethodPost, pods, []string{"Origin", "https://ui.example.com", "Sec-Fetch-Site", "cross-site"}, http.StatusOK},
		"a write of an own page":     {"x509", http.MethodPost, pods, []string{"Origin", "https://gatehouse", "Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		"a write without a page":     {"x509", http.MethodPost, pods, []string{"Sec-Fetch-Site", "none"}, http.StatusOK},
		"a write of no browser":      {"x509", http.MethodPost, pods, nil, http.StatusOK},
		"a write behind kubectl":     {"x509", http.MethodPost, pods, []string{"Origin", "http://localhost:8001", "Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		"a path that is no resource": {"x509", http.MethodPost, "/version", cross, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t, &stages{})
				cfg.Authenticator = tt.method
				var err error
				if cfg.Edge.AllowedOrigins, err = server.CompileOrigins([]string{`^https://ui\.example\.com$`}); err != nil {
					t.Fatal(err)
				}
				ln := newPipes(t)
				h := start(t, cfg, ln, ln.dial, false)
				if a := h.do(t, tt.verb, tt.path, nil, tt.header...); a.StatusCode != tt.code {
					t.Errorf("code %d, want %d: %s", a.StatusCode, tt.code, a.body)
				}
			})
		})
	}
}

func TestStrictTransportSecurity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &stages{})
		cfg.Edge.StrictTransportSecurity = server.JoinDirectives([]string{"max-age=31536000", "includeSubDomains"})
		ln := newPipes(t)
		h := start(t, cfg, ln, ln.dial, false)
		if got := h.get(t, pods).Header.Get("Strict-Transport-Security"); got != "max-age=31536000; includeSubDomains" {
			t.Errorf("got %q", got)
		}
	})
}

// TestGoAway shows that a client is asked to connect anew, and that its request is answered all the same.
func TestGoAway(t *testing.T) {
	for name, tt := range map[string]struct {
		chance      float64
		connections int
	}{"never": {0, 1}, "always": {1, 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t, &stages{})
				cfg.Edge.GoAwayChance = tt.chance
				ln := newPipes(t)
				connections := 0
				h := start(t, cfg, ln, func(ctx context.Context) (net.Conn, error) {
					connections++
					return ln.dial(ctx)
				}, true)
				for range 3 {
					if a := h.get(t, pods); a.StatusCode != http.StatusOK {
						t.Errorf("code %d", a.StatusCode)
					}
					synctest.Wait()
				}
				if connections != tt.connections {
					t.Errorf("%d connections, want %d", connections, tt.connections)
				}
			})
		})
	}
}

// TestRetryAfterWhileDraining shows that what comes while requests in flight are waited for is told to come back, not cut off.
func TestRetryAfterWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		s := &stages{serve: func(_ http.ResponseWriter, _ *http.Request, p authz.Permit) error {
			if p.Info().Verb == "create" {
				<-finish
			}
			return nil
		}}
		cfg := config(t, s)
		cfg.RetryAfter, cfg.DrainTimeout = true, 10*time.Second
		ln := newPipes(t)
		h := start(t, cfg, ln, ln.dial, false)
		created := make(chan int, 1)
		go func() { created <- h.do(t, http.MethodPost, pods, nil).StatusCode }()
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- h.stop() }()
		synctest.Wait()
		a := h.get(t, pods)
		if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "5" {
			t.Errorf("code %d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
		}
		close(finish)
		if code := <-created; code != http.StatusOK {
			t.Errorf("the request in flight ended with %d", code)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// TestWatchesEndOneAfterTheOther guards against all clients coming back at the same moment.
func TestWatchesEndOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan time.Time, 20)
		s := &stages{serve: func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
			<-r.Context().Done()
			ends <- time.Now()
			return nil
		}}
		cfg := config(t, s)
		cfg.WatchGrace = time.Minute
		ln := newPipes(t)
		h := start(t, cfg, ln, ln.dial, true)
		for range cap(ends) {
			go func() { h.do(t, http.MethodGet, pods+"?watch=true", nil) }()
		}
		synctest.Wait()
		begun := time.Now()
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		if n := len(ends); n != cap(ends) {
			t.Fatalf("%d watches have ended, want %d", n, cap(ends))
		}
		moments := map[time.Time]bool{}
		for range cap(ends) {
			end := <-ends
			moments[end] = true
			if end.Sub(begun) > time.Minute {
				t.Errorf("a watch ended after %v", end.Sub(begun))
			}
		}
		if len(moments) < cap(ends)/2 {
			t.Errorf("%d watches ended at %d moments", cap(ends), len(moments))
		}
	})
}
