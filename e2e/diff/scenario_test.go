package diff_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

func TestParseScenario(t *testing.T) {
	const text = `About it.

-- first --
PUT /a/${ns}?x=y
Accept: application/yaml
as: anonymous
capture: rv metadata.resourceVersion
repeat: many 3 ab
differs: D-1 D-2

a: {b: "${many}"}

-- second --
PATCH /b
Content-Type: application/merge-patch+json

{"a":1}
`
	s, err := diff.ParseScenario("s", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if s.About != "About it." || len(s.Steps) != 2 {
		t.Fatalf("about %q, %d steps", s.About, len(s.Steps))
	}
	first, second := s.Steps[0], s.Steps[1]
	want := diff.Request{
		Method: http.MethodPut, Path: "/a/${ns}?x=y", Anonymous: true, Body: []byte(`{"a":{"b":"${many}"}}`),
		Header: http.Header{"Accept": {"application/yaml"}, "Content-Type": {"application/json"}},
	}
	if d := cmp.Diff(want, first.Request); d != "" {
		t.Errorf("first request (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"D-1", "D-2"}, first.Differs); d != "" {
		t.Errorf("differs (-want +got):\n%s", d)
	}
	if got := string(second.Request.Body); got != `{"a":1}` {
		t.Errorf("second body %q", got)
	}
}

func TestParseScenarioRefuses(t *testing.T) {
	tests := []struct{ name, text string }{
		{"no steps", "about"},
		{"no path", "-- a --\nGET\n"},
		{"a path without slash", "-- a --\nGET x\n"},
		{"a method in small letters", "-- a --\nget /x\n"},
		{"an unknown directive", "-- a --\nGET /x\nbogus: y\n"},
		{"an unknown identity", "-- a --\nGET /x\nas: root\n"},
		{"a wait for no code", "-- a --\nGET /x\nuntil: soon\n"},
		{"a capture without a path", "-- a --\nGET /x\ncapture: rv\n"},
		{"a repeat without a number", "-- a --\nGET /x\nrepeat: a many b\n"},
		{"a repeat that is too long", "-- a --\nGET /x\nrepeat: a 999999999 bbbb\n"},
		{"a line that is neither", "-- a --\nGET /x\nwhat\n"},
		{"a body that is no YAML", "-- a --\nPOST /x\n\n{a: [\n"},
		{"a literal that is none", "-- a --\nPOST /x\nencode: quoted\n\nabc\n"},
		{"an unknown encoding", "-- a --\nPOST /x\nencode: rot13\n\nabc\n"},
		{"two steps of one name", "-- a --\nGET /x\n-- a --\nGET /x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := diff.ParseScenario("s", []byte(tt.text)); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestPlay guards that what one server answers is not taken for what the other has answered.
func TestPlay(t *testing.T) {
	const text = `-- get --
GET /thing
capture: rv metadata.resourceVersion
-- use --
GET /use/${rv}
`
	s, err := diff.ParseScenario("s", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	pair := canned(t, func(w http.ResponseWriter, r *http.Request, version string) {
		w.Header().Set("Content-Type", "application/json")
		if rest, ok := strings.CutPrefix(r.URL.Path, "/use/"); ok && rest != version {
			w.WriteHeader(http.StatusConflict)
		}
		if r.URL.Path == "/api/v1/namespaces" {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write([]byte(`{"metadata":{"resourceVersion":"` + version + `"}}`))
	}, "5", "77")
	results, err := pair.Play(t.Context(), s, "run")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Verdict != diff.Equal || r.Kube.Status != http.StatusOK {
			t.Errorf("%s: %s, status %d: %v", r.Name, r.Verdict, r.Kube.Status, r.Findings)
		}
	}
}

// TestPlayEventually guards that a step is asked again only where it says that its answer comes with a delay, and that one whose answers
// stay different is reported.
func TestPlayEventually(t *testing.T) {
	for name, tc := range map[string]struct {
		directive string
		late      int32 // requests after which the two answer alike
		want      diff.Verdict
	}{
		"comes late":            {"eventually: equal\n", 3, diff.Equal},
		"is not waited for":     {"", 3, diff.Different},
		"is equal at once":      {"eventually: equal\n", 0, diff.Equal},
		"is different for ever": {"eventually: equal\n", 1 << 30, diff.Different},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := diff.ParseScenario("s", []byte("-- get --\nGET /thing\n"+tc.directive))
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int32
			pair := canned(t, func(w http.ResponseWriter, r *http.Request, own string) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case r.URL.Path == "/api/v1/namespaces":
					w.WriteHeader(http.StatusCreated)
				case r.URL.Path == "/thing" && own == "kube" && asked.Add(1) > tc.late:
					own = "ours"
				}
				_, _ = w.Write([]byte(`{"a":"` + own + `"}`))
			}, "kube", "ours")
			results, err := pair.Play(t.Context(), s, "run")
			if err != nil || len(results) != 1 || results[0].Verdict != tc.want {
				t.Errorf("%v, %v, want %s", results, err, tc.want)
			}
		})
	}
}

// TestFilesAreWellFormed parses what make diff runs, without any server.
func TestFilesAreWellFormed(t *testing.T) {
	const testdata = "../testdata/diff"
	scenarios, err := diff.LoadScenarios(testdata)
	if err != nil {
		t.Error(err)
	}
	if len(scenarios) < 10 {
		t.Errorf("%d scenarios", len(scenarios))
	}
	seeds, err := diff.LoadSeeds(filepath.Join(testdata, "seeds"))
	if err != nil {
		t.Error(err)
	}
	if len(seeds) < 100 {
		t.Errorf("%d seeds", len(seeds))
	}
	if _, err := diff.LoadAccepted(filepath.Join(testdata, "accepted.yaml"), "../../docs/divergences.md"); err != nil {
		t.Error(err)
	}
}

func FuzzParseScenario(f *testing.F) {
	files, err := filepath.Glob("../testdata/diff/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 2000)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := diff.ParseScenario("fuzz", data)
		if err != nil {
			return
		}
		for _, step := range s.Steps {
			if !strings.HasPrefix(step.Request.Path, "/") {
				t.Errorf("step %q has the path %q", step.Name, step.Request.Path)
			}
			if again := step.Request.Expand(nil); !bytes.Equal(again.Body, step.Request.Body) {
				t.Errorf("step %q: expanding nothing changes the body", step.Name)
			}
		}
	})
}
