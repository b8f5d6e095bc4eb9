package diff_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

func load(t *testing.T, accepted, reasons string) (*diff.AcceptList, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": accepted, "d.md": reasons} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return diff.LoadAccepted(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "d.md"))
}

func TestLoadAcceptedRefuses(t *testing.T) {
	tests := []struct{ name, accepted, reasons string }{
		{"no reason", `[{id: D-1, place: status}]`, "| D-12 other |"},
		{"no id", `[{place: status}]`, ""},
		{"everything", `[{id: D-1}]`, "D-1 x"},
		{"a pattern that is broken", `[{id: D-1, place: "("}]`, "D-1 x"},
		{"an unknown field", `[{id: D-1, where: x}]`, "D-1 x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.accepted, tt.reasons); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestAccepted guards that one accepted difference does not hide another, and that one that is gone is noticed.
func TestAccepted(t *testing.T) {
	list, err := load(t, `[{id: D-1, place: "^body.a$", ours: "^2$"}, {id: D-2, place: gone}]`, "D-1 x\nD-2 y\n")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, ours string
		want       diff.Verdict
	}{
		{"accepted", `{"a":2,"b":1}`, diff.Accepted},
		{"another value", `{"a":3,"b":1}`, diff.Different},
		{"and another place", `{"a":2,"b":2}`, diff.Different},
		{"nothing", `{"a":1,"b":1}`, diff.Equal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair := canned(t, func(w http.ResponseWriter, _ *http.Request, body string) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(body))
			}, `{"a":1,"b":1}`, tt.ours)
			pair.Accept = list
			got := pair.Ask(t.Context(), diff.Case{Request: diff.Request{Method: http.MethodGet, Path: "/"}}, nil, nil)
			if got.Verdict != tt.want {
				t.Errorf("verdict %q, want %q", got.Verdict, tt.want)
			}
			unneeded := diff.Report{Results: []diff.Result{got}}.Unneeded(list.IDs())
			if !slices.Contains(unneeded, "D-2") {
				t.Errorf("D-2 is not reported as unneeded: %v", unneeded)
			}
		})
	}
}
