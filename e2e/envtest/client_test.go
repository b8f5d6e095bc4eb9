package envtest_test

import (
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	project "github.com/gatehouse/gatehouse/e2e/envtest"
)

// TestApply lets two owners apply the same field.
func TestApply(t *testing.T) {
	ns, c := namespace(t), direct(t)
	with := func(value string) *coreapply.ConfigMapApplyConfiguration {
		return coreapply.ConfigMap("shared", ns).WithData(map[string]string{"key": value})
	}
	if err := c.Apply(t.Context(), with("one"), client.FieldOwner("one")); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), with("two"), client.FieldOwner("two")); !apierrors.IsConflict(err) {
		t.Fatalf("apply of another's field: %v, want a conflict", err)
	}
	if err := c.Apply(t.Context(), with("two"), client.FieldOwner("two"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	got := &corev1.ConfigMap{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "shared"}, got); err != nil {
		t.Fatal(err)
	}
	if got.Data["key"] != "two" || len(got.ManagedFields) != 1 || got.ManagedFields[0].Manager != "two" {
		t.Errorf("%v, managed by %v", got.Data, got.ManagedFields)
	}
}

// TestStatus writes the status, which leaves the rest alone, and the rest, which leaves the status alone.
func TestStatus(t *testing.T) {
	ns, c := namespace(t), direct(t)
	d := deploymentOf(ns, "d")
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	d.Spec.Template.Labels = map[string]string{"a": "b"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "example.org/c"}}
	d.Status.Replicas = 7
	if err := c.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if d.Status.Replicas != 0 || *d.Spec.Replicas != 1 {
		t.Errorf("after create: %d replicas in status, %d in spec", d.Status.Replicas, *d.Spec.Replicas)
	}
	five := int32(5)
	d.Spec.Replicas, d.Status.Replicas = &five, 3
	if err := c.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if d.Status.Replicas != 3 || *d.Spec.Replicas != 1 || d.Generation != 1 {
		t.Errorf("after the status: %d in status, %d in spec, generation %d", d.Status.Replicas, *d.Spec.Replicas, d.Generation)
	}
	stale := d.DeepCopy()
	d.Spec.Replicas, d.Status.Replicas = &five, 9
	if err := c.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if d.Status.Replicas != 3 || *d.Spec.Replicas != 5 || d.Generation != 2 {
		t.Errorf("after the spec: %d in status, %d in spec, generation %d", d.Status.Replicas, *d.Spec.Replicas, d.Generation)
	}
	if err := c.Update(t.Context(), stale); !apierrors.IsConflict(err) {
		t.Errorf("update of what has changed: %v, want a conflict", err)
	}
	if err := c.DeleteAllOf(t.Context(), &appsv1.Deployment{}, client.InNamespace(ns)); err != nil {
		t.Error(err)
	}
}

// TestUser makes a user as envtest does, who may do nothing until a role says so, and asks by kubectl too.
func TestUser(t *testing.T) {
	ns, c := namespace(t), direct(t)
	user, err := env.AddUser(envtest.User{Name: "jane", Groups: []string{"developers"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jane, err := client.New(user.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := jane.List(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(ns)); !apierrors.IsForbidden(err) {
		t.Fatalf("list without a role: %v, want forbidden", err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "readers"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}},
	}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "readers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "readers"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "developers"}},
	}
	for _, o := range []client.Object{role, binding, site(ns, "seen")} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error { return jane.List(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(ns)) })

	kubectl, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := kubectl.Run("get", "configmaps", "-n", ns, "-l", project.SiteLabel, "-o", "name")
	if err != nil {
		message, _ := io.ReadAll(stderr)
		t.Fatalf("kubectl: %v: %s", err, message)
	}
	if names, err := io.ReadAll(stdout); err != nil || strings.TrimSpace(string(names)) != "configmap/seen" {
		t.Errorf("kubectl get: %q, %v", names, err)
	}
}
