package celpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/celpolicy"
	"github.com/gatehouse/gatehouse/authz"
)

const denied = `422 Invalid pods "web" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: `

func TestDecisions(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"what passes":            {`  validations: [{expression: "object.metadata.name == 'web'"}]`, ""},
		"the expression as text": {`  validations: [{expression: " object.metadata.name == 'x' "}]`, denied + "failed expression: object.metadata.name == 'x'"},
		"a message":              {`  validations: [{expression: "false", message: " no "}]`, denied + "no"},
		"a message expression":   {`  validations: [{expression: "false", message: "no", messageExpression: "'not ' + object.metadata.name"}]`, denied + "not web"},
		"a message expression that fails falls back": {
			`  validations: [{expression: "false", message: "no", messageExpression: "object.nosuch"}]`, denied + "no",
		},
		"a message with a line break falls back": {`  validations: [{expression: "false", messageExpression: "'a\\nb'"}]`, denied + "failed expression: false"},
		"a reason": {
			`  validations: [{expression: "false", reason: Forbidden}]`,
			strings.Replace(denied, "422 Invalid", "403 Forbidden", 1) + "failed expression: false",
		},
		"all variables": {`
  variables: [{name: v, expression: "object.metadata.name"}, {name: twice, expression: "variables.v + variables.v"}]
  validations: [{expression: "variables.twice == 'webweb' && request.userInfo.username == 'alice' && namespaceObject.metadata.labels.tier == 'prod' && oldObject == null
    && request.operation == 'CREATE' && request.resource.resource == 'pods' && request.kind.kind == 'Pod' && request.options.fieldManager == 'kubectl' && request.name == 'web'
    && request.dryRun == false && object.kind == 'Pod' && object.apiVersion == 'v1'"}]`, ""},
		"the authorizer": {`
  validations:
  - {expression: "authorizer.group('').resource('secrets').namespace('prod').check('get').allowed()"}
  - {expression: "!authorizer.requestResource.check('get').allowed()"}
  - {expression: "!authorizer.serviceAccount('prod', 'x').group('').resource('secrets').check('get').allowed()"}
  - {expression: "authorizer.group('').resource('broken').check('get').errored()"}`, ""},
		"a match condition that does not hold": {"  matchConditions: [{name: a, expression: \"object.metadata.name == 'x'\"}]\n  validations: [{expression: 'false'}]", ""},
		"a false condition beats one that fails": {
			"  matchConditions: [{name: a, expression: object.nosuch == 1}, {name: b, expression: 'false'}]\n  validations: [{expression: 'false'}]", "",
		},
		"a condition that fails refuses": {
			"  matchConditions: [{name: a, expression: object.nosuch == 1}, {name: b, expression: 'true'}]\n  validations: [{expression: 'true'}]",
			denied + "expression 'object.nosuch == 1' resulted in error: no such key: nosuch",
		},
		"an evaluation error refuses": {
			`  validations: [{expression: "object.nosuch == 1"}]`, denied + "expression 'object.nosuch == 1' resulted in error: no such key: nosuch",
		},
		"an evaluation error that is ignored": {"  failurePolicy: Ignore\n  validations: [{expression: object.nosuch == 1}]", ""},
		"a violation is not ignored":          {"  failurePolicy: Ignore\n  validations: [{expression: 'false'}]", denied + "failed expression: false"},
		"a stored expression that does not compile refuses": {
			`  validations: [{expression: "nosuch"}]`,
			denied + "compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'nosuch' (in container '')\n | nosuch\n | ^",
		},
		"a variable that does not compile refuses where it is used": {
			"  variables: [{name: v, expression: nosuch}]\n  validations: [{expression: variables.v == 1}]",
			denied + "expression 'variables.v == 1' resulted in error: composited variable \"v\" fails to compile: compilation failed: ERROR: <input>:1:1: " +
				"undeclared reference to 'nosuch' (in container '')\n | nosuch\n | ^",
		},
		"an expression that costs too much refuses": {
			"  validations: [{expression: \"'" + strings.Repeat("a", 100) + "'.split('').all(x, !object.metadata.annotations.long.contains('b'))\"}]",
			denied + "expression '" + "'" + strings.Repeat("a", 100) + "'.split('').all(x, !object.metadata.annotations.long.contains('b'))' resulted in error: " +
				"operation cancelled: actual cost limit exceeded",
		},
		"an audit annotation that fails refuses": {
			`  auditAnnotations: [{key: k, valueExpression: "string(object.nosuch)"}]`, denied + "expression 'string(object.nosuch)' resulted in error: no such key: nosuch",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := celpolicy.NewValidating(world{}.config(), policy(t, test.spec))
			if diff := cmp.Diff(test.want, text(t, v.Validate(t.Context(), attributes(t, "prod")))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMatching(t *testing.T) {
	node := func(a *admission.Attributes) {
		a.Kind, a.Resource = corev1.SchemeGroupVersion.WithKind("Node"), corev1.SchemeGroupVersion.WithResource("nodes")
		a.Namespace, a.Object = "", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	}
	named := func(a *admission.Attributes) {
		a.Kind, a.Resource = corev1.SchemeGroupVersion.WithKind("Namespace"), corev1.SchemeGroupVersion.WithResource("namespaces")
		a.Namespace, a.Object = "web", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"tier": "test"}}}
	}
	scaler := func(a *admission.Attributes) {
		a.Kind = autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")
		a.Resource = autoscalingv2.SchemeGroupVersion.WithResource("horizontalpodautoscalers")
		a.Object = &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 7}}
	}
	rule := func(s string) string { return "matchConstraints: {resourceRules: [{" + s + "}]}" }
	const all = `apiGroups: ["*"], apiVersions: ["*"], operations: ["*"]`
	for name, test := range map[string]struct {
		spec    string
		binding string
		change  func(*admission.Attributes)
		denied  bool
	}{
		"its resource":                          {rule(all + `, resources: [pods]`), "", nil, true},
		"any resource":                          {rule(all + `, resources: ["*"]`), "", nil, true},
		"another group":                         {rule(`apiGroups: [apps], apiVersions: ["*"], operations: ["*"], resources: [pods]`), "", nil, false},
		"another version":                       {rule(`apiGroups: [""], apiVersions: [v2], operations: ["*"], resources: [pods]`), "", nil, false},
		"another operation":                     {rule(`apiGroups: [""], apiVersions: ["*"], operations: [UPDATE], resources: [pods]`), "", nil, false},
		"a name":                                {rule(all + `, resources: [pods], resourceNames: [web]`), "", nil, true},
		"another name":                          {rule(all + `, resources: [pods], resourceNames: [api]`), "", nil, false},
		"a resource is not its subresource":     {rule(all + `, resources: [pods]`), "", func(a *admission.Attributes) { a.Subresource = "status" }, false},
		"a subresource":                         {rule(all + `, resources: [pods/status]`), "", func(a *admission.Attributes) { a.Subresource = "status" }, true},
		"all subresources":                      {rule(all + `, resources: ["pods/*"]`), "", func(a *admission.Attributes) { a.Subresource = "status" }, true},
		"a scope":                               {rule(all + `, resources: ["*"], scope: Cluster`), "", nil, false},
		"the scope of a node":                   {rule(all + `, resources: ["*"], scope: Cluster`), "", node, true},
		"the scope of a namespace":              {rule(all + `, resources: ["*"], scope: Cluster`), "", named, true},
		"a namespace is not in a namespace":     {rule(all + `, resources: ["*"], scope: Namespaced`), "", named, false},
		"what is excluded":                      {"matchConstraints: {resourceRules: [{" + all + ", resources: [pods]}], excludeResourceRules: [{" + all + ", resources: [pods], resourceNames: [web]}]}", "", nil, false},
		"labels of the namespace":               {"matchConstraints: {namespaceSelector: {matchLabels: {tier: prod}}, resourceRules: [{" + all + `, resources: ["*"]}]}`, "", nil, true},
		"other labels of the namespace":         {"matchConstraints: {namespaceSelector: {matchLabels: {tier: test}}, resourceRules: [{" + all + `, resources: ["*"]}]}`, "", nil, false},
		"nodes are not selected by namespace":   {"matchConstraints: {namespaceSelector: {matchLabels: {tier: test}}, resourceRules: [{" + all + `, resources: ["*"]}]}`, "", node, true},
		"a namespace is selected as it will be": {"matchConstraints: {namespaceSelector: {matchLabels: {tier: test}}, resourceRules: [{" + all + `, resources: ["*"]}]}`, "", named, true},
		"labels of the object":                  {"matchConstraints: {objectSelector: {matchLabels: {app: web}}, resourceRules: [{" + all + ", resources: [pods]}]}", "", nil, true},
		"other labels of the object":            {"matchConstraints: {objectSelector: {matchLabels: {app: x}}, resourceRules: [{" + all + ", resources: [pods]}]}", "", nil, false},
		"labels that the object had": {"matchConstraints: {objectSelector: {matchLabels: {app: x}}, resourceRules: [{" + all + ", resources: [pods]}]}", "", func(a *admission.Attributes) {
			a.Operation, a.OldObject = admission.Update, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}}
		}, true},
		"a deleted object":      {rule(all + `, resources: [pods]`), "", func(a *admission.Attributes) { a.Operation, a.OldObject, a.Object = admission.Delete, a.Object, nil }, true},
		"the binding narrows":   {rule(all + `, resources: [pods]`), "matchResources: {namespaceSelector: {matchLabels: {tier: test}}}", nil, false},
		"the binding agrees":    {rule(all + `, resources: [pods]`), "matchResources: {namespaceSelector: {matchLabels: {tier: prod}}}", nil, true},
		"an equivalent version": {rule(`apiGroups: [autoscaling], apiVersions: [v1], operations: ["*"], resources: [horizontalpodautoscalers]`), "", scaler, true},
		"no equivalent version if exact": {
			`matchConstraints: {matchPolicy: Exact, resourceRules: [{apiGroups: [autoscaling], apiVersions: [v1], operations: ["*"], resources: [horizontalpodautoscalers]}]}`,
			"", scaler, false,
		},
		"never policies": {rule(all + `, resources: ["*"]`), "", func(a *admission.Attributes) {
			a.Resource.Group, a.Resource.Resource = "admissionregistration.k8s.io", "validatingadmissionpolicies"
		}, false},
		"webhooks": {rule(all + `, resources: ["*"]`), "", func(a *admission.Attributes) {
			a.Resource.Group, a.Resource.Resource = "admissionregistration.k8s.io", "validatingwebhookconfigurations"
		}, true},
		"never reviews": {rule(all + `, resources: ["*"]`), "", func(a *admission.Attributes) {
			a.Resource.Group, a.Resource.Resource = "authorization.k8s.io", "selfsubjectaccessreviews"
		}, false},
		"never the server's own writes": {rule(all + `, resources: ["*"]`), "", func(a *admission.Attributes) { a.Permit = authz.System("test", a.Permit.Info()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stored[*vap, *vapb]{
				policies: []*vap{parse[vap](t, "metadata: {name: p}\nspec: {validations: [{expression: 'false', messageExpression: \"object == null ? 'x' : string(object.apiVersion)\"}], "+test.spec+"}")},
				bindings: []*vapb{parse[vapb](t, "metadata: {name: b}\nspec: {policyName: p, validationActions: [Deny], "+test.binding+"}")},
			}
			a := attributes(t, "prod")
			if test.change != nil {
				test.change(a)
			}
			got := text(t, celpolicy.NewValidating(world{}.config(), s).Validate(t.Context(), a))
			if (got != "") != test.denied {
				t.Errorf("got %q, want denied = %t", got, test.denied)
			}
			if a.Resource.Group == "autoscaling" && test.denied && !strings.HasSuffix(got, "denied request: autoscaling/v1") {
				t.Errorf("the policy did not see the version that it matches: %q", got)
			}
		})
	}
}

