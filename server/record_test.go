package server_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

// TestRecordOfAWrite states what is on record of a write, by the stage that refuses it: nothing is executed before its record is durable,
// and what is refused before that has exactly one event.
func TestRecordOfAWrite(t *testing.T) {
	for _, c := range []struct {
		refuse string
		code   int
		want   []audit.Stage
		reason string // a part of it
	}{
		{refuse: "authn", code: 401, want: []audit.Stage{audit.StageResponseComplete}},
		{refuse: "client", code: 429, want: []audit.Stage{audit.StageResponseComplete}},
		{
			refuse: "authz", code: 403, want: []audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete},
			reason: `User "alice" cannot create resource "pods"`,
		},
		{refuse: "resource", code: 404, want: []audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete}},
		{refuse: "", code: 200, want: []audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete}},
	} {
		t.Run("refused by "+c.refuse, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			log, err := audit.Open(audit.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			run(t, func(t *testing.T, h *host, s *stages) {
				s.refuse = c.refuse
				s.serve = func(http.ResponseWriter, *http.Request, authz.Permit) error {
					if last := events(t, path); last[len(last)-1].Stage != audit.StageRequestReceived {
						t.Error("the handler was called before the record was on disk")
					}
					return nil
				}
				a := h.do(t, http.MethodPost, pods, strings.NewReader("{}"))
				if a.StatusCode != c.code {
					t.Errorf("got %d %s, want %d", a.StatusCode, a.body, c.code)
				}
				if err := h.stop(); err != nil {
					t.Fatal(err)
				}
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
				mine := slices.DeleteFunc(events(t, path), func(e audit.Event) bool { return e.AuditID != a.Header.Get("Audit-Id") })
				var got []audit.Stage
				for _, e := range mine {
					got = append(got, e.Stage)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if reason := mine[len(mine)-1].Annotations[audit.AnnotationReason]; !strings.Contains(reason, c.reason) {
					t.Errorf("the reason on record is %q, want %q in it", reason, c.reason)
				}
				log, err = audit.Open(audit.Options{Path: path}) // for the other version of HTTP
				if err != nil {
					t.Fatal(err)
				}
			}, func(cfg *server.Config) { cfg.Auditor = log })
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestWriteWithoutARecordIsNotExecuted guards the promise that the record comes first.
func TestWriteWithoutARecordIsNotExecuted(t *testing.T) {
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.log")})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, func(t *testing.T, h *host, s *stages) {
		if a := h.do(t, http.MethodPost, pods, strings.NewReader("{}")); a.StatusCode != 503 {
			t.Errorf("got %d %s, want 503", a.StatusCode, a.body)
		}
		seen, _, _ := s.take()
		if diff := cmp.Diff([]string{"peer", "authn", "client"}, seen); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
	}, func(cfg *server.Config) { cfg.Auditor = log })
}
