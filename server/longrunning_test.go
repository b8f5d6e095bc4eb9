package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

// rechecker has an answer for each token and counts the questions.
type rechecker struct {
	mu      sync.Mutex // guards what follows
	answers map[string]error
	users   map[string]error // by the name that they were recognised by
	asked   map[string]int
}

func (r *rechecker) Recheck(_ context.Context, c authn.Credentials, _ api.RequestInfo, was *authn.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[c.BearerToken]++
	if c.Header.Get("Authorization") != "" {
		return errors.New("the credential was kept in the headers")
	}
	if err := r.users[was.User.Name]; err != nil {
		return err
	}
	return r.answers[c.BearerToken]
}

// TestRecheckEndsWhatIsNotGoodAnyMore holds watches open by three tokens, of which one is revoked and one cannot be judged.
func TestRecheckEndsWhatIsNotGoodAnyMore(t *testing.T) {
	refused := api.Unauthorized(authn.ErrRevoked)
	r := &rechecker{asked: map[string]int{}, answers: map[string]error{
		"lost": refused, "unjudged": api.Unauthorized(api.Unavailable("no etcd")),
	}}
	ended := make(chan error, 10)
	begun := make(chan struct{}, 10)
	s := &stages{serve: func(w http.ResponseWriter, req *http.Request, _ authz.Permit) error {
		begun <- struct{}{}
		<-req.Context().Done()
		ended <- context.Cause(req.Context())
		return nil
	}}
	cfg := config(t, s)
	cfg.Rechecker = r
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := startServer(t, srv)
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, token := range []string{"lost", "lost", "kept", "unjudged"} {
		group.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://gatehouse/api/v1/pods?watch=true", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+token)
			if resp, err := h.client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	for range 4 {
		<-begun
	}
	if n := srv.Recheck(t.Context()); n != 2 {
		t.Errorf("%d requests were ended, want 2", n)
	}
	for range 2 {
		if cause := <-ended; !errors.Is(cause, authn.ErrRevoked) {
			t.Errorf("ended with %v", cause)
		}
	}
	if r.asked["lost"] != 1 {
		t.Errorf("one credential was judged %d times", r.asked["lost"])
	}
	select {
	case cause := <-ended:
		t.Errorf("another request ended: %v", cause)
	default:
	}
}

// TestRecheckTellsUsersOfOneTokenApart: a token that means somebody else since its file has changed ends what was begun under the old name and
// nothing else.
func TestRecheckTellsUsersOfOneTokenApart(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan string, 4)
	s := &stages{serve: func(_ http.ResponseWriter, req *http.Request, p authz.Permit) error {
		begun <- struct{}{}
		<-req.Context().Done()
		ended <- p.User().Name
		return nil
	}}
	cfg := config(t, s)
	cfg.Rechecker = &rechecker{asked: map[string]int{}, users: map[string]error{"old": api.Unauthorized(authn.ErrRevoked)}}
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := startServer(t, srv)
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, name := range []string{"old", "new", "newer", "newest"} {
		s.user = api.User{Name: name}
		group.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://gatehouse/api/v1/pods?watch=true", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer shared")
			if resp, err := h.client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
		<-begun
	}
	if n := srv.Recheck(t.Context()); n != 1 {
		t.Errorf("%d requests were ended, want 1", n)
	}
	if name := <-ended; name != "old" {
		t.Errorf("the request of %s was ended", name)
	}
}

// served is a running server whose value the test keeps.
type served struct {
	client *http.Client
}

func startServer(t *testing.T, srv *server.Server) *served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, pool := certificate(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "gatehouse"}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return &served{client: &http.Client{Transport: transport}}
}