func TestActions(t *testing.T) {
	s := policy(t, `
  validations: [{expression: "true"}, {expression: "false", message: "no"}]
  auditAnnotations: [{key: name, valueExpression: "string(object.metadata.name)"}, {key: none, valueExpression: "null"}]`)
	s.bindings[0].Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn, admissionregistrationv1.Audit}
	a := attributes(t, "prod")
	annotations := map[string]string{}
	a.Annotate = func(key, value string) { annotations[key] += value }
	if err := celpolicy.NewValidating(world{}.config(), s).Validate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no"}, a.Warnings.List()); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{
		"p/name": "web",
		"validation.policy.admission.k8s.io/validation_failure": `[{"message":"no","policy":"p","binding":"b","expressionIndex":1,"validationActions":["Warn","Audit"]}]`,
	}
	if diff := cmp.Diff(want, annotations); diff != "" {
		t.Error(diff)
	}
}

func TestParams(t *testing.T) {
	w := world{params: []*corev1.ConfigMap{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "a", Labels: map[string]string{"x": "1"}}, Data: map[string]string{"max": "1"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "b", Labels: map[string]string{"x": "1"}}, Data: map[string]string{"max": "2"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "a"}, Data: map[string]string{"max": "3"}},
	}}
	const kind = "  paramKind: {apiVersion: v1, kind: ConfigMap}\n"
	const misconfigured = "failed to configure binding: "
	for name, test := range map[string]struct{ namespace, kind, ref, want string }{
		"by name in the object's namespace": {"prod", kind, "paramRef: {name: a, parameterNotFoundAction: Deny}", denied + "1 ConfigMap"},
		"by name in another namespace":      {"prod", kind, "paramRef: {name: a, namespace: test, parameterNotFoundAction: Deny}", denied + "3 ConfigMap"},
		"by labels, each on its own":        {"prod", kind, "paramRef: {selector: {matchLabels: {x: '1'}}, parameterNotFoundAction: Deny}", denied + "1 ConfigMap"},
		"none, which denies": {
			"prod", kind, "paramRef: {name: nosuch, parameterNotFoundAction: Deny}",
			denied + misconfigured + "no params found for policy binding with `Deny` parameterNotFoundAction",
		},
		"none, which allows":     {"prod", kind, "paramRef: {name: nosuch, parameterNotFoundAction: Allow}", ""},
		"a binding without them": {"prod", kind, "", denied + "expression 'params != null' resulted in error"},
		"a policy without them":  {"prod", "", "paramRef: {name: a, parameterNotFoundAction: Deny}", denied + "compilation error"},
		"a kind that is not served": {
			"prod", "  paramKind: {apiVersion: v1, kind: Nosuch}\n", "paramRef: {name: a, parameterNotFoundAction: Allow}",
			"422 Invalid pods \"web\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: '/v1, Kind=Nosuch'",
		},
		"a cluster-scoped object": {
			"", kind, "paramRef: {name: a, parameterNotFoundAction: Allow}",
			denied + misconfigured + "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
		},
		"what cannot be read tells nothing": {
			"prod", kind, "paramRef: {name: a, namespace: unreadable, parameterNotFoundAction: Allow}",
			denied + misconfigured + "Internal error occurred: the server could not complete the request",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := policy(t, test.kind+"  validations: [{expression: 'params != null && false', messageExpression: 'params.data.max + \" \" + params.kind'}]")
			s.bindings = []*vapb{parse[vapb](t, "metadata: {name: b}\nspec: {policyName: p, validationActions: [Deny], "+test.ref+"}")}
			got := text(t, celpolicy.NewValidating(w.config(), s).Validate(t.Context(), attributes(t, test.namespace)))
			if name == "a binding without them" {
				test.want = denied + "failed expression: params != null && false"
			}
			if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestNamespaceThatIsNotThere(t *testing.T) {
	v := celpolicy.NewValidating(world{}.config(), policy(t, `  validations: [{expression: "true"}]`))
	if got, want := text(t, v.Validate(t.Context(), attributes(t, "nosuch"))), `404 NotFound namespaces "nosuch" not found`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := text(t, v.Validate(t.Context(), attributes(t, "unreadable"))); !strings.HasPrefix(got, "500") {
		t.Errorf("got %q", got)
	}
}

// TestUnreadablePoliciesRefuse guards against admitting by policies that nobody could read: not yet, or because one of them is broken.
func TestUnreadablePoliciesRefuse(t *testing.T) {
	const want = `403 Forbidden pods "web" is forbidden: not yet ready to handle request`
	for name, s := range map[string]*stored[*vap, *vapb]{
		"not read yet":       {unready: errors.New("no state")},
		"one is undecodable": {broken: errors.New("unparsable")},
	} {
		t.Run(name, func(t *testing.T) {
			v := celpolicy.NewValidating(world{}.config(), s)
			if got := text(t, v.Validate(t.Context(), attributes(t, "prod"))); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			repair := attributes(t, "")
			repair.Resource.Group, repair.Resource.Resource = "admissionregistration.k8s.io", "validatingadmissionpolicies"
			if err := v.Validate(t.Context(), repair); err != nil {
				t.Errorf("the policies cannot be repaired: %v", err)
			}
		})
	}
}

func TestPolicyWithoutSelectorsRefuses(t *testing.T) {
	s := policy(t, `  validations: [{expression: "true"}]`)
	s.policies[0].Spec.MatchConstraints.NamespaceSelector = nil
	const want = `422 Invalid pods "web" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: ` +
		"a nil namespace selector was passed, please ensure selectors are initialized properly"
	if got := text(t, celpolicy.NewValidating(world{}.config(), s).Validate(t.Context(), attributes(t, "prod"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCancelledRequestIsNotAdmitted guards against a policy that ignores its errors and so admits whatever is interrupted.
func TestCancelledRequestIsNotAdmitted(t *testing.T) {
	s := policy(t, "  failurePolicy: Ignore\n  validations: [{expression: \"object.spec.containers.all(c, c.name == 'x')\"}]")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := text(t, celpolicy.NewValidating(world{}.config(), s).Validate(ctx, attributes(t, "prod"))); !strings.HasPrefix(got, "504 Timeout") {
		t.Errorf("got %q", got)
	}
}

func TestChangesTakeEffect(t *testing.T) {
	s := policy(t, `  validations: [{expression: "false"}]`)
	v := celpolicy.NewValidating(world{}.config(), s)
	ask := func() string { return text(t, v.Validate(t.Context(), attributes(t, "prod"))) }
	for range 2 {
		if ask() == "" || s.reads != 1 {
			t.Fatalf("not denied, or read %d times without a change", s.reads)
		}
	}
	bindings := s.bindings
	s.version, s.bindings = 1, nil
	if got := ask(); got != "" {
		t.Errorf("denied without a binding: %s", got)
	}
	changed := s.policies[0].DeepCopy()
	changed.ResourceVersion, changed.Spec.Validations[0].Expression = "2", "object.metadata.name == 'api'"
	s.version, s.bindings, s.policies = 2, bindings, []*vap{changed}
	if got := ask(); !strings.HasSuffix(got, "failed expression: object.metadata.name == 'api'") {
		t.Errorf("the old expression is in force: %s", got)
	}
}

// many is n bound policies about resources that nobody writes, and one about pods.
func many(t testing.TB, n int) *stored[*vap, *vapb] {
	s := policy(t, `  validations: [{expression: "object.metadata.name == 'web'"}]`)
	for i := range n {
		p := s.policies[0].DeepCopy()
		p.Name = fmt.Sprintf("p%d", i)
		p.Spec.MatchConstraints.ResourceRules[0].Resources = []string{fmt.Sprintf("r%d", i)}
		p.Spec.Validations[0].Expression = "this does not compile, and nobody asks"
		b := s.bindings[0].DeepCopy()
		b.Name, b.Spec.PolicyName = p.Name, p.Name
		s.policies, s.bindings = append(s.policies, p), append(s.bindings, b)
	}
	return s
}

// TestManyPoliciesCostOnlyThoseThatMatch guards the index: were all policies gone through or compiled, this would take minutes.
func TestManyPoliciesCostOnlyThoseThatMatch(t *testing.T) {
	s := many(t, 10_000)
	v := celpolicy.NewValidating(world{}.config(), s)
	for range 1000 {
		if err := v.Validate(t.Context(), attributes(t, "prod")); err != nil {
			t.Fatal(err)
		}
	}
	a := attributes(t, "prod")
	a.Resource.Resource = "r77"
	if got := text(t, v.Validate(t.Context(), a)); !strings.Contains(got, "'p77' denied request: compilation error") && !strings.Contains(got, "'p77' with binding 'p77'") {
		t.Errorf("got %q", got)
	}
}

func BenchmarkValidate(b *testing.B) {
	for name, test := range map[string]struct {
		s        *stored[*vap, *vapb]
		resource string
	}{
		"no policies":            {&stored[*vap, *vapb]{}, "pods"},
		"none of 10,000 matches": {many(b, 10_000), "configmaps"},
		"one of 10,000 matches":  {many(b, 10_000), "pods"},
	} {
		b.Run(name, func(b *testing.B) {
			v := celpolicy.NewValidating(world{}.config(), test.s)
			a := attributes(b, "prod")
			a.Resource.Resource = test.resource
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Validate(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
