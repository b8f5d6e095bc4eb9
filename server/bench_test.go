package server_test

import (
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

// quick answers at once, so that what is measured is the way to it.
type quick struct{}

func (quick) ServeResource(w http.ResponseWriter, _ *http.Request, _ authz.Permit, _ *audit.Record, _ *ratelimit.Seat) error {
	_, err := io.WriteString(w, "{}")
	return err
}

// discard is a response writer that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkPipeline is what the stages cost a GET beyond what each package's own benchmark shows.
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
	b.ReportAllocs()
	for b.Loop() {
		srv.ServeHTTP(discard{make(http.Header, 8)}, r)
		s.take()
	}
}
