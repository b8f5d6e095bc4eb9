package server_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/server"
)

// quick answers at once, so that what is measured is the way to it. As every read does, it looks whether the request has ended.
type quick struct{}

func (quick) ServeResource(w http.ResponseWriter, r *http.Request, _ authz.Permit, _ *audit.Record, _ *ratelimit.Seat) error {
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	default:
	}
	_, err := io.WriteString(w, "{}")
	return err
}

// discard is a response writer that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkPipeline is what the stages cost a GET over HTTP/2 beyond what each package's own benchmark shows. The context that
// net/http makes for each request is in the figures.
func BenchmarkPipeline(b *testing.B) {
	s := &stages{}
	cfg := config(b, s)
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Resources = quick{}
	cfg.Peers = ratelimit.NewPeers(ratelimit.PeersConfig{Disable: true})
	cfg.Clients = ratelimit.NewClients(ratelimit.ClientsConfig{DisableRate: true})
	srv, err := server.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, pods+"/web", nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Authorization", "Bearer token")
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		srv.ServeHTTP(discard{make(http.Header, 8)}, r.WithContext(ctx))
		cancel()
		s.take()
	}
}
