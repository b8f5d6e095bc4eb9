package rbac

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Reconcile returns what to write so that a stored role or binding has at least what the wanted default has:
// rules, aggregation selectors, subjects, labels and annotations are added, and nothing is removed. Without an
// existing object (a nil interface) the update is the wanted one. changed is false where nothing is to be
// written, which includes every object whose annotation rbac.authorization.kubernetes.io/autoupdate is
// "false", and objects of other or differing types.
//
// The roleRef of a binding cannot be updated. Where it differs, the update is the wanted object without a
// resourceVersion: the caller deletes the existing binding and creates the update. In all other updates the
// resourceVersion is that of existing, so a concurrent change is noticed. Neither argument is modified.
func Reconcile(existing, wanted runtime.Object) (update runtime.Object, changed bool) {
	if existing == nil {
		return wanted.DeepCopyObject(), true
	}
	switch w := wanted.(type) {
	case *rbacv1.Role:
		if e, ok := existing.(*rbacv1.Role); ok && !isProtected(e) {
			return reconcileRole(e.DeepCopy(), w)
		}
	case *rbacv1.ClusterRole:
		if e, ok := existing.(*rbacv1.ClusterRole); ok && !isProtected(e) {
			return reconcileClusterRole(e.DeepCopy(), w)
		}
	case *rbacv1.RoleBinding:
		if e, ok := existing.(*rbacv1.RoleBinding); ok && !isProtected(e) {
			return reconcileRoleBinding(e.DeepCopy(), w)
		}
	case *rbacv1.ClusterRoleBinding:
		if e, ok := existing.(*rbacv1.ClusterRoleBinding); ok && !isProtected(e) {
			return reconcileClusterRoleBinding(e.DeepCopy(), w)
		}
	}
	return existing, false
}

func isProtected(o metav1.Object) bool {
	return o.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false"
}

func reconcileRole(e, w *rbacv1.Role) (runtime.Object, bool) {
	changed := addMeta(&e.ObjectMeta, &w.ObjectMeta)
	missing := uncovered(e.Rules, w.Rules)
	e.Rules = append(e.Rules, missing...)
	return e, changed || len(missing) > 0
}

// reconcileClusterRole leaves the rules of an aggregating role alone: [Aggregate] computes them.
func reconcileClusterRole(e, w *rbacv1.ClusterRole) (runtime.Object, bool) {
	changed := addMeta(&e.ObjectMeta, &w.ObjectMeta)
	if w.AggregationRule == nil {
		missing := uncovered(e.Rules, w.Rules)
		e.Rules = append(e.Rules, missing...)
		return e, changed || len(missing) > 0
	}
	if e.AggregationRule == nil {
		e.AggregationRule = &rbacv1.AggregationRule{}
	}
	selectors := &e.AggregationRule.ClusterRoleSelectors
	for _, s := range w.AggregationRule.ClusterRoleSelectors {
		if !slices.ContainsFunc(*selectors, func(have metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(have, s) }) {
			*selectors = append(*selectors, *s.DeepCopy())
			changed = true
		}
	}
	return e, changed
}

func reconcileRoleBinding(e, w *rbacv1.RoleBinding) (runtime.Object, bool) {
	if e.RoleRef != w.RoleRef {
		return w.DeepCopy(), true
	}
	changed := addMeta(&e.ObjectMeta, &w.ObjectMeta)
	return e, addSubjects(&e.Subjects, w.Subjects) || changed
}

func reconcileClusterRoleBinding(e, w *rbacv1.ClusterRoleBinding) (runtime.Object, bool) {
	if e.RoleRef != w.RoleRef {
		return w.DeepCopy(), true
	}
	changed := addMeta(&e.ObjectMeta, &w.ObjectMeta)
	return e, addSubjects(&e.Subjects, w.Subjects) || changed
}

func addSubjects(have *[]rbacv1.Subject, wanted []rbacv1.Subject) (changed bool) {
	for _, s := range wanted {
		if !slices.Contains(*have, s) {
			*have = append(*have, s)
			changed = true
		}
	}
	return changed
}

// addMeta adds the labels and annotations that are missing; a value that differs stays.
func addMeta(have, wanted *metav1.ObjectMeta) bool {
	labels := addKeys(&have.Labels, wanted.Labels)
	annotations := addKeys(&have.Annotations, wanted.Annotations)
	return labels || annotations
}

func addKeys(have *map[string]string, wanted map[string]string) (changed bool) {
	if *have == nil && len(wanted) > 0 {
		*have = maps.Clone(wanted)
		return true
	}
	for k, v := range wanted {
		if _, ok := (*have)[k]; !ok {
			(*have)[k] = v
			changed = true
		}
	}
	return changed
}
