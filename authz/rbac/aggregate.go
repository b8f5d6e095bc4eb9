package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Aggregate returns the rules that target should have by its aggregationRule: those of every role of all that
// one of its selectors matches (target itself left out), selector by selector, roles in order of name, each
// rule once. changed reports whether they differ from the rules target has. A target without an
// aggregationRule, or with a selector that is not valid, keeps its rules. The rules share memory with all.
func Aggregate(target *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) (rules []rbacv1.PolicyRule, changed bool) {
	if target.AggregationRule == nil {
		return target.Rules, false
	}
	byName := slices.SortedFunc(slices.Values(all), compareNames)
	seen := make(map[string]bool)
	for i := range target.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&target.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return target.Rules, false
		}
		for _, source := range byName {
			if source.Name == target.Name || !selector.Matches(labels.Set(source.Labels)) {
				continue
			}
			for _, r := range source.Rules {
				if key := ruleKey(&r); !seen[key] {
					seen[key] = true
					rules = append(rules, r)
				}
			}
		}
	}
	same := slices.EqualFunc(rules, target.Rules, func(a, b rbacv1.PolicyRule) bool { return ruleKey(&a) == ruleKey(&b) })
	return rules, !same
}

// AggregateAll applies [Aggregate] to every role of all until nothing changes, as roles may aggregate
// aggregated roles, and returns copies of the roles whose rules changed, in order of name. The roles given are
// not modified.
//
// Roles that aggregate each other in a circle settle on the union of their rules; it takes at most one round
// more than there are aggregating roles, and no more are made.
func AggregateAll(all []*rbacv1.ClusterRole) (changed []*rbacv1.ClusterRole) {
	current := slices.Clone(all)
	slices.SortFunc(current, compareNames)
	updates := make(map[string]*rbacv1.ClusterRole)
	rounds := 1
	for _, r := range current {
		if r.AggregationRule != nil {
			rounds++
		}
	}
	for again := true; again && rounds > 0; rounds-- {
		again = false
		for i, r := range current {
			rules, differs := Aggregate(r, current)
			if !differs {
				continue
			}
			again = true
			update := *r
			update.Rules = rules
			current[i], updates[r.Name] = &update, &update
		}
	}
	for _, update := range updates {
		changed = append(changed, update.DeepCopy())
	}
	slices.SortFunc(changed, compareNames)
	return changed
}

func compareNames(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) }

// ruleKey is equal for equal rules only: quoting keeps the list elements and the lists apart.
func ruleKey(r *rbacv1.PolicyRule) string {
	return fmt.Sprintf("%q %q %q %q %q", r.Verbs, r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs)
}
