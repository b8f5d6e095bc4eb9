package cluster

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// Role are the rules of rbac.authorization.k8s.io/v1 Role.
func Role() *rules.Kind {
	return rules.For(rules.Spec[rbacv1.Role]{
		Fields: []rules.Entry{rules.At("rules", rules.Each(policyRule(true)))},
		Create: func(o *rbacv1.Role) { rules.NullIfEmpty(&o.Rules) },
		Update: func(o, _ *rbacv1.Role) { rules.NullIfEmpty(&o.Rules) },
	})
}

// ClusterRole are the rules of rbac.authorization.k8s.io/v1 ClusterRole.
func ClusterRole() *rules.Kind {
	return rules.For(rules.Spec[rbacv1.ClusterRole]{
		Fields: []rules.Entry{
			rules.At("rules", rules.Each(policyRule(false))),
			rules.At("aggregationRule.clusterRoleSelectors",
				rules.Required("at least one clusterRoleSelector required if aggregationRule is non-nil"),
				rules.Each(core.LabelSelector(), rules.Check(checkSelects))),
		},
		Create: func(o *rbacv1.ClusterRole) { rules.NullIfEmpty(&o.Rules) },
		Update: func(o, _ *rbacv1.ClusterRole) { rules.NullIfEmpty(&o.Rules) },
	})
}

// checkSelects tells of a selector that cannot be used, after what is wrong with its parts. The reference shows no value.
func checkSelects(c *rules.Checker, v, _ *metav1.LabelSelector) {
	if _, err := metav1.LabelSelectorAsSelector(v); err != nil {
		c.Add(field.Invalid(c.Path(), nil, "invalid label selector."))
	}
}

// policyRule are the rules of what a role allows: verbs on resources, or on paths where the role is not bound to a namespace.
func policyRule(namespaced bool) *rules.Set {
	return rules.Of[rbacv1.PolicyRule](
		rules.At("verbs", rules.Required("verbs must contain at least one value")),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *rbacv1.PolicyRule) {
			if len(v.NonResourceURLs) == 0 {
				checkResources(c, v)
				return
			}
			if namespaced {
				c.Add(field.Invalid(c.At("nonResourceURLs"), v.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
			}
			if len(v.APIGroups) > 0 || len(v.Resources) > 0 || len(v.ResourceNames) > 0 {
				c.Add(field.Invalid(c.At("nonResourceURLs"), v.NonResourceURLs,
					"rules cannot apply to both regular resources and non-resource URLs"))
			}
		})),
	)
}

func checkResources(c *rules.Checker, v *rbacv1.PolicyRule) {
	if len(v.APIGroups) == 0 {
		c.Add(field.Required(c.At("apiGroups"), "resource rules must supply at least one api group"))
	}
	if len(v.Resources) == 0 {
		c.Add(field.Required(c.At("resources"), "resource rules must supply at least one resource"))
	}
}

// RoleBinding are the rules of rbac.authorization.k8s.io/v1 RoleBinding.
func RoleBinding() *rules.Kind {
	return rules.For(rules.Spec[rbacv1.RoleBinding]{Fields: bindingEntries(true, "Role", "ClusterRole")})
}

// ClusterRoleBinding are the rules of rbac.authorization.k8s.io/v1 ClusterRoleBinding.
func ClusterRoleBinding() *rules.Kind {
	return rules.For(rules.Spec[rbacv1.ClusterRoleBinding]{Fields: bindingEntries(false, "ClusterRole")})
}

// bindingEntries are the rules of both kinds of binding. What a binding refers to never changes: whoever may add subjects to a binding must
// not be able to exchange the role under them.
func bindingEntries(namespaced bool, roleKinds ...string) []rules.Entry {
	return []rules.Entry{
		rules.At("roleRef.apiGroup", rules.Default(rbacv1.GroupName), rules.Enum(rbacv1.GroupName)),
		rules.At("roleRef.kind", rules.Enum(roleKinds...)),
		rules.At("roleRef.name", rules.Required(), rules.Format(content.IsPathSegmentName)),
		rules.At("subjects", rules.Each(subject(namespaced))),
		rules.At("roleRef", rules.Check(func(c *rules.Checker, v, old *rbacv1.RoleRef) {
			if old != nil && *v != *old {
				c.Add(field.Invalid(c.Path(), rules.Shown(*v), "cannot change roleRef"))
			}
		})),
	}
}

func subject(namespaced bool) *rules.Set {
	return rules.Of[rbacv1.Subject](
		rules.At("", rules.Fill(func(v *rbacv1.Subject) {
			if v.APIGroup == "" && (v.Kind == rbacv1.UserKind || v.Kind == rbacv1.GroupKind) {
				v.APIGroup = rbacv1.GroupName
			}
		})),
		rules.At("name", rules.Required()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *rbacv1.Subject) {
			switch v.Kind {
			case rbacv1.ServiceAccountKind:
				checkServiceAccount(c, v, namespaced)
			case rbacv1.UserKind, rbacv1.GroupKind:
				checkGroup(c, v, rbacv1.GroupName)
			default:
				c.Add(field.NotSupported(c.At("kind"), v.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
			}
		})),
	)
}

func checkServiceAccount(c *rules.Checker, v *rbacv1.Subject, namespaced bool) {
	if v.Name != "" {
		for _, msg := range validation.ValidateServiceAccountName(v.Name, false) {
			c.Add(field.Invalid(c.At("name"), v.Name, msg))
		}
	}
	checkGroup(c, v, "")
	if !namespaced && v.Namespace == "" {
		c.Add(field.Required(c.At("namespace"), ""))
	}
}

func checkGroup(c *rules.Checker, v *rbacv1.Subject, want string) {
	if v.APIGroup != want {
		c.Add(field.NotSupported(c.At("apiGroup"), v.APIGroup, []string{want}))
	}
}
