package celpolicy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
)

const refused = `403 Invalid policy 'p' with binding 'b' denied request: `

func apply(expression string) string {
	return "  mutations:\n  - patchType: ApplyConfiguration\n    applyConfiguration:\n      expression: |\n        " + expression
}

func jsonPatch(expression string) string {
	return "  mutations:\n  - patchType: JSONPatch\n    jsonPatch:\n      expression: |\n        " + expression
}

// labels are those of the pod, with its containers, as one text.
func shape(o any) string {
	pod := o.(*corev1.Pod)
	var b strings.Builder
	for _, key := range []string{"app", "made", "x/y"} {
		if v, ok := pod.Labels[key]; ok {
			b.WriteString(key + "=" + v + " ")
		}
	}
	for _, c := range pod.Spec.Containers {
		b.WriteString(c.Name + ":" + c.Image + " ")
	}
	return strings.TrimSpace(b.String())
}

func TestMutations(t *testing.T) {
	const unchanged = "app=web app:nginx"
	for name, test := range map[string]struct{ spec, want, err string }{
		"a label":                {apply(`Object{metadata: Object.metadata{labels: {"made": object.metadata.name}}}`), "app=web made=web app:nginx", ""},
		"a container is added":   {apply(`Object{spec: Object.spec{containers: [Object.spec.containers{name: "side", image: "x"}]}}`), "app=web app:nginx side:x", ""},
		"a container is changed": {apply(`Object{spec: Object.spec{containers: [Object.spec.containers{name: "app", image: "x"}]}}`), "app=web app:x", ""},
		"operations":             {jsonPatch(`[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("x/y"), value: "1"}, JSONPatch{op: "remove", path: "/metadata/labels/app"}]`), "x/y=1 app:nginx", ""},
		"a test that holds":      {jsonPatch(`[JSONPatch{op: "test", path: "/kind", value: "Pod"}, JSONPatch{op: "replace", path: "/metadata/labels/app", value: "x"}]`), "app=x app:nginx", ""},
		"a test that does not":   {jsonPatch(`[JSONPatch{op: "test", path: "/kind", value: "x"}, JSONPatch{op: "replace", path: "/metadata/labels/app", value: "x"}]`), unchanged, ""},
		"each sees the one before": {
			apply(`Object{metadata: Object.metadata{labels: {"made": "1"}}}`) + `
  - patchType: JSONPatch
    jsonPatch: {expression: "[JSONPatch{op: \"add\", path: \"/metadata/labels/app\", value: object.metadata.labels.made + \"2\"}]"}`, "app=12 made=1 app:nginx", "",
		},
		"a list that is replaced as a whole": {
			apply(`Object{spec: Object.spec{readinessGates: [Object.spec.readinessGates{conditionType: "y"}]}}`), unchanged,
			refused + `error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.readinessGates`,
		},
		"a field that does not exist": {
			apply(`Object{nosuch: 1}`), unchanged,
			refused + "error applying patch: failed to convert patch object to typed object: .nosuch: field not declared in schema",
		},
		"a field of the wrong type": {apply(`Object{spec: Object.nosuch{}}`), unchanged, refused + "type mismatch: "},
		"an operation on what is not there": {
			jsonPatch(`[JSONPatch{op: "replace", path: "/nosuch", value: "1"}]`), unchanged, refused + "JSON Patch: replace operation does not apply",
		},
		"an operation that makes an unknown field": {
			jsonPatch(`[JSONPatch{op: "add", path: "/nosuch", value: "1"}]`), unchanged, `500 InternalError Internal error occurred: strict decoding error: unknown field "nosuch"`,
		},
		"an evaluation error": {
			apply(`Object{metadata: Object.metadata{name: object.nosuch}}`), unchanged, refused + "expression 'Object{metadata: Object.metadata{name: object.nosuch}}' resulted in error: no such key",
		},
		"an evaluation error that is ignored": {"  failurePolicy: Ignore\n" + apply(`Object{metadata: Object.metadata{name: object.nosuch}}`), unchanged, ""},
		"what does not compile":               {apply(`nosuch`), unchanged, refused + "compilation failed: ERROR: <input>:1:1: undeclared reference to 'nosuch'"},
		"what makes something else":           {apply(`"x"`), unchanged, refused + "must evaluate to Object but got string"},
		"a condition that does not hold":      {"  matchConditions: [{name: a, expression: 'false'}]\n" + apply(`Object{nosuch: 1}`), unchanged, ""},
		"too many operations": {
			"  variables: [{name: l, expression: \"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.split('')\"}]\n" +
				jsonPatch(`variables.l.map(a, variables.l.map(b, JSONPatch{op: "add", path: "/metadata/labels/made", value: "x"})).flatten()`), unchanged,
			refused + "JSON Patch: more than 10000 operations",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := attributes(t, "prod")
			got := text(t, newMutating(mutation(t, test.spec)).Mutate(t.Context(), a))
			if !strings.HasPrefix(got, test.err) || (got == "") != (test.err == "") {
				t.Errorf("got  %s\nwant %s", got, test.err)
			}
			if diff := cmp.Diff(test.want, shape(a.Object)); diff != "" {
				t.Error(diff)
			}
			if pod := a.Object.(*corev1.Pod); len(pod.ManagedFields) != 1 {
				t.Error("the record of who owns what is gone")
			}
		})
	}
}

