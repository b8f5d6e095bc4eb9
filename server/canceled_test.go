package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

// errorsOnly passes on the messages of errors.
type errorsOnly struct {
	slog.Handler
	messages chan string
}

func (e errorsOnly) WithAttrs([]slog.Attr) slog.Handler { return e }

func (e errorsOnly) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		e.messages <- r.Message
	}
	return nil
}

// TestCanceledRequestIsNoFault guards against errors in the log, which wake up people, for clients that went away. The same from
// within the server is one.
func TestCanceledRequestIsNoFault(t *testing.T) {
	messages := make(chan string, 10)
	run(t, func(t *testing.T, h *host, s *stages) {
		ctx, goAway := context.WithCancel(t.Context())
		served := make(chan struct{})
		s.serve = func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
			defer close(served)
			goAway()
			<-r.Context().Done()
			return fmt.Errorf("etcd create: %w", r.Context().Err())
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://gatehouse"+pods, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := h.client.Do(r); err == nil {
			resp.Body.Close() //nolint:errcheck // There should be none.
			t.Fatal("a request that was canceled was answered")
		}
		<-served
		s.serve = func(http.ResponseWriter, *http.Request, authz.Permit) error {
			return fmt.Errorf("inside: %w", context.Canceled)
		}
		h.get(t, pods)
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		if got := len(messages); got != 1 {
			t.Errorf("%d errors were logged, want 1, of the server's own", got)
		}
		for len(messages) > 0 {
			<-messages
		}
	}, func(cfg *server.Config) {
		cfg.Logger = slog.New(errorsOnly{slog.NewTextHandler(t.Output(), nil), messages})
	})
}
