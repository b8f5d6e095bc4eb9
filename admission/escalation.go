package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Rules knows what users hold and what roles grant.
type Rules interface {
	// Covers returns those of the rules that the user does not hold in the namespace, or cluster-wide where it is empty.
	Covers(user api.User, namespace string, rules []rbacv1.PolicyRule) (missing []rbacv1.PolicyRule)
	// RoleRules returns what the role grants; the namespace is that of the binding. The error of a role that does not exist is
	// for the client.
	RoleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error)
}

// Escalation keeps users from granting what they do not hold: by writing a role, unless they may escalate it, and by binding
// one, unless they may bind it. It is a Validator. Members of system:masters and the server's own loops are not
// asked. What else may change in a roleRef is for validation.
type Escalation struct {
	// Rules and Authorizer are required.
	Rules      Rules
	Authorizer authz.Authorizer
}

// Validate checks creates and updates of roles, cluster roles and their bindings.
func (e Escalation) Validate(ctx context.Context, a *Attributes) error {
	user := a.Permit.User()
	if a.Resource.Group != rbacv1.GroupName || a.Subresource != "" || (a.Operation != Create && a.Operation != Update) {
		return nil
	}
	if a.Permit.IsSystem() || user.InGroup(api.GroupMasters) || onlyCollection(a.Object, a.OldObject) {
		return nil
	}
	switch o := a.Object.(type) {
	case *rbacv1.Role:
		return e.role(ctx, a, o.Rules, nil)
	case *rbacv1.ClusterRole:
		return e.role(ctx, a, o.Rules, o)
	case *rbacv1.RoleBinding:
		return e.binding(ctx, a, o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return e.binding(ctx, a, o.RoleRef)
	}
	return api.Internal(fmt.Errorf("admission: escalation check of a %T", a.Object))
}

// role checks the rules of a role. For a cluster role, whose aggregation rule may gather anything, it also checks that.
func (e Escalation) role(ctx context.Context, a *Attributes, rules []rbacv1.PolicyRule, cluster *rbacv1.ClusterRole) error {
	info := a.Permit.Info()
	if e.may(ctx, a, "escalate", a.Resource.Resource, info.Name) {
		return nil
	}
	if err := e.holds(a, rules); err != nil {
		return err
	}
	old, _ := a.OldObject.(*rbacv1.ClusterRole)
	if !aggregates(cluster) && !aggregates(old) {
		return nil
	}
	everything := []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
	}
	if len(e.Rules.Covers(a.Permit.User(), a.Namespace, everything)) > 0 {
		return a.Forbidden(errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func (e Escalation) binding(ctx context.Context, a *Attributes, ref rbacv1.RoleRef) error {
	resource := map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}[ref.Kind]
	if resource != "" && ref.APIGroup == rbacv1.GroupName && e.may(ctx, a, "bind", resource, ref.Name) {
		return nil
	}
	rules, err := e.Rules.RoleRules(ref, a.Namespace)
	if err != nil {
		return api.ToError(err)
	}
	return e.holds(a, rules)
}

// may asks the authorizer for the special verbs. An error is a no; the user must then hold the rules.
func (e Escalation) may(ctx context.Context, a *Attributes, verb, resource, name string) bool {
	decision, _, err := e.Authorizer.Authorize(ctx, a.Permit.User(), api.RequestInfo{
		IsResource: true, Verb: verb, Group: rbacv1.GroupName, Version: "*", Resource: resource, Namespace: a.Namespace, Name: name,
	})
	return err == nil && decision == authz.Allow
}

// holds refuses unless the user holds all rules in the object's namespace.
func (e Escalation) holds(a *Attributes, rules []rbacv1.PolicyRule) error {
	user := a.Permit.User()
	missing := e.Rules.Covers(user, a.Namespace, rules)
	if len(missing) == 0 {
		return nil
	}
	return a.Forbidden(fmt.Errorf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		user.Name, user.Groups, describeRules(missing)))
}

func aggregates(r *rbacv1.ClusterRole) bool {
	return r != nil && r.AggregationRule != nil && len(r.AggregationRule.ClusterRoleSelectors) > 0
}

// onlyCollection reports whether an update changes nothing but what garbage collection needs to change: the controllers that do it
// hold none of the rules.
func onlyCollection(object, old runtime.Object) bool {
	if object == nil || old == nil {
		return false
	}
	copied := object.DeepCopyObject()
	now, err := meta.Accessor(copied)
	if err != nil {
		return false
	}
	before, err := meta.Accessor(old)
	if err != nil {
		return false
	}
	now.SetOwnerReferences(before.GetOwnerReferences())
	now.SetFinalizers(before.GetFinalizers())
	now.SetManagedFields(before.GetManagedFields())
	return apiequality.Semantic.DeepEqual(copied, old)
}

// describeRules writes rules one to a line, sorted, with the verbs of rules for the same single resource joined.
func describeRules(rules []rbacv1.PolicyRule) string {
	type single struct{ group, resource, name string }
	verbs := map[single]int{} // where in joined the rule for the resource is
	var joined []rbacv1.PolicyRule
	for _, r := range rules {
		if len(r.APIGroups) == 1 && len(r.Resources) == 1 && len(r.ResourceNames) <= 1 && len(r.NonResourceURLs) == 0 && len(r.Verbs) > 0 {
			s := single{r.APIGroups[0], r.Resources[0], strings.Join(r.ResourceNames, "")}
			if i, ok := verbs[s]; ok {
				joined[i].Verbs = slices.Concat(joined[i].Verbs, r.Verbs)
				continue
			}
			verbs[s] = len(joined)
		}
		joined = append(joined, r)
	}
	lines := make([]string, len(joined))
	for i, r := range joined {
		lines[i] = describeRule(r)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

func describeRule(r rbacv1.PolicyRule) string {
	var parts []string
	for _, p := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", r.APIGroups},
		{"Resources", r.Resources},
		{"NonResourceURLs", r.NonResourceURLs},
		{"ResourceNames", r.ResourceNames},
		{"Verbs", r.Verbs},
	} {
		if len(p.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", p.name, p.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
