package rbac_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/authz/rbac"
)

// edited returns a copy of the role as stored, changed by f.
func edited[T runtime.Object](o T, f func(T)) T {
	o = o.DeepCopyObject().(T)
	f(o)
	return o
}

func TestReconcileRoles(t *testing.T) {
	wanted := labelled(clusterRole("r", rule("get,list", "", "pods")), "l")
	wanted.Annotations = map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"}
	stored := edited(wanted, func(r *rbacv1.ClusterRole) { r.ResourceVersion, r.UID = "7", "u" })
	tests := []struct {
		name     string
		existing *rbacv1.ClusterRole
		want     *rbacv1.ClusterRole // nil where nothing is to be written
	}{
		{"up to date", stored, nil},
		{"more than wanted stays", edited(stored, func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, rule("*", "*", "*")) }), nil},
		{"held in another form", edited(stored, func(r *rbacv1.ClusterRole) {
			r.Rules = []rbacv1.PolicyRule{rule("get", "", "pods"), rule("list,watch", "", "*")}
		}), nil},
		{
			"only what is missing is added", edited(stored, func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{rule("get", "", "pods")} }),
			edited(stored, func(r *rbacv1.ClusterRole) {
				r.Rules = []rbacv1.PolicyRule{rule("get", "", "pods"), rule("list", "", "pods")}
			}),
		},
		{
			"a label of one's own stays, a missing one returns", edited(stored, func(r *rbacv1.ClusterRole) { r.Labels = map[string]string{"mine": "x"} }),
			edited(stored, func(r *rbacv1.ClusterRole) { r.Labels = map[string]string{"mine": "x", "l": "true"} }),
		},
		{"a changed label stays", edited(stored, func(r *rbacv1.ClusterRole) { r.Labels["l"] = "no" }), nil},
		{"without annotations", edited(stored, func(r *rbacv1.ClusterRole) { r.Annotations = nil }), stored},
		{"protected", edited(stored, func(r *rbacv1.ClusterRole) {
			r.Rules, r.Labels, r.Annotations = nil, nil, map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"}
		}), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.existing.DeepCopy()
			update, changed := rbac.Reconcile(tt.existing, wanted)
			if changed != (tt.want != nil) {
				t.Fatalf("changed = %v, want %v: %v", changed, tt.want != nil, update)
			}
			if diff := cmp.Diff(tt.want, update, cmpopts.EquateEmpty()); changed && diff != "" {
				t.Errorf("update (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.existing); diff != "" {
				t.Errorf("the existing role was modified:\n%s", diff)
			}
		})
	}
}

func TestReconcileAggregation(t *testing.T) {
	wanted := aggregating(clusterRole("r", rule("get", "", "pods")), "x")
	existing := aggregating(clusterRole("r", rule("get", "", "nodes")), "mine")
	update, changed := rbac.Reconcile(existing, wanted)
	want := aggregating(clusterRole("r", rule("get", "", "nodes")), "mine", "x")
	if diff := cmp.Diff(want, update); !changed || diff != "" {
		t.Errorf("selectors are added, computed rules are left alone (-want +got):\n%s", diff)
	}
	if _, changed := rbac.Reconcile(update, wanted); changed {
		t.Error("a second run changed it again")
	}
	plain := clusterRole("r")
	if update, _ := rbac.Reconcile(plain, wanted); update.(*rbacv1.ClusterRole).AggregationRule == nil {
		t.Error("the aggregation rule was not added to a role without one")
	}
}

func TestReconcileBindings(t *testing.T) {
	wanted := clusterBinding("b", "r", toUser("a"), toUser("b"))
	stored := clusterBinding("b", "r", toUser("x"), toUser("b"))
	stored.ResourceVersion = "7"
	update, changed := rbac.Reconcile(stored, wanted)
	want := edited(stored, func(b *rbacv1.ClusterRoleBinding) { b.Subjects = append(b.Subjects, toUser("a")) })
	if diff := cmp.Diff(want, update); !changed || diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}

	stored.RoleRef.Name = "other"
	update, changed = rbac.Reconcile(stored, wanted)
	if diff := cmp.Diff(wanted, update); !changed || diff != "" {
		t.Errorf("another roleRef wants the default anew, without a version (-want +got):\n%s", diff)
	}
	stored.Annotations = map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"}
	if _, changed = rbac.Reconcile(stored, wanted); changed {
		t.Error("a protected binding was to be replaced")
	}

	namespaced := roleBinding("dev", "b", toRole("Role", "r"), toUser("a"))
	if _, changed = rbac.Reconcile(namespaced, namespaced); changed {
		t.Error("a role binding differs from itself")
	}
	if _, changed = rbac.Reconcile(roleBinding("dev", "b", toRole("ClusterRole", "r")), namespaced); !changed {
		t.Error("a role binding to the ClusterRole of that name counted as the same")
	}
}

func TestReconcileOddities(t *testing.T) {
	wanted := role("dev", "r", rule("get", "", "pods"))
	if update, changed := rbac.Reconcile(nil, wanted); !changed || !cmp.Equal(update, wanted) || update == runtime.Object(wanted) {
		t.Errorf("nothing there: update %v, %v, want a copy of the default", update, changed)
	}
	if _, changed := rbac.Reconcile(clusterRole("r"), wanted); changed {
		t.Error("a ClusterRole was updated to a Role")
	}
	update, changed := rbac.Reconcile(role("dev", "r"), wanted)
	if diff := cmp.Diff(wanted, update); !changed || diff != "" {
		t.Errorf("an emptied role (-want +got):\n%s", diff)
	}
}

// TestDefaultsReconcileWithThemselves: a restart on an untouched cluster writes nothing.
func TestDefaultsReconcileWithThemselves(t *testing.T) {
	wanted := rbac.Defaults()
	for i, existing := range rbac.Defaults() {
		if update, changed := rbac.Reconcile(existing, wanted[i]); changed {
			t.Errorf("a second start would write %v", update)
		}
	}
}