// TestMutatedObjectsAreDefaulted guards against storing what a policy left incomplete.
func TestMutatedObjectsAreDefaulted(t *testing.T) {
	a := attributes(t, "prod")
	if err := newMutating(mutation(t, apply(`Object{metadata: Object.metadata{labels: {"made": "1"}}}`))).Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := a.Object.(*corev1.Pod).Spec.RestartPolicy; got != corev1.RestartPolicyAlways {
		t.Errorf("got %q", got)
	}
}

// TestMutatesThroughAnotherVersion has a policy about autoscalers of version 1 change one of version 2.
func TestMutatesThroughAnotherVersion(t *testing.T) {
	s := mutation(t, apply(`Object{spec: Object.spec{maxReplicas: object.spec.maxReplicas + 1}}`))
	rule := &s.policies[0].Spec.MatchConstraints.ResourceRules[0]
	rule.APIGroups, rule.Resources = []string{"autoscaling"}, []string{"horizontalpodautoscalers"}
	a := attributes(t, "prod")
	a.Kind = autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")
	a.Resource = autoscalingv2.SchemeGroupVersion.WithResource("horizontalpodautoscalers")
	a.Object = &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 7}}
	if err := newMutating(s).Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := a.Object.(*autoscalingv2.HorizontalPodAutoscaler).Spec.MaxReplicas; got != 8 {
		t.Errorf("got %d", got)
	}
}

// later is a mutator behind the policies.
type later struct{ label string }

func (l later) Mutate(_ context.Context, a *admission.Attributes) error {
	a.Object.(*corev1.Pod).Labels[l.label] = "later"
	return nil
}

// TestReinvocation has two policies, of which the first counts how often it was applied and the second triggers it.
func TestReinvocation(t *testing.T) {
	counting := apply(`Object{metadata: Object.metadata{labels: {"made": has(object.metadata.labels.made) ? object.metadata.labels.made + "1" : "1"}}}`)
	for name, test := range map[string]struct {
		reinvocation admissionregistrationv1.ReinvocationPolicyType
		second       string
		want         string
	}{
		"one that wants to be asked again": {"IfNeeded", `Object{metadata: Object.metadata{labels: {"app": "x"}}}`, "app=x made=11 app:nginx"},
		"one that does not":                {"Never", `Object{metadata: Object.metadata{labels: {"app": "x"}}}`, "app=x made=1 app:nginx"},
		"its own change does not ask it again": {
			"IfNeeded", `Object{}`, "app=web made=1 app:nginx",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mutation(t, counting)
			s.policies[0].Spec.ReinvocationPolicy = test.reinvocation
			other := mutation(t, apply(test.second))
			other.policies[0].Name, other.bindings[0].Spec.PolicyName, other.bindings[0].Name = "q", "q", "q"
			s.policies, s.bindings = append(s.policies, other.policies...), append(s.bindings, other.bindings...)
			chain := admission.Chain{Mutators: []admission.Mutator{newMutating(s)}}
			a := attributes(t, "prod")
			if err := chain.Mutate(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, shape(a.Object)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReinvocationAfterLaterMutators has a plugin behind the policies change what they made, which asks them again.
func TestReinvocationAfterLaterMutators(t *testing.T) {
	s := mutation(t, apply(`Object{metadata: Object.metadata{labels: {"made": has(object.metadata.labels.made) ? object.metadata.labels.made + "1" : "1"}}}`))
	s.policies[0].Spec.ReinvocationPolicy = admissionregistrationv1.IfNeededReinvocationPolicy
	a := attributes(t, "prod")
	chain := admission.Chain{Mutators: []admission.Mutator{newMutating(s), later{"x/y"}}}
	if err := chain.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("app=web made=11 x/y=later app:nginx", shape(a.Object)); diff != "" {
		t.Error(diff)
	}
}

func TestMutatingFailsClosed(t *testing.T) {
	for name, s := range map[string]*stored[*mapp, *mapb]{"not read yet": {unready: errors.New("x")}, "undecodable": {broken: errors.New("x")}} {
		t.Run(name, func(t *testing.T) {
			if got := text(t, newMutating(s).Mutate(t.Context(), attributes(t, "prod"))); !strings.HasPrefix(got, "403 Forbidden") {
				t.Errorf("got %q", got)
			}
		})
	}
	s := mutation(t, apply(`Object{nosuch: 1}`))
	s.policies[0].Spec.MatchConstraints = nil
	const want = `403 Forbidden policy "p" denied request: failed to configure policy: policy contained no match constraints, a required field`
	if got := text(t, newMutating(s).Mutate(t.Context(), attributes(t, "prod"))); got != want {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = mutation(t, "  failurePolicy: Ignore\n"+apply(`Object{}`))
	if got := text(t, newMutating(s).Mutate(ctx, attributes(t, "prod"))); !strings.HasPrefix(got, "504 Timeout") {
		t.Errorf("a request that has ended: %q", got)
	}
}
