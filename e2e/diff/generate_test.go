package diff_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

const thingSchema = `{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{},"components":{"schemas":{
	"example.Thing":{"type":"object","x-kubernetes-group-version-kind":[{"group":"example.com","version":"v1","kind":"Thing"}],
		"required":["spec"],
		"properties":{"apiVersion":{"type":"string"},"kind":{"type":"string"},"metadata":{"type":"object"},
			"spec":{"allOf":[{"$ref":"#/components/schemas/example.Spec"}],"default":{}},
			"status":{"type":"object","properties":{"count":{"type":"integer"}}}}},
	"example.Spec":{"type":"object","properties":{
		"size":{"type":"integer","format":"int32"},"mode":{"type":"string","enum":["A","B"]},"on":{"type":"boolean"},
		"tags":{"type":"array","items":{"type":"string"}},"extra":{"type":"object","additionalProperties":{"type":"string"}},
		"amount":{"$ref":"#/components/schemas/io.example.Quantity"},"absent":{"type":"string"}}},
	"io.example.Quantity":{"oneOf":[{"type":"string"},{"type":"number"}]}}}}`

const thingSeeds = `apiVersion: example.com/v1
kind: Thing
metadata: {name: "${name}-min"}
spec: {}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: "${name}"}
spec: {size: 3, mode: A, on: true, tags: [x], extra: {k: v}, amount: 1Gi}
status: {count: 1}
`

// serveThings echoes what is written, so that both servers are equal except in the text that is theirs.
func serveThings(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(r.URL.Path, "/openapi/") {
		_, _ = io.WriteString(w, thingSchema)
		return
	}
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = fmt.Fprintf(w, `{"kind":"Thing","metadata":{"name":"x","resourceVersion":"7"},"said":%q}`, text)
}

func things(t *testing.T, ours string) []diff.Result {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "example.com_Thing.yaml"), []byte(thingSeeds), 0o600); err != nil {
		t.Fatal(err)
	}
	seeds, err := diff.LoadSeeds(dir)
	if err != nil {
		t.Fatal(err)
	}
	g := &diff.Generator{Pair: canned(t, serveThings, "kube", ours), Seeds: seeds, PerKind: 120, Seed: 1, Run: "r"}
	results, err := g.Kind(t.Context(), diff.Kind{
		GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Thing"},
		Resource:         "things", Namespaced: true, Verbs: []string{"create", "update", "watch"}, Subresources: []string{"status"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// TestGenerate guards against a generator that quietly leaves something out.
func TestGenerate(t *testing.T) {
	behaviours := map[string]int{}
	for _, r := range things(t, "kube") {
		if r.Verdict != diff.Equal {
			t.Errorf("%s: %s: %s %v", r.Behaviour, r.Name, r.Verdict, r.Findings)
		}
		behaviours[r.Behaviour]++
	}
	for _, want := range []string{
		"create: valid", "create: missing", "create: wrong type", "create: negative", "create: zero", "create: huge", "create: empty",
		"create: bad characters", "create: too long", "create: duplicate", "create: unknown value", "create: unknown field", "create: null",
		"create: set (absent field)", "create: for real", "update: unchanged", "update: changed", "update: missing",
		"update: to another seed", "status: unchanged", "status: negative",
		"list: options", "list: label selector", "list: field selector", "list: forms", "list: pages", "get: options", "watch: options",
		"delete: options", "delete: query", "delete: for real", "deletecollection: options", "deletecollection: query",
		"merge patch: null", "strategic patch: $patch delete", "JSON patch: test", "status: PUT", "status: patch", "scale: read", "nosuch: POST",
		"apply: for real", "apply: field removed", "apply: conflict", "apply: forced",
	} {
		if behaviours[want] == 0 {
			t.Errorf("no request of %q in %v", want, behaviours)
		}
	}
}

// TestGenerateFindsDifferences guards the whole way from two answers to a report.
func TestGenerateFindsDifferences(t *testing.T) {
	results := things(t, "gatehouse")
	report := diff.Report{Results: results}
	if share := report.Share(diff.Generated); share != 0 {
		t.Errorf("%.2f are equal, want 0", share)
	}
	var text strings.Builder
	report.WriteCounts(&text, "kind", func(r diff.Result) string { return r.Kind })
	report.WriteClasses(&text, 5)
	for _, want := range []string{"example.com/Thing", "1 classes", `body.said: "kube" -> "gatehouse"`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report does not have %q:\n%s", want, text.String())
		}
	}
}

// TestGenerateRepeats guards that a difference can be looked at again.
func TestGenerateRepeats(t *testing.T) {
	requests := func() []string {
		var all []string
		for _, r := range things(t, "kube") {
			all = append(all, r.Behaviour+" "+r.Name)
		}
		return all
	}
	if d := cmp.Diff(requests(), requests()); d != "" {
		t.Errorf("two runs with one seed differ:\n%s", d)
	}
}
