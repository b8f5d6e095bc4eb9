package network

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// IngressClass are the rules of networking.k8s.io/v1 IngressClass.
func IngressClass() *rules.Kind {
	return rules.For(rules.Spec[networkingv1.IngressClass]{Fields: []rules.Entry{
		rules.At("spec.controller", rules.Immutable()),
		rules.At("spec.controller", rules.MaxBytes(250), rules.FormatAt(utilvalidation.IsDomainPrefixedPath)),
		rules.At("spec.parameters.apiGroup", rules.Format(utilvalidation.IsDNS1123Subdomain)),
		rules.At("spec.parameters.kind", rules.Required(), rules.Format(content.IsPathSegmentName)),
		rules.At("spec.parameters.name", rules.Required(), rules.Format(content.IsPathSegmentName)),
		rules.At("spec.parameters.scope", rules.Default("Cluster"), rules.Required(), rules.Enum("Cluster", "Namespace")),
		rules.At("spec.parameters", rules.Check(checkParametersNamespace)),
	}})
}

// checkParametersNamespace ties the namespace of the parameters to their scope.
func checkParametersNamespace(c *rules.Checker, v, _ *networkingv1.IngressClassParametersReference) {
	if v.Scope == nil {
		return
	}
	switch *v.Scope {
	case networkingv1.IngressClassParametersReferenceScopeNamespace:
		if v.Namespace == nil {
			c.Add(field.Required(c.At("namespace"), "`parameters.scope` is set to 'Namespace'"))
			return
		}
		for _, msg := range validation.ValidateNamespaceName(*v.Namespace, false) {
			c.Add(field.Invalid(c.At("namespace"), *v.Namespace, msg))
		}
	case networkingv1.IngressClassParametersReferenceScopeCluster:
		if v.Namespace != nil {
			c.Add(field.Forbidden(c.At("namespace"), "`parameters.scope` is set to 'Cluster'"))
		}
	}
}
