package rbac_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/authz/rbac"
)

func labelled(r *rbacv1.ClusterRole, labels ...string) *rbacv1.ClusterRole {
	r.Labels = map[string]string{}
	for _, l := range labels {
		r.Labels[l] = "true"
	}
	return r
}

// aggregating lets r collect the roles that bear any of the labels.
func aggregating(r *rbacv1.ClusterRole, labels ...string) *rbacv1.ClusterRole {
	r.AggregationRule = &rbacv1.AggregationRule{}
	for _, l := range labels {
		r.AggregationRule.ClusterRoleSelectors = append(r.AggregationRule.ClusterRoleSelectors,
			metav1.LabelSelector{MatchLabels: map[string]string{l: "true"}})
	}
	return r
}

func TestAggregate(t *testing.T) {
	pods, nodes, old := rule("get", "", "pods"), rule("get", "", "nodes"), rule("*", "*", "*")
	invalid := clusterRole("t", old)
	invalid.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}},
	}}
	sources := []*rbacv1.ClusterRole{
		labelled(clusterRole("b", nodes, pods), "x", "y"), labelled(clusterRole("a", pods), "x"), labelled(clusterRole("c", old), "z"),
	}
	tests := []struct {
		name    string
		target  *rbacv1.ClusterRole
		want    []rbacv1.PolicyRule
		changed bool
	}{
		{"roles in order of name, equal rules once", aggregating(clusterRole("t"), "x"), []rbacv1.PolicyRule{pods, nodes}, true},
		{"rules of its own are replaced", aggregating(clusterRole("t", old), "x"), []rbacv1.PolicyRule{pods, nodes}, true},
		{"up to date", aggregating(clusterRole("t", pods, nodes), "x"), []rbacv1.PolicyRule{pods, nodes}, false},
		{"selectors are alternatives, in their order", aggregating(clusterRole("t"), "y", "x"), []rbacv1.PolicyRule{nodes, pods}, true},
		{"nothing matches", aggregating(clusterRole("t", old), "w"), nil, true},
		{"itself left out", aggregating(labelled(clusterRole("t", old), "w"), "w"), nil, true},
		{"no aggregation rule", clusterRole("t", old), []rbacv1.PolicyRule{old}, false},
		{"an invalid selector changes nothing", invalid, []rbacv1.PolicyRule{old}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules, changed := rbac.Aggregate(tt.target, append(sources, tt.target))
			if diff := cmp.Diff(tt.want, rules); diff != "" || changed != tt.changed {
				t.Errorf("changed = %v, want %v; rules (-want +got):\n%s", changed, tt.changed, diff)
			}
		})
	}
}

// TestAggregateKeepsRulesApart: joined without quoting, these two rules would count as one.
func TestAggregateKeepsRulesApart(t *testing.T) {
	one, two := rule("get", "", "pods", "a b"), rule("get", "", "pods", "a", "b")
	three, four := rule("get", "", "x", `a" "b`), rule("get", "", "x", "a", "b")
	all := []*rbacv1.ClusterRole{labelled(clusterRole("s", one, two, three, four), "x"), aggregating(clusterRole("t"), "x")}
	if rules, _ := rbac.Aggregate(all[1], all); len(rules) != 4 {
		t.Errorf("%d of 4 different rules survived: %v", len(rules), rules)
	}
}

func TestAggregateAll(t *testing.T) {
	pods := rule("get", "", "pods")
	chain := []*rbacv1.ClusterRole{
		aggregating(clusterRole("a"), "to-a"), labelled(aggregating(clusterRole("b"), "to-b"), "to-a"),
		labelled(aggregating(clusterRole("c"), "to-c"), "to-b"), labelled(clusterRole("d", pods), "to-c"),
	}
	changed := rbac.AggregateAll(chain)
	if len(changed) != 3 || changed[0].Name != "a" || len(changed[0].Rules) != 1 {
		t.Errorf("a chain of three did not arrive at its end: %v", changed)
	}
	if len(chain[0].Rules) != 0 {
		t.Error("the roles given were modified")
	}
	if again := rbac.AggregateAll(append(changed, chain[3])); len(again) != 0 {
		t.Errorf("a second run changed %v", again)
	}

	circle := []*rbacv1.ClusterRole{
		labelled(aggregating(clusterRole("a"), "to-a"), "to-b"), labelled(aggregating(clusterRole("b"), "to-b"), "to-a"),
		labelled(clusterRole("c", pods), "to-a"),
	}
	for _, r := range rbac.AggregateAll(circle) {
		if len(r.Rules) != 1 {
			t.Errorf("in a circle %s has %v", r.Name, r.Rules)
		}
	}
}
