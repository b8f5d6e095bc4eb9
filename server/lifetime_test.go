package server_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

type clientKey struct{}

var errGone = errors.New("the client is gone")

// TestLifetimeEndsForOneReason checks the context of a request, and contexts below it, for every way in which it ends. That a child says
// what its parent says is what the calls to etcd of a request that took too long depend on: they are answered with 504, not
// as if the client had gone away.
func TestLifetimeEndsForOneReason(t *testing.T) {
	for name, c := range map[string]struct {
		end        func(goAway, end context.CancelCauseFunc)
		err, cause error
	}{
		"the time is over":          {func(_, end context.CancelCauseFunc) { end(context.DeadlineExceeded) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"the request is over":       {func(_, end context.CancelCauseFunc) { end(nil) }, context.Canceled, context.Canceled},
		"the client is gone":        {func(goAway, _ context.CancelCauseFunc) { goAway(errGone) }, context.Canceled, errGone},
		"gone, then over its time":  {func(goAway, end context.CancelCauseFunc) { goAway(errGone); end(context.DeadlineExceeded) }, context.Canceled, errGone},
		"ended, then over its time": {func(_, end context.CancelCauseFunc) { end(nil); end(context.DeadlineExceeded) }, context.Canceled, context.Canceled},
		"over its time, then ended": {func(_, end context.CancelCauseFunc) { end(context.DeadlineExceeded); end(nil) }, context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, goAway := context.WithCancelCause(t.Context())
				ctx, end := server.NewLifetime(client, time.Now().Add(time.Minute), nil)
				child, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				grandchild, cancel := context.WithCancel(context.WithValue(child, clientKey{}, 1))
				defer cancel()
				ran := make(chan error, 1)
				context.AfterFunc(ctx, func() { ran <- ctx.Err() })
				stop := context.AfterFunc(ctx, func() { t.Error("a function ran that was stopped before") })
				if !stop() {
					t.Error("a function could not be stopped")
				}
				below := map[string]context.Context{"itself": ctx, "a child": child, "a grandchild": grandchild}
				for who, ctx := range below {
					if err := errors.Join(ctx.Err(), context.Cause(ctx)); err != nil {
						t.Errorf("%s has ended before it did: %v", who, err)
					}
				}

				c.end(goAway, end)
				if got := <-ran; !errors.Is(got, c.err) {
					t.Errorf("AfterFunc saw %v, want %v", got, c.err)
				}
				late, cancel := context.WithCancel(ctx)
				defer cancel()
				below["a child of one that has ended"] = late
				for who, ctx := range below {
					<-ctx.Done()
					if got := ctx.Err(); got != c.err { //nolint:errorlint // A context's error is that very value.
						t.Errorf("%s: Err is %v, want %v", who, got, c.err)
					}
					if got := context.Cause(ctx); !errors.Is(got, c.cause) {
						t.Errorf("%s: the cause is %v, want %v", who, got, c.cause)
					}
				}
				goAway(nil)
				if got := ctx.Err(); got != c.err { //nolint:errorlint // As above.
					t.Errorf("after the client: Err is %v, want %v", got, c.err)
				}
			})
		})
	}
}

func TestLifetimeTells(t *testing.T) {
	now := time.Now()
	client := context.WithValue(t.Context(), clientKey{}, "client")
	warnings := &api.Warnings{}
	ctx, end := server.NewLifetime(client, now.Add(time.Minute), warnings)
	defer end(nil)
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	for who, ctx := range map[string]context.Context{"itself": ctx, "a child": child, "detached": context.WithoutCancel(ctx)} {
		if got := ctx.Value(clientKey{}); got != "client" {
			t.Errorf("%s: the value of the client is %v", who, got)
		}
		if server.WarningsOf(ctx) != warnings {
			t.Errorf("%s: the warnings are others", who)
		}
	}
	if d, ok := child.Deadline(); !ok || !d.Equal(now.Add(time.Minute)) {
		t.Errorf("the deadline is %v, %t", d, ok)
	}
	if _, bounded := context.WithoutCancel(ctx).Deadline(); bounded {
		t.Error("a detached context has a deadline")
	}

	sooner, cancel := context.WithDeadline(client, now.Add(time.Second))
	defer cancel()
	ctx, end = server.NewLifetime(sooner, now.Add(time.Minute), nil)
	defer end(nil)
	if d, ok := ctx.Deadline(); !ok || !d.Equal(now.Add(time.Second)) {
		t.Errorf("the deadline below an earlier one is %v, %t", d, ok)
	}
}

// TestRequestOverItsTimeBeforeItBegins guards the deadline that has passed when it is set, for which no timer runs.
func TestRequestOverItsTimeBeforeItBegins(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		s.serve = func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error { return r.Context().Err() }
		if a := h.get(t, pods+"?timeout=1ns"); a.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("got %d %s", a.StatusCode, a.body)
		}
	})
}
