package server_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

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
