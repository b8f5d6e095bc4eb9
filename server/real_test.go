package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/internal/openapi"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/server"
)

// TestRealStages runs a server on the real limiters, authentication, authorization and audit log, and reads
// from the log what became of each request.
func TestRealStages(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) { realStages(t, http2) })
	}
}

func realStages(t *testing.T, http2 bool) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.Open(audit.Options{Path: path, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := &stages{serve: func(w http.ResponseWriter, _ *http.Request, p authz.Permit) error {
		if p.Info().Name == "broken" {
			panic("a secret value")
		}
		return nil
	}}
	cfg := config(t, s)
	cfg.Peers = ratelimit.NewPeers(ratelimit.PeersConfig{})
	cfg.Clients = ratelimit.NewClients(ratelimit.ClientsConfig{})
	cfg.Authenticator = &authn.Chain{Anonymous: authn.Anonymous{Enabled: true}}
	cfg.Authorizer = authz.Chain{Allowers: []authz.Authorizer{onlyPods{}}}
	cfg.Auditor = log
	h := listen(t, cfg, http2)
	answers := map[string]answer{
		"served":    h.get(t, pods, "Audit-Id", "client chosen"),
		"refused":   h.get(t, "/api/v1/nodes"),
		"no entry":  h.get(t, pods, "Authorization", "Bearer wrong"),
		"panicking": h.get(t, pods+"/broken"),
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{} // the last stage
	for what, a := range answers {
		for _, e := range events(t, path) {
			if e.AuditID != a.Header.Get("Audit-Id") {
				continue
			}
			got[what] = string(e.Stage)
			last := e.Stage == audit.StageResponseComplete || e.Stage == audit.StagePanic
			if last && (e.ResponseStatus == nil || int(e.ResponseStatus.Code) != a.StatusCode) {
				t.Errorf("%s: the client was told %d, the log %+v", what, a.StatusCode, e.ResponseStatus)
			}
			if id := e.Annotations["server.gatehouse.dev/client-audit-id"]; last && what == "served" && id != "client chosen" {
				t.Errorf("the client's name for its request is recorded as %q", id)
			}
			if d := e.Annotations[audit.AnnotationDecision]; last && what == "refused" && d != "forbid" {
				t.Errorf("the decision is recorded as %q", d)
			}
		}
	}
	want := map[string]string{
		"served": "ResponseComplete", "refused": "ResponseComplete", "no entry": "ResponseComplete", "panicking": "Panic",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("how requests ended (-want +got):\n%s", diff)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "a secret value") || strings.Contains(string(b), "wrong") {
		t.Errorf("the log holds what it must not, or cannot be read: %v", err)
	}
}

// onlyPods lets anybody at pods and at nothing else.
type onlyPods struct{}

func (onlyPods) Authorize(_ context.Context, _ api.User, info api.RequestInfo) (authz.Decision, string, error) {
	if info.Resource == "pods" {
		return authz.Allow, "pods are for all", nil
	}
	return authz.NoOpinion, "", nil
}

func events(t *testing.T, path string) []audit.Event {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Event
	for line := range strings.Lines(string(b)) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// The packages that the server is built from have what it asks of them.
var (
	_ server.Authenticator = (*authn.Chain)(nil)
	_ server.Authorizer    = authz.Chain{}
	_ server.Auditor       = (*audit.Log)(nil)
	_ server.PeerLimiter   = (*ratelimit.Peers)(nil)
	_ server.ClientLimiter = (*ratelimit.Clients)(nil)
	_ server.Resources     = (*server.REST)(nil)
	_ server.OpenAPI       = (*openapi.Documents)(nil)
)
