package policies_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gatehouse/gatehouse/policies"
)

// TestLibraryCases runs the library's own cases. Each policy must have one that it lets pass and one that it does not.
func TestLibraryCases(t *testing.T) {
	results, err := policies.TestLibrary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	passes, refuses := map[string]bool{}, map[string]bool{}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s: %s: got %s, want %s", r.File, r.Name, r.Got, r.Want)
		}
		switch {
		case strings.HasPrefix(r.Want, "allow"):
			passes[r.Policy] = true
		case !strings.HasPrefix(r.Want, "skip"):
			refuses[r.Policy] = true
		}
	}
	set, err := policies.Compile(policies.Bundle{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.Policies() {
		if !passes[p.Name] || !refuses[p.Name] {
			t.Errorf("%s: has a case that passes: %v, one that does not: %v", p.Name, passes[p.Name], refuses[p.Name])
		}
		if p.Title == "" || p.Description == "" {
			t.Errorf("%s: has no title or description", p.Name)
		}
	}
}

const caseHead = "base: {object: {apiVersion: v1, kind: Pod, metadata: {name: a}}}\ncases:\n"

// TestCasesFailWhenTheyShould guards against cases that pass whatever the policy does.
func TestCasesFailWhenTheyShould(t *testing.T) {
	policy := onPods("mine", `deny contains {"msg": "no host", "field": "spec.host"} if input.object.spec.host`)
	for name, test := range map[string]struct {
		cases string
		pass  bool
		got   string
	}{
		"allowed as wanted":         {"- {name: n, want: allow}", true, "allow"},
		"allowed, not denied":       {"- {name: n, want: deny}", false, "allow"},
		"denied as wanted":          {"- {name: n, want: deny, message: host, field: spec.host, patch: [{op: add, path: /object/spec, value: {host: true}}]}", true, "deny: no host (spec.host)"},
		"denied, not allowed":       {"- {name: n, want: allow, patch: [{op: add, path: /object/spec, value: {host: true}}]}", false, "deny: no host (spec.host)"},
		"denied, not warned about":  {"- {name: n, want: warn, patch: [{op: add, path: /object/spec, value: {host: true}}]}", false, "deny: no host (spec.host)"},
		"denied with other words":   {"- {name: n, want: deny, message: port, patch: [{op: add, path: /object/spec, value: {host: true}}]}", false, "deny: no host (spec.host)"},
		"denied for another field":  {"- {name: n, want: deny, field: spec.port, patch: [{op: add, path: /object/spec, value: {host: true}}]}", false, "deny: no host (spec.host)"},
		"not asked, so not allowed": {"- {name: n, want: allow, patch: [{op: add, path: /operation, value: DELETE}]}", false, "skip"},
		"not asked as wanted":       {"- {name: n, want: skip, patch: [{op: add, path: /operation, value: DELETE}]}", true, "skip"},
		"a patch that fails":        {"- {name: n, want: allow, patch: [{op: remove, path: /object/spec}]}", false, "error: "},
		"an input that is unknown":  {"- {name: n, want: allow, patch: [{op: add, path: /objekt, value: {}}]}", false, `error: unknown field "objekt"`},
		"an unknown parameter":      {"- {name: n, want: allow, parameters: {x: 1}}", false, `error: there is no parameter "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			results, err := policies.Test(t.Context(), fstest.MapFS{
				"mine.rego": {Data: []byte(policy)}, "mine.cases.yaml": {Data: []byte(caseHead + test.cases + "\n")},
			})
			if err != nil || len(results) != 1 {
				t.Fatal(results, err)
			}
			if r := results[0]; r.Pass != test.pass || !strings.HasPrefix(r.Got, test.got) || r.Policy != "mine" {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestCasesExpandEach(t *testing.T) {
	results, err := policies.Test(t.Context(), fstest.MapFS{"library.cases.yaml": {Data: []byte("policy: no-latest-tag\n" + caseHead +
		"- {name: n, each: [containers, initContainers], want: deny, field: '$each[0]', patch: [{op: add, path: /object/spec, value: {$each: [{name: a}]}}]}\n")}})
	if err != nil || len(results) != 2 || !results[0].Pass || !results[1].Pass || results[1].Name != "n (initContainers)" {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestBrokenCaseFilesAreNamed(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"broken YAML, by line":           {"no-latest-tag.cases.yaml", "base: {}\ncases: [\n", "no-latest-tag.cases.yaml: yaml: line 2"},
		"an unknown field":               {"no-latest-tag.cases.yaml", caseHead + "- {name: n, wnat: deny}\n", `no-latest-tag.cases.yaml: unknown field "cases[0].wnat"`},
		"an unknown verdict":             {"no-latest-tag.cases.yaml", caseHead + "- {name: n, want: pass}\n", "cases[0] (n)"},
		"an unknown policy":              {"no-latest-tags.cases.yaml", caseHead + "- {name: n, want: deny}\n", `did you mean "no-latest-tag"`},
		"a broken policy, by line":       {"mine.rego", "package gatehouse.policy.mine\n\ndeny {\n", "mine.rego:4:"},
		"a broken configuration beside":  {"policies.yaml", "x", "policies.yaml: "},
		"a configuration that is strict": {"policies.yaml", "apiVersion: policy.gatehouse.dev/v1alpha1\nkind: PolicyConfiguration\npolicies: [{name: nosuch-policy-here}]\n", "policies.yaml: policies[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policies.Test(t.Context(), fstest.MapFS{test.file: {Data: []byte(test.text)}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
