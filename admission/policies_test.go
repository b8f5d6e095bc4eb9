package admission_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/policies"
)

// plugin returns the policies plugin with the library's defaults, configuration entries and Rego sources.
func plugin(t *testing.T, entries string, sources ...string) admission.Policies {
	t.Helper()
	e, err := policies.New(policies.Options{Timeout: 10 * time.Minute}) // a busy machine does not reach it
	if err != nil {
		t.Fatal(err)
	}
	var b policies.Bundle
	for i, s := range sources {
		b.Sources = append(b.Sources, policies.Source{Name: fmt.Sprintf("%d.rego", i), Text: []byte(s)})
	}
	if entries != "" {
		if b.Config, err = policies.ParseConfiguration([]byte("apiVersion: policy.gatehouse.dev/v1alpha1\nkind: PolicyConfiguration\n" + entries)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.LoadBundle(b); err != nil {
		t.Fatal(err)
	}
	return admission.Policies{Engine: e, Namespaces: cluster()}
}

// recorded makes the attributes keep their annotations in the map that it returns.
func recorded(a *admission.Attributes) map[string]string {
	m := map[string]string{}
	a.Annotate = func(k, v string) { m[k] = v }
	return m
}

func TestRefusalNamesPolicyContainerAndField(t *testing.T) {
	p := plugin(t, "policies: [{name: no-latest-tag, action: deny}]")
	a := podAttributes(t, "default")
	annotations := recorded(a)
	yes := true
	a.Object.(*corev1.Pod).Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	a.Object.(*corev1.Pod).Spec.HostPID = true
	err := p.Validate(t.Context(), a)
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := metav1.Status{
		Status: metav1.StatusFailure, Code: 403, Reason: metav1.StatusReasonForbidden,
		Message: `admission policy "no-latest-tag" denied the request: container "app": image "nginx:latest" must have a tag other than latest, or a digest (spec.containers[0].image); ` +
			`admission policy "pod-security-baseline" denied the request: container "app": privileged must be false (spec.containers[0].securityContext.privileged), hostPID must be false (spec.hostPID)`,
		Details: &metav1.StatusDetails{Name: "web", Kind: "pods", Causes: []metav1.StatusCause{
			{Type: admission.CausePolicyViolation, Message: `container "app": image "nginx:latest" must have a tag other than latest, or a digest`, Field: "spec.containers[0].image"},
			{Type: admission.CausePolicyViolation, Message: `container "app": privileged must be false`, Field: "spec.containers[0].securityContext.privileged"},
			{Type: admission.CausePolicyViolation, Message: "hostPID must be false", Field: "spec.hostPID"},
		}},
	}
	if diff := cmp.Diff(want, e.Status); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(annotations[admission.AnnotationDigest], "sha256:") || !strings.Contains(annotations[admission.AnnotationDenied], "pod-security-baseline: container") {
		t.Errorf("annotations are %v", annotations)
	}
}

func TestWarningsAndAuditAdmit(t *testing.T) {
	p := plugin(t, "policies: [{name: no-latest-tag, action: warn}, {name: resource-limits, action: audit, parameters: {resources: [cpu]}}]")
	a := podAttributes(t, "default")
	annotations := recorded(a)
	if err := p.Validate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	image := `container "app": image "nginx:latest" must have a tag other than latest, or a digest (spec.containers[0].image)`
	if diff := cmp.Diff([]string{`policy "no-latest-tag": ` + image}, a.Warnings.List()); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{
		admission.AnnotationDigest:  p.Engine.Digest(),
		admission.AnnotationWarned:  "no-latest-tag: " + image,
		admission.AnnotationAudited: `resource-limits: container "app": a limit for cpu must be set (spec.containers[0].resources.limits.cpu)`,
	}
	if diff := cmp.Diff(want, annotations); diff != "" {
		t.Error(diff)
	}
}

// TestEphemeralContainersAreChecked guards against the gap of CVE-2023-2728, on the subresource by which they are added.
func TestEphemeralContainersAreChecked(t *testing.T) {
	p := plugin(t, "")
	a := podAttributes(t, "default")
	a.Operation, a.Subresource = admission.Update, "ephemeralcontainers"
	a.OldObject = a.Object.DeepCopyObject()
	yes := true
	a.Object.(*corev1.Pod).Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", SecurityContext: &corev1.SecurityContext{Privileged: &yes},
	}}}
	if code, message := refusal(t, p.Validate(t.Context(), a)); code != 403 || !strings.Contains(message, "spec.ephemeralContainers[0].securityContext.privileged") {
		t.Errorf("got %d %s", code, message)
	}
	a.OldObject = a.Object.DeepCopyObject()
	a.Object.(*corev1.Pod).Finalizers = []string{"example.com/f"}
	if err := p.Validate(t.Context(), a); err != nil {
		t.Errorf("an update that leaves the spec alone: %v", err)
	}
}

