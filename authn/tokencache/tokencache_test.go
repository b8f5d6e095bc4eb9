package tokencache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/tokencache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("nobody answers")

// slow answers after a second and counts how often it was asked.
type slow struct{ asked atomic.Int32 }

func (s *slow) Authenticate(ctx context.Context, c authn.Credentials) (*authn.Result, error) {
	s.asked.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case c.BearerToken == "down":
		return nil, errDown
	case c.BearerToken == "short":
		return &authn.Result{User: api.User{Name: "short"}, Expires: time.Now().Add(3 * time.Second)}, nil
	case strings.HasPrefix(c.BearerToken, "bad"):
		return nil, nil
	}
	return &authn.Result{User: api.User{Name: c.BearerToken + strings.Join(c.Audiences, ",")}}, nil
}

func newCache(t *testing.T) (*tokencache.Cache, *slow) {
	t.Helper()
	s := &slow{}
	c, err := tokencache.New(tokencache.Options{Next: s, Success: 10 * time.Second, Failure: 5 * time.Second, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func bearer(token string, audiences ...string) authn.Credentials {
	return authn.Credentials{BearerToken: token, HasBearer: true, Audiences: audiences}
}

func TestAnswersAreRemembered(t *testing.T) {
	tests := []struct {
		name, token string
		life        time.Duration // 0: not at all
	}{
		{"a user", "alice", 10 * time.Second},
		{"a token that is not known", "bad", 5 * time.Second},
		{"a token that ends before", "short", 3 * time.Second},
		{"an error", "down", 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newCache(t)
				ask := func(want int32) {
					t.Helper()
					res, err := c.Authenticate(t.Context(), bearer(tc.token))
					if known := res != nil; known != (tc.token == "alice" || tc.token == "short") || (err != nil) != (tc.token == "down") {
						t.Errorf("answer = %v, %v", res, err)
					}
					if got := s.asked.Load(); got != want {
						t.Errorf("asked %d times, want %d", got, want)
					}
				}
				ask(1)
				if tc.life > 0 {
					time.Sleep(tc.life - time.Second - time.Millisecond) // The answer of short took a second of its life.
					ask(1)
					time.Sleep(time.Second + 2*time.Millisecond)
				}
				ask(2)
			})
		})
	}
}

func TestManyAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache(t)
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if res, err := c.Authenticate(t.Context(), bearer("alice")); err != nil || res.User.Name != "alice" {
					t.Errorf("answer = %v, %v", res, err)
				}
			})
		}
		group.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A token may be good for one audience and not for another, and two lists must not look like one.
func TestAudiencesAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache(t)
		for _, audiences := range [][]string{nil, {"a"}, {"a", "b"}, {"ab"}, {"a,b"}} {
			res, err := c.Authenticate(t.Context(), bearer("x", audiences...))
			if err != nil || res.User.Name != "x"+strings.Join(audiences, ",") {
				t.Errorf("%q: %v, %v", audiences, res, err)
			}
		}
		if n := s.asked.Load(); n != 5 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Whoever gives up must not take the answer from those who wait on.
func TestOneWhoLeavesDoesNotEndTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Authenticate(ctx, bearer("alice")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who left: %v", err)
		}
		if res, err := c.Authenticate(t.Context(), bearer("alice")); err != nil || res == nil || s.asked.Load() != 1 {
			t.Errorf("who stayed: %v, %v, asked %d times", res, err, s.asked.Load())
		}
	})
}

// Tokens that are made up must not make the server ask about good ones again.
func TestFloodDoesNotPushOutGoodTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache(t)
		ask := func(token string) {
			if _, err := c.Authenticate(t.Context(), bearer(token)); err != nil {
				t.Error(err)
			}
		}
		ask("alice")
		var group sync.WaitGroup
		for n := range 2 * tokencache.Size {
			group.Go(func() { ask(fmt.Sprint("bad", n)) })
		}
		group.Wait()
		before := s.asked.Load()
		if ask("alice"); s.asked.Load() != before {
			t.Error("a good token was forgotten")
		}
	})
}
