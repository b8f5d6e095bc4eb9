package cluster_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/kinds/cluster"
	"github.com/gatehouse/gatehouse/rules/casetest"
)

func TestRole(t *testing.T) {
	casetest.Run[rbacv1.Role](t, cluster.Role(), "testdata/role.txtar")
}

func TestClusterRole(t *testing.T) {
	casetest.Run[rbacv1.ClusterRole](t, cluster.ClusterRole(), "testdata/clusterrole.txtar")
}

func TestRoleBinding(t *testing.T) {
	casetest.Run[rbacv1.RoleBinding](t, cluster.RoleBinding(), "testdata/rolebinding.txtar")
}

func TestClusterRoleBinding(t *testing.T) {
	casetest.Run[rbacv1.ClusterRoleBinding](t, cluster.ClusterRoleBinding(), "testdata/clusterrolebinding.txtar")
}
