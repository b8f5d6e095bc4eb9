package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

const policyHead = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"

func TestPolicyFirstMatchDecides(t *testing.T) {
	policy := policyHead + `
omitStages: [RequestReceived]
rules:
- {level: None, users: [robot]}
- {level: None, userGroups: [noisy], verbs: [get, list]}
- {level: Request, resources: [{group: "", resources: [pods], resourceNames: [special]}]}
- {level: Metadata, resources: [{group: "", resources: [pods/log, "*/exec", "nodes/*"]}]}
- {level: RequestResponse, resources: [{group: apps}], namespaces: [prod, ""]}
- {level: Metadata, resources: [{group: "*", resources: ["*"]}], namespaces: [everything]}
- {level: Metadata, nonResourceURLs: ["/metrics", "/api*"]}
`
	cases := map[string]struct {
		method, target string
		user           api.User
		want           audit.Level
	}{
		"by user":                               {"DELETE", "/api/v1/namespaces/a/pods/special", api.User{Name: "robot"}, ""},
		"by group and verb":                     {"GET", "/apis/apps/v1/namespaces/prod/deployments", api.User{Groups: []string{"x", "noisy"}}, ""},
		"group matches, verb does not":          {"DELETE", "/apis/apps/v1/namespaces/prod/deployments/d", api.User{Groups: []string{"noisy"}}, audit.LevelRequestResponse},
		"resource name":                         {"PUT", "/api/v1/namespaces/a/pods/special", api.User{}, audit.LevelRequest},
		"other resource name":                   {"PUT", "/api/v1/namespaces/a/pods/other", api.User{}, ""},
		"resource does not cover subresource":   {"PUT", "/api/v1/namespaces/a/pods/special/status", api.User{}, ""},
		"subresource":                           {"GET", "/api/v1/namespaces/a/pods/p/log", api.User{}, audit.LevelMetadata},
		"subresource of anything":               {"GET", "/api/v1/namespaces/a/things/p/exec", api.User{}, audit.LevelMetadata},
		"any subresource of":                    {"GET", "/api/v1/nodes/n/proxy", api.User{}, audit.LevelMetadata},
		"any subresource covers the resource":   {"GET", "/api/v1/nodes/n", api.User{}, audit.LevelMetadata},
		"whole group in one namespace":          {"PUT", "/apis/apps/v1/namespaces/prod/deployments/d", api.User{}, audit.LevelRequestResponse},
		"the empty namespace is no namespace":   {"GET", "/apis/apps/v1/deployments", api.User{}, audit.LevelRequestResponse},
		"wrong namespace":                       {"PUT", "/apis/apps/v1/namespaces/dev/deployments/d", api.User{}, ""},
		"star":                                  {"PUT", "/apis/x.io/v1/namespaces/everything/ys/z/status", api.User{}, audit.LevelMetadata},
		"path":                                  {"GET", "/metrics", api.User{}, audit.LevelMetadata},
		"path prefix":                           {"GET", "/apis", api.User{}, audit.LevelMetadata},
		"path prefix is not for resources":      {"GET", "/api/v1/namespaces/a/services", api.User{}, ""},
		"a path without a rule is not recorded": {"GET", "/version", api.User{}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := audit.ParsePolicy("test", []byte(policy))
			if err != nil {
				t.Fatal(err)
			}
			path := logPath(t)
			l := open(t, audit.Options{Path: path, Policy: p})
			r := request(t, c.method, c.target)
			r.User = c.user
			begin(t, l, r).Finish(200, nil)
			closeLog(t, l)
			var got audit.Level
			for _, e := range events(t, path) {
				if e.Stage != audit.StageResponseComplete && (c.method == "GET" && !strings.Contains(c.target, "/exec") && !strings.Contains(c.target, "/proxy")) {
					t.Errorf("stage %s is omitted by the policy", e.Stage)
				}
				got = e.Level
			}
			if got != c.want {
				t.Errorf("level %q, want %q", got, c.want)
			}
		})
	}
}

