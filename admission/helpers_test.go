package admission_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// allowAll lets the tests make permits for any user; what admission decides comes after.
type allowAll struct{}

func (allowAll) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "test", nil
}

func permit(t *testing.T, user api.User, info api.RequestInfo) authz.Permit {
	t.Helper()
	info.IsResource = true
	p, err := authz.Chain{Allowers: []authz.Authorizer{allowAll{}}}.Permit(t.Context(), user, info)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// namespaces is a set of namespaces by name.
type namespaces map[string]*corev1.Namespace

func (n namespaces) Namespace(_ context.Context, name string) (*corev1.Namespace, bool, error) {
	if name == "unreadable" {
		return nil, false, errors.New("etcd is gone")
	}
	ns, ok := n[name]
	return ns, ok, nil
}

func cluster() namespaces {
	now := metav1.Now()
	return namespaces{
		"default": {ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		"prod":    {ObjectMeta: metav1.ObjectMeta{Name: "prod", Labels: map[string]string{"tier": "prod"}}},
		"ending":  {ObjectMeta: metav1.ObjectMeta{Name: "ending"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}},
		"deleted": {ObjectMeta: metav1.ObjectMeta{Name: "deleted", DeletionTimestamp: &now}},
	}
}

// podAttributes is a create of a pod by alice in the namespace.
func podAttributes(t *testing.T, namespace string) *admission.Attributes {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx:latest"}}},
	}
	return &admission.Attributes{
		Permit:    permit(t, api.User{Name: "alice", Groups: []string{api.GroupAuthenticated}}, api.RequestInfo{Verb: "create", Version: "v1", Resource: "pods", Namespace: namespace}),
		Operation: admission.Create,
		Kind:      corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
		Namespace: namespace, Name: "web", Object: pod, Warnings: &api.Warnings{},
	}
}

// refusal returns the code and message of a refusal, 0 for none.
func refusal(t *testing.T, err error) (int, string) {
	t.Helper()
	if err == nil {
		return 0, ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not an *api.Error: %v", err, err)
	}
	return e.Code(), e.Status.Message
}
