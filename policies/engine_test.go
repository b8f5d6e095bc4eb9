package policies_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/policies"
)

// onPods is a validate policy on pods with the given deny rule and further metadata lines.
func onPods(name, rule string, metadata ...string) string {
	extra := ""
	for _, m := range metadata {
		extra += "#   " + m + "\n"
	}
	return "# METADATA\n# custom:\n#   type: validate\n#   match: {groups: [\"\"], kinds: [Pod]}\n" + extra +
		"package gatehouse.policy." + name + "\n\n" + rule + "\n"
}

func validate(t *testing.T, e *policies.Engine, r *policies.Review) []policies.Violation {
	t.Helper()
	found, err := e.Validate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDefaultPolicies(t *testing.T) {
	e, err := policies.New(policies.Options{Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	inKubeSystem := podReview(privileged())
	inKubeSystem.Namespace = "kube-system"
	service := &policies.Review{
		Operation: "CREATE", Version: "v1", Kind: "Service", Resource: "services", Namespace: "kube-system",
		Object: map[string]any{"spec": map[string]any{"externalIPs": []any{"192.0.2.1"}}},
	}
	for name, test := range map[string]struct {
		review *policies.Review
		want   []policies.Violation
	}{
		"the first pod of a beginner is admitted": {podReview(nginx()), nil},
		"a privileged pod is refused with container and field": {podReview(privileged()), []policies.Violation{{
			Policy: "pod-security-baseline", Message: `container "nginx": privileged must be false`,
			Field: "spec.containers[0].securityContext.privileged", Action: policies.ActionDeny,
		}}},
		"the control plane's own pods may be privileged": {inKubeSystem, nil},
		"external IPs are refused in every namespace": {service, []policies.Violation{{
			Policy: "no-external-ips", Message: `external IP "192.0.2.1" is not allowed`, Field: "spec.externalIPs[0]", Action: policies.ActionDeny,
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, validate(t, e, test.review)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoDefaultsMeansNoPolicies(t *testing.T) {
	e := engineWith(t, "")
	if mutating, validating := e.Matches("", "Pod", "CREATE", ""); mutating || validating {
		t.Errorf("matches %v, %v without a policy", mutating, validating)
	}
	if s := e.Status(); s.Policies != 0 || s.Err != nil {
		t.Errorf("status is %+v", s)
	}
	if found := validate(t, e, podReview(privileged())); len(found) > 0 {
		t.Error(found)
	}
}

func TestEngineWithoutASetRefuses(t *testing.T) {
	var e policies.Engine
	if mutating, validating := e.Matches("", "ConfigMap", "CREATE", ""); !mutating || !validating {
		t.Error("an engine without a set lets callers skip it")
	}
	_, err := e.Validate(t.Context(), podReview(nginx()))
	if !errors.Is(err, policies.ErrNotLoaded) {
		t.Errorf("validate: %v", err)
	}
	if _, _, err := e.Mutate(t.Context(), podReview(nginx())); !errors.Is(err, policies.ErrNotLoaded) {
		t.Errorf("mutate: %v", err)
	}
	denied, _, _, err := e.Deny(t.Context(), api.User{Name: "alice"}, api.RequestInfo{Verb: "get"})
	if !denied || !errors.Is(err, policies.ErrNotLoaded) {
		t.Errorf("deny: %v, %v", denied, err)
	}
}

// endless would run for years.
const endless = `deny contains "never" if {
	n := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
	some a in n
	some b in n
	some c in n
	some d in n
	some e in n
	some f in n
	some g in n
	some h in n
	some i in n
	some j in n
	some k in n
	some l in n
	(((((((((((a + b) + c) + d) + e) + f) + g) + h) + i) + j) + k) + l) < 0
}`

func TestFailuresRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		rule     string
		metadata []string
		want     string // action and message
	}{
		"a builtin error is not silence":              {rule: `deny contains "x" if to_number(input.name) > 3`, want: "deny: the policy could not be evaluated"},
		"a timeout":                                   {rule: endless, want: "deny: the policy could not be evaluated in time"},
		"a violation without a message":               {rule: `deny contains {"field": "spec"}`, want: "deny: the policy could not be evaluated"},
		"a violation with an unknown key":             {rule: `deny contains {"msg": "x", "message": "y"}`, want: "deny: the policy could not be evaluated"},
		"a violation that is a number":                {rule: `deny contains 3`, want: "deny: the policy could not be evaluated"},
		"a failure of a policy that warns only warns": {rule: `deny contains 3`, metadata: []string{"action: warn"}, want: "warn: the policy could not be evaluated"},
		"failurePolicy Ignore":                        {rule: `deny contains 3`, metadata: []string{"failurePolicy: Ignore"}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := patient
			if test.rule == endless {
				timeout = 50 * time.Millisecond
			}
			e, err := policies.New(policies.Options{NoDefaults: true, Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			load(t, e, "", onPods("broken", test.rule, test.metadata...))
			got := ""
			for _, v := range validate(t, e, podReview(nginx())) {
				got += string(v.Action) + ": " + v.String()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPanicIsAnError(t *testing.T) {
	e := engineWith(t, "")
	if err := policies.EvalWithoutSet(t.Context(), e); !errors.Is(err, policies.ErrPanic) {
		t.Errorf("got %v", err)
	}
}

func TestOverloadRefuses(t *testing.T) {
	e, err := policies.New(policies.Options{MaxConcurrent: 1, Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	release := e.Occupy()
	found := validate(t, e, podReview(unprivileged()))
	release()
	if len(found) != 1 || found[0].Action != policies.ActionDeny || !strings.Contains(found[0].Message, "in time") {
		t.Errorf("got %v", found)
	}
}

func TestCanceledRequestIsNotAdmitted(t *testing.T) {
	e := engineWith(t, "policies: [{name: pod-security-baseline, action: deny}]")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := e.Validate(ctx, podReview(unprivileged()))
	if err != nil || len(found) != 1 {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestViolationsAreBoundedSortedAndClean(t *testing.T) {
	e := engineWith(t, "", onPods("many", `deny contains {"msg": sprintf("%v%s", [x, "\u001b[2J\n"]), "field": "f"} if {
	some a in [0, 1, 2, 3, 4, 5, 6]
	some b in [0, 1, 2, 3, 4, 5, 6]
	x := (10 * a) + b
}`), onPods("long", `deny contains input.object.spec.text`))
	pod := nginx()
	pod["spec"].(map[string]any)["text"] = strings.Repeat("é", policies.MaxMessageBytes)
	found := validate(t, e, podReview(pod))
	if len(found) != 1+policies.MaxViolations+1 {
		t.Fatalf("%d violations", len(found))
	}
	if len(found[0].Message) > policies.MaxMessageBytes || !strings.HasSuffix(found[0].Message, "é...") {
		t.Errorf("long message is cut to %d bytes ending in %q", len(found[0].Message), found[0].Message[len(found[0].Message)-6:])
	}
	if found[1].Message != "0 [2J " || found[2].Message != "1 [2J " {
		t.Errorf("first messages are %q and %q", found[1].Message, found[2].Message)
	}
	if last := found[len(found)-1]; last.Message != "and 17 more" || last.Action != policies.ActionDeny {
		t.Errorf("last is %+v", last)
	}
}

func TestViolationActionIsNeverStricterThanThePolicys(t *testing.T) {
	rule := `deny contains {"msg": a, "action": a} if some a in ["deny", "warn", "audit", "off", "allow"]`
	for action, want := range map[string]map[string]policies.Action{
		"deny":  {"deny": "deny", "warn": "warn", "audit": "audit", "off": "deny", "allow": "deny"},
		"warn":  {"deny": "warn", "warn": "warn", "audit": "audit", "off": "warn", "allow": "warn"},
		"audit": {"deny": "audit", "warn": "audit", "audit": "audit", "off": "audit", "allow": "audit"},
	} {
		t.Run(action, func(t *testing.T) {
			e := engineWith(t, "", onPods("actions", rule, "action: "+action))
			got := map[string]policies.Action{}
			for _, v := range validate(t, e, podReview(nginx())) {
				got[v.Message] = v.Action
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPolicySeesTheWholeReview(t *testing.T) {
	e := engineWith(t, "policies: [{name: echo, parameters: {limit: 5}}]", onPods("echo",
		`deny contains sprintf("%s %v %s/%s %s/%s %s %v %s %s %v %v %v", [
	input.operation, input.kind, input.resource, input.subresource, input.namespace, input.name,
	input.user.name, input.user.groups, input.user.extra.scope[0], input.object.spec.a, input.oldObject, input.namespaceLabels.team, [input.dryRun, input.parameters],
])`, "parameters: {limit: 3}"))
	r := podReview(map[string]any{"spec": map[string]any{"a": "b"}})
	r.User.Extra = map[string][]string{"scope": {"s"}}
	r.NamespaceLabels = map[string]string{"team": "red"}
	r.DryRun = true
	want := `CREATE {"group": "", "kind": "Pod", "version": "v1"} pods/ default/web alice ["system:authenticated"] s b null red [true, {"limit": 5}]`
	found := validate(t, e, r)
	if len(found) != 1 || found[0].Message != want {
		t.Errorf("got  %v\nwant %s", found, want)
	}
}

// TestSwapIsAtomic guards against a decision on a mixed set: two policies of one set always agree on its version.
func TestSwapIsAtomic(t *testing.T) {
	version := func(v string) policies.Bundle {
		return bundle(t, "", onPods("one", `deny contains "`+v+`"`), onPods("two", `deny contains "`+v+`"`))
	}
	sets := []policies.Bundle{version("old"), version("new")}
	e := engineWith(t, "")
	if err := e.LoadBundle(sets[0]); err != nil {
		t.Fatal(err)
	}
	shared := podReview(nginx())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				found, err := e.Validate(t.Context(), shared)
				if err != nil || len(found) != 2 || found[0].Message != found[1].Message {
					t.Errorf("got %v, %v", found, err)
					return
				}
			}
		})
	}
	for i := range 10 {
		if err := e.LoadBundle(sets[i%2]); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestMatching(t *testing.T) {
	base := policies.Review{Operation: "CREATE", Version: "v1", Kind: "Pod", Resource: "pods", Namespace: "team-red", NamespaceLabels: map[string]string{"tier": "prod"}}
	with := func(change func(*policies.Review)) policies.Review {
		r := base
		change(&r)
		return r
	}
	namespace := with(func(r *policies.Review) {
		r.Operation, r.Kind, r.Resource, r.Name, r.Namespace, r.NamespaceLabels = "UPDATE", "Namespace", "namespaces", "team-red", "team-red", nil
		r.OldObject = map[string]any{"metadata": map[string]any{"name": "team-red", "labels": map[string]any{"tier": "prod"}}}
		r.Object = map[string]any{"metadata": map[string]any{"name": "team-red", "labels": map[string]any{"tier": "exempt"}}}
	})
	for name, test := range map[string]struct {
		match  string
		review policies.Review
		want   bool
	}{
		"an empty match is about everything created":              {`{}`, base, true},
		"an empty match is not about deletions":                   {`{}`, with(func(r *policies.Review) { r.Operation = "DELETE" }), false},
		"an asterisk is every operation":                          {`{operations: ["*"]}`, with(func(r *policies.Review) { r.Operation = "CONNECT" }), true},
		"no subresources named means all of them":                 {`{kinds: [Pod]}`, with(func(r *policies.Review) { r.Subresource = "ephemeralcontainers" }), true},
		"an empty subresource is the object only":                 {`{subresources: [""]}`, with(func(r *policies.Review) { r.Subresource = "status" }), false},
		"the kind of another group is another kind":               {`{groups: [example.com], kinds: [Pod]}`, base, false},
		"every version of a kind is matched":                      {`{groups: [""], kinds: [Pod]}`, with(func(r *policies.Review) { r.Version = "v9" }), true},
		"a namespace by glob":                                     {`{namespaces: ["team-*"]}`, base, true},
		"a glob with two asterisks":                               {`{namespaces: ["*am*d"]}`, base, true},
		"a glob must reach the end":                               {`{namespaces: ["*am*e"]}`, base, false},
		"parts of a glob may not overlap":                         {`{namespaces: ["team-r*-red"]}`, base, false},
		"another namespace":                                       {`{namespaces: [default]}`, base, false},
		"exclusion wins":                                          {`{namespaces: ["*"], excludeNamespaces: ["*-red"]}`, base, false},
		"a cluster-scoped object is in no namespace of a list":    {`{namespaces: ["*"]}`, with(func(r *policies.Review) { r.Namespace = "" }), false},
		"a cluster-scoped object cannot be excluded by namespace": {`{excludeNamespaces: ["*"]}`, with(func(r *policies.Review) { r.Namespace = "" }), true},
		"labels that are selected":                                {`{namespaceSelector: {matchLabels: {tier: prod}}}`, base, true},
		"labels that are not selected":                            {`{namespaceSelector: {matchLabels: {tier: test}}}`, base, false},
		"unknown labels do not exempt":                            {`{namespaceSelector: {matchLabels: {tier: test}}}`, with(func(r *policies.Review) { r.NamespaceLabels = nil }), true},
		"a namespace without labels is known to have none":        {`{namespaceSelector: {matchLabels: {tier: prod}}}`, with(func(r *policies.Review) { r.NamespaceLabels = map[string]string{} }), false},
		"a namespace cannot exempt itself by the labels it sets":  {`{namespaceSelector: {matchLabels: {tier: prod}}}`, namespace, true},
		"a namespace is excluded by its own name":                 {`{excludeNamespaces: [team-red]}`, namespace, false},
		"several wildcards at once find the policy once":          {`{groups: ["*", ""], kinds: [Pod, "*"]}`, base, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, "", "# METADATA\n# custom: {type: validate, match: "+test.match+"}\npackage gatehouse.policy.p\n\ndeny contains \"hit\"\n")
			found := validate(t, e, &test.review)
			if got := len(found) == 1; got != test.want || len(found) > 1 {
				t.Errorf("got %v, want match %v", found, test.want)
			}
			if _, may := e.Matches(test.review.Group, test.review.Kind, test.review.Operation, test.review.Subresource); test.want && !may {
				t.Error("Matches says that no policy is about it")
			}
		})
	}
}

// TestPolicyOnDifferentKeysIsFoundOnce guards against a review that two keys of one policy find.
func TestPolicyOnDifferentKeysIsFoundOnce(t *testing.T) {
	e := engineWith(t, "",
		"# METADATA\n# custom: {type: validate, match: {}}\npackage gatehouse.policy.z\n\ndeny contains \"hit\"\n",
		onPods("a", `deny contains "hit"`))
	var names []string
	for _, v := range validate(t, e, podReview(nginx())) {
		names = append(names, v.Policy)
	}
	if diff := cmp.Diff([]string{"a", "z"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestAuthorize(t *testing.T) {
	e := engineWith(t, `policies:
- name: deny-exec
  action: deny
  match: {namespaces: ["prod-*"]}
- name: deny-users
  action: deny
  parameters: {users: [mallory]}
`, `# METADATA
# custom: {type: authorize, match: {verbs: [delete], resources: [nodes]}}
package gatehouse.policy.broken

deny contains "x" if to_number(input.request.name) > 3
`)
	exec := api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: "pods", Subresource: "exec", Namespace: "prod-1", Name: "web"}
	elsewhere := exec
	elsewhere.Namespace = "test"
	for name, test := range map[string]struct {
		user api.User
		info api.RequestInfo
		want string
	}{
		"a shell in production":            {api.User{Name: "alice"}, exec, "deny-exec: pods/exec is not allowed here"},
		"a shell elsewhere":                {api.User{Name: "alice"}, elsewhere, ""},
		"a shell of an administrator":      {api.User{Name: "root", Groups: []string{api.GroupMasters}}, exec, ""},
		"a locked user on a path":          {api.User{Name: "mallory"}, api.RequestInfo{Verb: "get", Path: "/version"}, "deny-users: this user is locked"},
		"a locked administrator":           {api.User{Name: "mallory", Groups: []string{api.GroupMasters}}, elsewhere, "deny-users: this user is locked"},
		"another user on a path":           {api.User{Name: "alice"}, api.RequestInfo{Verb: "get", Path: "/version"}, ""},
		"a policy that fails denies":       {api.User{Name: "alice"}, api.RequestInfo{IsResource: true, Verb: "delete", Resource: "nodes", Name: "n"}, "broken: the policy could not be evaluated"},
		"a request that it is not about":   {api.User{Name: "alice"}, api.RequestInfo{IsResource: true, Verb: "get", Resource: "nodes", Name: "n"}, ""},
		"the first policy by name answers": {api.User{Name: "mallory"}, exec, "deny-exec: pods/exec is not allowed here"},
	} {
		t.Run(name, func(t *testing.T) {
			denied, policy, reason, err := e.Deny(t.Context(), test.user, test.info)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if denied {
				got = fmt.Sprintf("%s: %s", policy, reason)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
