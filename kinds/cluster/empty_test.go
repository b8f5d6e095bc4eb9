package cluster_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/kinds/cluster"
)

// TestEmptyListsAreNone guards answers to writes: they show what the next reader will see, and what is stored has no empty lists.
func TestEmptyListsAreNone(t *testing.T) {
	role := &rbacv1.Role{Rules: []rbacv1.PolicyRule{}}
	if cluster.Role().Create(role); role.Rules != nil {
		t.Error("a created Role has an empty list of rules")
	}
	role.Rules = []rbacv1.PolicyRule{}
	if cluster.Role().Update("", role, &rbacv1.Role{}); role.Rules != nil {
		t.Error("an updated Role has an empty list of rules")
	}
	clusterRole := &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{}}
	if cluster.ClusterRole().Create(clusterRole); clusterRole.Rules != nil {
		t.Error("a created ClusterRole has an empty list of rules")
	}
	limits := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{}}}
	if cluster.LimitRange().Update("", limits, &corev1.LimitRange{}); limits.Spec.Limits != nil {
		t.Error("an updated LimitRange has an empty list of limits")
	}
}