func TestNamespaceLabelsReachPolicies(t *testing.T) {
	p := plugin(t, "policies: [{name: no-latest-tag, action: deny, match: {namespaceSelector: {matchLabels: {tier: prod}}}}]")
	for namespace, want := range map[string]int{"prod": 403, "default": 0, "nosuch": 403, "unreadable": 500} {
		if code, message := refusal(t, p.Validate(t.Context(), podAttributes(t, namespace))); code != want {
			t.Errorf("%s: got %d %s, want %d", namespace, code, message, want)
		}
	}
}

func TestMutateChangesTheObjectInPlace(t *testing.T) {
	p := plugin(t, "policies: [{name: add-labels, action: deny, parameters: {labels: {team: red}}}]")
	a := podAttributes(t, "default")
	annotations := recorded(a)
	object := a.Object.(*corev1.Pod)
	priority := int32(7)
	object.Spec.Priority = &priority
	want := object.DeepCopy()
	want.Labels = map[string]string{"team": "red"}
	if err := p.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, object); diff != "" {
		t.Error(diff)
	}
	if annotations[admission.AnnotationMutated] != "add-labels" {
		t.Errorf("annotations are %v", annotations)
	}
}

func TestMutateChangesCustomResources(t *testing.T) {
	p := plugin(t, "", "# METADATA\n# custom: {type: mutate, match: {groups: [example.com]}}\npackage gatehouse.policy.m\n\npatch contains {\"op\": \"add\", \"path\": \"/spec/x\", \"value\": 1}\n")
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "a"}, "spec": map[string]any{}}}
	a := podAttributes(t, "default")
	a.Kind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Thing"}
	a.Object = u
	if err := p.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"x": int64(1)}, u.Object["spec"]); diff != "" {
		t.Error(diff)
	}
}

func TestMutateRefusesWhatDoesNotDecode(t *testing.T) {
	for name, patch := range map[string]string{
		"an unknown field": `{"op": "add", "path": "/spec/hostNetwrok", "value": true}`,
		"another type":     `{"op": "add", "path": "/spec/hostNetwork", "value": "yes"}`,
		"a path not there": `{"op": "remove", "path": "/spec/hostNetwork"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin(t, "", "# METADATA\n# custom: {type: mutate, match: {kinds: [Pod]}}\npackage gatehouse.policy.m\n\npatch contains "+patch+"\n")
			a := podAttributes(t, "default")
			before := a.Object.DeepCopyObject()
			code, message := refusal(t, p.Mutate(t.Context(), a))
			if code != 403 || !strings.HasPrefix(message, `admission policy "m" denied the request: `) {
				t.Errorf("got %d %s", code, message)
			}
			if diff := cmp.Diff(before, a.Object); diff != "" {
				t.Errorf("the object was changed: %s", diff)
			}
		})
	}
}

func TestDeletionsCanBeRefused(t *testing.T) {
	p := plugin(t, "", "# METADATA\n# custom: {type: validate, match: {kinds: [Pod], operations: [DELETE]}}\npackage gatehouse.policy.keep\n\ndeny contains \"it is kept\" if input.oldObject.metadata.name == \"web\"\n")
	a := podAttributes(t, "default")
	a.Operation, a.Object, a.OldObject = admission.Delete, nil, a.Object
	if err := p.Mutate(t.Context(), a); err != nil {
		t.Error(err)
	}
	if code, message := refusal(t, p.Validate(t.Context(), a)); code != 403 || message != `admission policy "keep" denied the request: it is kept` {
		t.Errorf("got %d %s", code, message)
	}
}

func TestWithoutAnEngineSetNothingIsAdmitted(t *testing.T) {
	p := admission.Policies{Engine: &policies.Engine{}}
	a := podAttributes(t, "default")
	if code, _ := refusal(t, p.Mutate(t.Context(), a)); code != 500 {
		t.Errorf("mutate: %d", code)
	}
	if code, _ := refusal(t, p.Validate(t.Context(), a)); code != 500 {
		t.Errorf("validate: %d", code)
	}
}
