package policies_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/policies"
)

const head = "# METADATA\n# custom:\n#   type: validate\n#   match: {kinds: [Pod]}\npackage gatehouse.policy.p\n\n"

// TestCompileTakesReferences guards references that are fine from the check for those that are not.
func TestCompileTakesReferences(t *testing.T) {
	imports := strings.Replace(head, "gatehouse.policy.p\n", "gatehouse.policy.p\n\nimport data.gatehouse.lib.pods\n", 1)
	for name, source := range map[string]string{
		"a rule":                         imports + "deny contains \"x\" if pods.changed\n",
		"a part of what a rule gives":    imports + "deny contains \"x\" if pods.spec.securityContext.sysctls[0].name\n",
		"a whole package":                imports + "deny contains \"x\" if pods\n",
		"a computed rule":                imports + "deny contains \"x\" if pods[input.name]\n",
		"another policy":                 head + "deny contains x if some x in data.gatehouse.policy.no_latest_tag.deny\n",
		"a rule of this policy":          head + "deny contains \"x\" if a.b.c\n\na.b := {\"c\": true}\n",
		"a member of a set of this file": head + "deny contains \"x\" if s.x\n\ns contains \"x\" if input.y\n",
		"a helper replaced for a query":  imports + "deny contains \"x\" if pods.changed with pods.changed as false\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := policies.Compile(bundle(t, "", source)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		source string
		want   string // in the error
	}{
		"a syntax error, by line and column":           {head + "deny contains \"x\" if {\n\tinput.a ==\n}\n", "a.rego:9:1: "},
		"an unknown function":                          {head + "deny contains \"x\" if nosuch(input.a)\n", "a.rego:7:22: undefined function nosuch"},
		"an unsafe variable":                           {head + "deny contains x if input.a\n", "a.rego:7:15: var x is unsafe"},
		"Rego of version 0":                            {head + "deny[x] { x := \"a\" }\n", "a.rego:7:"},
		"the network":                                  {head + "deny contains \"x\" if http.send({\"url\": \"http://127.0.0.1\", \"method\": \"get\"})\n", "undefined function http.send"},
		"the network by a mock of something else":      {head + "deny contains \"x\" if count([1]) with count as http.send\n", "a.rego:7:47: var http is unsafe"},
		"the resolver":                                 {head + "deny contains \"x\" if net.lookup_ip_addr(\"a\")\n", "undefined function net.lookup_ip_addr"},
		"the environment":                              {head + "deny contains \"x\" if opa.runtime().env\n", "undefined function opa.runtime"},
		"the clock":                                    {head + "deny contains \"x\" if time.now_ns() > 3\n", "undefined function time.now_ns"},
		"randomness":                                   {head + "deny contains \"x\" if rand.intn(\"a\", 3) > 1\n", "undefined function rand.intn"},
		"a schema, which may be remote":                {head + "deny contains \"x\" if json.match_schema(\"a\", \"b\")\n", "undefined function json.match_schema"},
		"an unbounded range":                           {head + "deny contains \"x\" if count(numbers.range(0, 1e9)) > 1\n", "undefined function numbers.range"},
		"no rule that could ever deny":                 {head + "violation contains \"x\"\n", "a.rego:5:1: a policy of type validate must have a rule deny"},
		"deny that is not a set":                       {head + "deny := true\n", "a.rego:7:1: rule deny must be a set"},
		"deny that is a function":                      {head + "deny(x) := x\n", "a.rego:7:1: rule deny must be a set"},
		"a policy without metadata":                    {"package gatehouse.policy.p\n\ndeny contains \"x\"\n", "a.rego:1:1: there is no METADATA"},
		"a name in capitals":                           {"package gatehouse.policy.NoLatest\n\ndeny contains \"x\"\n", "lower-case name"},
		"a package elsewhere":                          {"package p\n\ndeny contains \"x\"\n", "a.rego:1:1: package is p, want gatehouse.policy.NAME"},
		"a package within a policy":                    {"package gatehouse.policy.a.b\n\ndeny contains \"x\"\n", "want gatehouse.policy.NAME"},
		"a name that two packages could have":          {"package gatehouse.policy[\"a-b\"]\n\ndeny contains \"x\"\n", "want gatehouse.policy.NAME"},
		"the name of a library policy":                 {strings.Replace(head, ".p\n", ".no_latest_tag\n", 1) + "deny contains \"x\"\n", "a.rego:5:1: package gatehouse.policy.no_latest_tag is taken by library/no-latest-tag.rego"},
		"an unknown field":                             {"# METADATA\n# custom: {type: validate, match: {kind: [Pod]}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `a.rego:1:1: METADATA custom: unknown field "match.kind"`},
		"a field in the wrong case":                    {"# METADATA\n# custom: {type: validate, Match: {}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `unknown field "Match"`},
		"no type":                                      {"# METADATA\n# custom: {match: {}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `type is ""`},
		"an unknown action":                            {"# METADATA\n# custom: {type: validate, action: block, match: {}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `action is "block"`},
		"an unknown operation":                         {"# METADATA\n# custom: {type: validate, match: {operations: [create]}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `"create" is none of CREATE`},
		"an unknown failure policy":                    {"# METADATA\n# custom: {type: validate, failurePolicy: ignore, match: {}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `failurePolicy is "ignore"`},
		"a namespace that is none":                     {"# METADATA\n# custom: {type: validate, match: {namespaces: [\"a/b\"]}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `"a/b" is not a namespace`},
		"a bad selector":                               {"# METADATA\n# custom: {type: validate, match: {namespaceSelector: {matchExpressions: [{key: a, operator: Like}]}}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", "match.namespaceSelector"},
		"an authorize policy that warns":               {"# METADATA\n# custom: {type: authorize, action: warn, match: {}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", `action "warn" is for policies of type validate only`},
		"an authorize policy on kinds, which it lacks": {"# METADATA\n# custom: {type: authorize, match: {kinds: [Pod]}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", "use verbs and resources"},
		"a validate policy on verbs, which it lacks":   {"# METADATA\n# custom: {type: validate, match: {verbs: [get]}}\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", "match.verbs and match.resources"},
		"a misspelt rule of a helper":                  {strings.Replace(head, "gatehouse.policy.p\n", "gatehouse.policy.p\n\nimport data.gatehouse.lib.pods\n", 1) + "deny contains \"x\" if pods.contaners\n", "a.rego:9:22: data.gatehouse.lib.pods.contaners is not defined by any policy or helper (did you mean \"containers\"?)"},
		"a misspelt function of a helper":              {strings.Replace(head, "gatehouse.policy.p\n", "gatehouse.policy.p\n\nimport data.gatehouse.lib.pods\n", 1) + "deny contains \"x\" if pods.labl(1)\n", "a.rego:9:22: undefined function data.gatehouse.lib.pods.labl"},
		"a misspelt helper under another name":         {strings.Replace(head, "gatehouse.policy.p\n", "gatehouse.policy.p\n\nimport data.gatehouse.lib.pod as p\n", 1) + "deny contains \"x\" if {\n\tsome c in p.containers\n\tc.a\n}\n", "a.rego:10:12: data.gatehouse.lib.pod is not defined"},
		"a misspelt root":                              {head + "deny contains \"x\" if not data.gatehous.lib.pods.changed\n", "a.rego:7:26: data.gatehous is not defined by any policy or helper (did you mean \"gatehouse\"?)"},
		"data from elsewhere, in the head of a rule":   {head + "deny contains data.messages.x\n", "a.rego:7:15: data.messages is not defined"},
		"annotations that are not YAML":                {"# METADATA\n# custom: {\npackage gatehouse.policy.p\n\ndeny contains \"x\"\n", "a.rego:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policies.Compile(bundle(t, "", test.source))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestCompileReportsAllFaultsTogether(t *testing.T) {
	_, err := policies.Compile(bundle(t, "", head+"deny := true\n", "package q\n"))
	if err == nil || !strings.Contains(err.Error(), "a.rego:7:1") || !strings.Contains(err.Error(), "b.rego:1:1") {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationOfASetIsChecked(t *testing.T) {
	for name, test := range map[string]struct{ entries, want string }{
		"an unknown policy, with the nearest":    {"policies: [{name: no-latest-tags}]", `there is no policy "no-latest-tags" (did you mean "no-latest-tag"?)`},
		"a policy that resembles none":           {"policies: [{name: qqqqqqqqqqqqqqqqqqqqqq}]", `there is no policy "qqqqqqqqqqqqqqqqqqqqqq"`},
		"an unknown parameter, with the nearest": {"policies: [{name: allowed-registries, parameters: {registry: []}}]", `there is no parameter "registry" (did you mean "registries"?)`},
		"a parameter of another type":            {"policies: [{name: allowed-registries, parameters: {registries: docker.io}}]", `parameter "registries" is of type string, want list`},
		"a mutate policy that warns":             {"policies: [{name: add-labels, action: warn}]", `action "warn" is for policies of type validate only`},
		"an authorize policy with a selector":    {"policies: [{name: deny-exec, match: {namespaceSelector: {}}}]", "match.namespaceSelector is not for policies of type authorize"},
		"a bad namespace":                        {"policies: [{name: deny-exec, match: {excludeNamespaces: [Kube]}}]", `"Kube" is not a namespace`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policies.Compile(bundle(t, test.entries))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestParseConfigurationRefuses(t *testing.T) {
	const header = "apiVersion: policy.gatehouse.dev/v1alpha1\nkind: PolicyConfiguration\n"
	for name, test := range map[string]struct{ text, want string }{
		"nothing":             {"", "EOF"},
		"another kind":        {"apiVersion: v1\nkind: Pod\n", "want policy.gatehouse.dev/v1alpha1"},
		"an unknown field":    {header + "policy: []\n", `unknown field "policy"`},
		"a nested one":        {header + "policies: [{name: a, actoin: deny}]\n", `unknown field "policies[0].actoin"`},
		"a duplicate field":   {header + "policies: []\npolicies: []\n", "line 4"},
		"a second entry":      {header + "policies: [{name: a}, {name: a}]\n", `policies[1]: "a" has an entry already`},
		"an entry for nobody": {header + "policies: [{action: deny}]\n", "policies[0]: name is required"},
		"an unknown action":   {header + "policies: [{name: a, action: block}]\n", `action is "block"`},
		"a second document":   {header + "---\n" + header, "more than one YAML document"},
		"broken YAML":         {header + "policies: [\n", "line "},
		"a number as a key":   {header + "1: 2\n", "unsupported type"},
		"too much":            {header + strings.Repeat("#", policies.MaxSourceBytes), "the limit is 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policies.ParseConfiguration([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// TestOffIsAWord guards against YAML 1.1, in which off is false.
func TestOffIsAWord(t *testing.T) {
	e := engineWith(t, "policies: [{name: pod-security-baseline, action: off}]")
	if _, validating := e.Matches("", "Pod", "CREATE", ""); validating {
		t.Error("the policy is on")
	}
}

func TestConfigurationTurnsPoliciesOn(t *testing.T) {
	set, err := policies.Compile(bundle(t, `policies:
- name: no-latest-tag
- name: no-external-ips
  action: audit
- name: pod-security-baseline
  match: {excludeNamespaces: [infra-*]}
  parameters: {templates: deny}
`, head+"deny contains \"x\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]policies.Action{}
	for _, p := range set.Policies() {
		got[p.Name] = p.Metadata.Action
		if p.Name == "pod-security-baseline" {
			if diff := cmp.Diff([]string{"infra-*"}, p.Metadata.Match.ExcludeNamespaces); diff != "" {
				t.Error(diff)
			}
			if p.Title == "" || p.Description == "" || p.File != "library/pod-security-baseline.rego" || p.Metadata.Parameters["templates"] != "deny" {
				t.Errorf("info is %+v", p)
			}
		}
	}
	want := map[string]policies.Action{
		"p": "deny", "no-latest-tag": "deny", "no-external-ips": "audit", "pod-security-baseline": "deny",
		"add-labels": "off", "allowed-registries": "off", "deny-exec": "off", "deny-users": "off", "no-wildcard-rbac": "off",
		"pod-security-restricted": "off", "required-labels": "off", "resource-limits": "off",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHelperPackagesAreShared(t *testing.T) {
	e := engineWith(t, "", "package gatehouse.lib.team\n\nblocked := {\"nginx\"}\n",
		"# METADATA\n# custom: {type: validate, match: {kinds: [Pod]}}\npackage gatehouse.policy.p\n\nimport data.gatehouse.lib.pods\nimport data.gatehouse.lib.team\n\n"+
			"deny contains pods.field(c, \"name\") if {\n\tsome c in pods.containers\n\tc.container.name in team.blocked\n}\n")
	found := validate(t, e, podReview(nginx()))
	if len(found) != 1 || found[0].Message != "spec.containers[0].name" {
		t.Errorf("got %v", found)
	}
}

// TestDigestTellsSetsApart guards against an audit record that names a set which another has the digest of.
func TestDigestTellsSetsApart(t *testing.T) {
	seen := map[string]string{}
	for name, b := range map[string]policies.Bundle{
		"library":        {},
		"no defaults":    {NoDefaults: true},
		"configuration":  bundle(t, "policies: []"),
		"another action": bundle(t, "policies: [{name: no-latest-tag, action: warn}]"),
		"a source":       bundle(t, "", head+"deny contains \"x\"\n"),
		"another text":   bundle(t, "", head+"deny contains \"y\"\n"),
	} {
		set, err := policies.Compile(b)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[set.Digest()]; ok || !strings.HasPrefix(set.Digest(), "sha256:") {
			t.Errorf("%s and %s have the digest %s", name, other, set.Digest())
		}
		seen[set.Digest()] = name
	}
}
