package rbac_test

import (
	"context"
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
)

// crowded returns an index with the default objects, one binding for jane, and n bindings for others: half of
// them in jane's namespace, a tenth cluster-wide.
func crowded(n int) *rbac.Index {
	x := withDefaults()
	x.ApplyClusterRole(clusterRole("app", rule("get,list,watch", "", "pods,services"), rule("get", "apps", "deployments")))
	var bindings []*rbacv1.RoleBinding
	var clusterBindings []*rbacv1.ClusterRoleBinding
	for i := range n {
		name := fmt.Sprintf("b%d", i)
		subject := toUser(fmt.Sprintf("user%d", i))
		if i%3 == 0 {
			subject = toGroup(fmt.Sprintf("group%d", i))
		}
		switch {
		case i%10 == 0:
			clusterBindings = append(clusterBindings, clusterBinding(name, "app", subject))
		case i%2 == 0:
			bindings = append(bindings, roleBinding("dev", name, toRole("ClusterRole", "app"), subject))
		default:
			bindings = append(bindings, roleBinding(fmt.Sprintf("ns%d", i%1000), name, toRole("ClusterRole", "app"), subject))
		}
	}
	bindings = append(bindings, roleBinding("dev", "jane", toRole("ClusterRole", "app"), toUser("jane")))
	x.ReplaceRoleBindings(bindings)
	for _, b := range clusterBindings {
		x.ApplyClusterRoleBinding(b)
	}
	return x
}

func BenchmarkAuthorize(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		x := crowded(n)
		jane := user("jane", "devs", "system:authenticated")
		for _, ask := range []struct {
			name string
			verb string
			want authz.Decision
		}{{"allow", "get", authz.Allow}, {"refuse", "delete", authz.NoOpinion}} {
			b.Run(fmt.Sprintf("%s/unrelated=%d", ask.name, n), func(b *testing.B) {
				info := on(ask.verb, "pods", "dev", "x")
				b.ReportAllocs()
				for b.Loop() {
					if d, reason, _ := x.Authorize(context.Background(), jane, info); d != ask.want {
						b.Fatal(d, reason)
					}
				}
			})
		}
	}
}

func BenchmarkApplyBinding(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("bindings=%d", n), func(b *testing.B) {
			x := crowded(n)
			binding := roleBinding("dev", "new", toRole("ClusterRole", "app"), toUser("new"))
			b.ReportAllocs()
			for b.Loop() {
				x.ApplyRoleBinding(binding)
			}
		})
	}
}

// TestDecisionIgnoresTheCrowd counts allocations, which unlike time do not depend on the machine.
func TestDecisionIgnoresTheCrowd(t *testing.T) {
	x := crowded(1000)
	jane := user("jane", "devs", "system:authenticated")
	for verb, most := range map[string]float64{"get": 2, "delete": 0} {
		info := on(verb, "pods", "dev", "x")
		if got := testing.AllocsPerRun(100, func() { decide(t, x, jane, info) }); got > most {
			t.Errorf("%s: %v allocations per decision, want at most %v", verb, got, most)
		}
	}
}