// TestOmittedIntentOfAWriteIsRecordedAllTheSame guards "record before effect" against the line omitStages: [RequestReceived] that most
// policies have, and the silence about it.
func TestOmittedIntentOfAWriteIsRecordedAllTheSame(t *testing.T) {
	const omit = "omitStages: [RequestReceived]"
	for name, c := range map[string]struct {
		policy, method, target string
		before                 int // events before the request is executed
		warns                  bool
	}{
		"write, omitted for all":      {omit + "\nrules: [{level: Metadata}]", "DELETE", "/api/v1/namespaces/a/pods/b", 1, true},
		"write, omitted by its rule":  {"rules: [{level: Metadata, verbs: [delete], " + omit + "}]", "DELETE", "/api/v1/namespaces/a/pods/b", 1, true},
		"exec, omitted for all":       {omit + "\nrules: [{level: Metadata}]", "GET", "/api/v1/namespaces/a/pods/b/exec", 1, true},
		"read, omitted for all":       {omit + "\nrules: [{level: Metadata}]", "GET", "/api/v1/namespaces/a/pods/b", 0, true},
		"read, omitted by its rule":   {"rules: [{level: Metadata, verbs: [get], " + omit + "}]", "GET", "/api/v1/namespaces/a/pods/b", 0, false},
		"write that is not recorded":  {omit + "\nrules: [{level: None}]", "DELETE", "/api/v1/namespaces/a/pods/b", 0, false},
		"write, other stages omitted": {"omitStages: [ResponseStarted]\nrules: [{level: Metadata}]", "DELETE", "/api/v1/namespaces/a/pods/b", 1, false},
		"write, nothing omitted":      {"rules: [{level: Metadata}]", "DELETE", "/api/v1/namespaces/a/pods/b", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := audit.ParsePolicy("test", []byte(policyHead+c.policy))
			if err != nil {
				t.Fatal(err)
			}
			var logged bytes.Buffer
			path := logPath(t)
			l := open(t, audit.Options{Path: path, Policy: p, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			warned := strings.Contains(logged.String(), "level=WARN") && strings.Contains(logged.String(), "policyRules=[0]")
			rec := begin(t, l, request(t, c.method, c.target))
			if got := len(events(t, path)); got != c.before || warned != c.warns {
				t.Errorf("%d events before the request is executed, want %d; warned %v, want %v: %s", got, c.before, warned, c.warns, &logged)
			}
			rec.Finish(200, nil)
			closeLog(t, l)
		})
	}
}

func TestPolicyErrorsNameFileAndField(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"empty file":                   {"", "empty"},
		"no rules":                     {policyHead + "rules: []", "rules: Required"},
		"unknown field":                {policyHead + "rules:\n- level: None\n  verb: [get]", `unknown field "rules[0].verb"`},
		"field in the wrong case":      {policyHead + "rules:\n- Level: None", `rules[0].Level`},
		"repeated field":               {policyHead + "rules:\n- level: None\n  level: Metadata", "already set"},
		"wrong type":                   {policyHead + "rules:\n- level: None\n  users: bob", "users"},
		"no level":                     {policyHead + "rules:\n- users: [a]", "rules[0].level: Required"},
		"unknown level":                {policyHead + "rules:\n- level: All", `rules[0].level: Unsupported value: "All"`},
		"unknown stage":                {policyHead + "omitStages: [Done]\nrules:\n- level: None", `omitStages[0]`},
		"unknown stage in a rule":      {policyHead + "rules:\n- {level: None, omitStages: [Panic, Done]}", `rules[0].omitStages[1]`},
		"group with version":           {policyHead + "rules:\n- {level: None, resources: [{group: apps/v1}]}", "rules[0].resources[0].group"},
		"names of nothing":             {policyHead + "rules:\n- {level: None, resources: [{resourceNames: [a]}]}", "rules[0].resources[0].resources: Required"},
		"both kinds in one rule":       {policyHead + "rules:\n- {level: None, namespaces: [a], nonResourceURLs: [/x]}", "rules[0].nonResourceURLs: Forbidden"},
		"relative path":                {policyHead + "rules:\n- {level: None, nonResourceURLs: [/x, relative]}", "rules[0].nonResourceURLs[1]"},
		"star in the middle of a path": {policyHead + "rules:\n- {level: None, nonResourceURLs: [/x*/y]}", "rules[0].nonResourceURLs[0]"},
		"old version":                  {"apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules:\n- level: None", "apiVersion: Unsupported"},
		"other kind":                   {"apiVersion: audit.k8s.io/v1\nkind: Event\nrules:\n- level: None", "kind: Unsupported"},
		"second document":              {policyHead + "rules:\n- level: None\n---\n" + policyHead + "rules:\n- level: Metadata", "more than one document"},
		"not YAML":                     {"a: [", "no audit.k8s.io/v1 Policy: yaml: line 1: did not find"},
		"text":                         {"# a picture\nof a cat", "no audit.k8s.io/v1 Policy: line 2: a mapping"},
		"comments only":                {"# rules: []", "empty"},
		"null":                         {"~", "no audit.k8s.io/v1 Policy: line 1: a mapping"},
		"bytes of a picture":           {"\xff\xd8\xff\xe0\x00\x10JFIF", "no audit.k8s.io/v1 Policy: yaml"},
		"wrong type of the whole":      {"[" + policyHead + "]", "no audit.k8s.io/v1 Policy"},
		"wrong type in a list":         {policyHead + "rules:\n- level: None\n- 5", "rules is a JSON number"},
		"too large":                    {policyHead + "#" + strings.Repeat("x", audit.MaxPolicyBytes), "larger than"},
		"too many rules":               {policyHead + "rules:\n" + strings.Repeat("- level: None\n", audit.MaxPolicyRules+1), "rules: Too many"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := audit.ParsePolicy("/etc/policy.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), "/etc/policy.yaml") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParsePolicy = %v, want the file name and %q", err, c.want)
			}
		})
	}
	_, err := audit.ParsePolicy("p", []byte("apiVersion: v1\nkind: x\nrules:\n- level: a\n- level: b\n"))
	for _, all := range []string{"apiVersion", "kind", "rules[0].level", "rules[1].level"} {
		if err == nil || !strings.Contains(err.Error(), all) {
			t.Errorf("%s is not reported together with the others: %v", all, err)
		}
	}
	if _, err := audit.LoadPolicy("/nowhere/policy.yaml"); err == nil || !strings.Contains(err.Error(), "/nowhere/policy.yaml") {
		t.Errorf("LoadPolicy = %v", err)
	}
}

func TestDefaultPolicyIsValid(t *testing.T) {
	if err := audit.DefaultPolicy().Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzParsePolicy checks that what is accepted is accepted again, unchanged, after it was written out.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(policyHead + "rules:\n- {level: Request, resources: [{group: '', resources: [pods]}], omitManagedFields: false}\n"))
	f.Add([]byte(policyHead + "metadata: {name: x}\nomitManagedFields: true\nrules: [{level: None, nonResourceURLs: ['*']}]"))
	f.Add([]byte(`{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"None"}]}`))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := audit.ParsePolicy("fuzz", data)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := audit.ParsePolicy("again", encoded)
		if err != nil {
			t.Fatalf("%v\n%s", err, encoded)
		}
		second, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(encoded), string(second)); diff != "" {
			t.Error(diff)
		}
	})
}
