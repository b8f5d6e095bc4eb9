package celpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/celpolicy"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/fieldmanager"
	"github.com/gatehouse/gatehouse/internal/cel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	vap  = admissionregistrationv1.ValidatingAdmissionPolicy
	vapb = admissionregistrationv1.ValidatingAdmissionPolicyBinding
	mapp = admissionregistrationv1.MutatingAdmissionPolicy
	mapb = admissionregistrationv1.MutatingAdmissionPolicyBinding
)

// stored is a source whose version is a number.
type stored[P, B any] struct {
	version  int
	policies []P
	bindings []B
	reads    int
	unready  error // of the version
	broken   error // of the objects
}

func (s *stored[P, B]) Version() (celpolicy.Version, error) {
	return celpolicy.Version{s.version}, s.unready
}

func (s *stored[P, B]) Objects() ([]P, []B, error) {
	s.reads++
	return s.policies, s.bindings, s.broken
}

// world is the server around the policies: two served versions of autoscalers, namespaces, config maps as parameters.
type world struct{ params []*corev1.ConfigMap }

func (world) Equivalents(r schema.GroupVersionResource, _ string) []celpolicy.Served {
	if r.Resource == "horizontalpodautoscalers" && r.Version == "v2" {
		return []celpolicy.Served{{autoscalingv1.SchemeGroupVersion.WithResource(r.Resource), autoscalingv1.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")}}
	}
	return nil
}

func (world) Convert(o runtime.Object, to schema.GroupVersionKind) (runtime.Object, error) {
	switch o := o.(type) {
	case *autoscalingv2.HorizontalPodAutoscaler:
		return &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: *o.ObjectMeta.DeepCopy(), Spec: autoscalingv1.HorizontalPodAutoscalerSpec{MaxReplicas: o.Spec.MaxReplicas}}, nil
	case *autoscalingv1.HorizontalPodAutoscaler:
		return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: *o.ObjectMeta.DeepCopy(), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: o.Spec.MaxReplicas}}, nil
	}
	return nil, fmt.Errorf("cannot convert to %v", to)
}

func (world) Default(_ schema.GroupVersionKind, o runtime.Object) {
	if pod, ok := o.(*corev1.Pod); ok && pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
}

func (world) Kind(kind schema.GroupVersionKind) (resource string, namespaced, served bool) {
	return "configmaps", true, kind == corev1.SchemeGroupVersion.WithKind("ConfigMap")
}

func (w world) Param(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (runtime.Object, error) {
	list, err := w.Params(ctx, kind, namespace, labels.Everything())
	for _, o := range list {
		if m, _ := meta.Accessor(o); m.GetName() == name {
			return o, nil
		}
	}
	return nil, err
}

func (w world) Params(_ context.Context, _ schema.GroupVersionKind, namespace string, s labels.Selector) ([]runtime.Object, error) {
	if namespace == "unreadable" {
		return nil, api.Internal(errors.New("etcd is gone"))
	}
	var list []runtime.Object
	for _, c := range w.params {
		if c.Namespace == namespace && s.Matches(labels.Set(c.Labels)) {
			list = append(list, c)
		}
	}
	return list, nil
}

// Namespace implements admission.Namespaces.
func (world) Namespace(_ context.Context, name string) (*corev1.Namespace, bool, error) {
	switch name {
	case "unreadable":
		return nil, false, errors.New("etcd is gone")
	case "nosuch":
		return nil, false, nil
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"tier": name}}}, true, nil
}

// Authorize implements authz.Authorizer: alice may get secrets.
func (world) Authorize(ctx context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	switch {
	case info.Resource == "broken":
		return authz.NoOpinion, "", errors.New("no decision")
	case user.Name == "alice" && info.Verb == "get" && info.Resource == "secrets":
		return authz.Allow, "", ctx.Err()
	}
	return authz.NoOpinion, "", nil
}

func (w world) config() celpolicy.Config {
	return celpolicy.Config{Kinds: w, Params: w, Namespaces: w, Authorizer: w, Scopes: cel.NewAdmission()}
}

// parse reads an object as a client writes it, with what defaults would add.
func parse[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	defaults := func(m *admissionregistrationv1.MatchResources) {
		if m == nil {
			return
		}
		if m.NamespaceSelector == nil {
			m.NamespaceSelector = &metav1.LabelSelector{}
		}
		if m.ObjectSelector == nil {
			m.ObjectSelector = &metav1.LabelSelector{}
		}
		if m.MatchPolicy == nil {
			equivalent := admissionregistrationv1.Equivalent
			m.MatchPolicy = &equivalent
		}
	}
	switch o := any(o).(type) {
	case *vap:
		defaults(o.Spec.MatchConstraints)
	case *vapb:
		defaults(o.Spec.MatchResources)
	case *mapp:
		defaults(o.Spec.MatchConstraints)
	case *mapb:
		defaults(o.Spec.MatchResources)
	}
	return o
}

const aboutPods = `
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["pods"]}]
`

// policy is a policy about pods named p with more of its spec, and binds it as b.
func policy(t testing.TB, spec string) *stored[*vap, *vapb] {
	return &stored[*vap, *vapb]{
		policies: []*vap{parse[vap](t, "metadata: {name: p}\nspec:"+aboutPods+spec)},
		bindings: []*vapb{parse[vapb](t, "metadata: {name: b}\nspec: {policyName: p, validationActions: [Deny]}")},
	}
}

// mutation is the same for a policy that mutates.
func mutation(t testing.TB, spec string) *stored[*mapp, *mapb] {
	return &stored[*mapp, *mapb]{
		policies: []*mapp{parse[mapp](t, "metadata: {name: p}\nspec:"+aboutPods+spec)},
		bindings: []*mapb{parse[mapb](t, "metadata: {name: b}\nspec: {policyName: p}")},
	}
}

func newMutating(s *stored[*mapp, *mapb]) *celpolicy.Mutating {
	return celpolicy.NewMutating(world{}.config(), fieldmanager.NewSchema(), s)
}

// attributes is a create by alice of a pod web with a label and a container.
func attributes(t testing.TB, namespace string) *admission.Attributes {
	t.Helper()
	info := api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: "pods", Namespace: namespace}
	p, err := authz.Chain{}.Permit(t.Context(), api.User{Name: "alice", UID: "1", Groups: []string{api.GroupMasters}}, info)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: namespace, Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"long": strings.Repeat("a", 200<<10)}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx"}}, ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "x"}}},
	}
	return &admission.Attributes{
		Permit: p, Operation: admission.Create, Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
		Namespace: namespace, Name: "web", Object: pod, Warnings: &api.Warnings{},
		Options: func() runtime.Object {
			return &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}, FieldManager: "kubectl"}
		},
	}
}

// text is the message of a refusal with its code, "" for none.
func text(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not an *api.Error: %v", err, err)
	}
	return fmt.Sprintf("%d %s %s", e.Code(), e.Reason(), e.Status.Message)
}
