package extension

import (
	"slices"
	"strings"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/internal/cel"
	"github.com/gatehouse/gatehouse/rules"
)

// MutatingAdmissionPolicy are the rules of admissionregistration.k8s.io/v1 MutatingAdmissionPolicy.
func MutatingAdmissionPolicy() *rules.Kind {
	return rules.For(rules.Spec[admissionv1.MutatingAdmissionPolicy]{Fields: slices.Concat(policyHead(), []rules.Entry{
		rules.At("spec.matchConstraints", checkMutates()),
		rules.At("", rules.Check(newMutationRules().check)),
		rules.At("spec.reinvocationPolicy", rules.Required(), reinvocationPolicies()),
		warnReservedName(),
	})})
}

// mutationRules are the rules of the expressions of a policy that mutates, and of what belongs to each.
type mutationRules struct {
	scopes               *cel.Admission
	variable, list, kind *rules.Set
}

func newMutationRules() *mutationRules {
	return &mutationRules{
		scopes: cel.NewAdmission(), variable: variables(),
		list: rules.Of[admissionv1.MutatingAdmissionPolicySpec](rules.At("mutations", rules.Required("mutations must contain at least one item"))),
		kind: rules.Of[admissionv1.Mutation](
			rules.At("patchType", rules.Required(), rules.Enum(admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch))),
	}
}

func (r *mutationRules) check(c *rules.Checker, v, _ *admissionv1.MutatingAdmissionPolicy) {
	k := &compiler{scopes: r.scopes, params: v.Spec.ParamKind != nil}
	old, updating := c.Before().(*admissionv1.MutatingAdmissionPolicy)
	if updating {
		k.stored = patchesOf(&old.Spec)
	}
	if !updating || !sameConditions(v.Spec.ParamKind, old.Spec.ParamKind, v.Spec.MatchConditions, old.Spec.MatchConditions) {
		k.conditions(c, c.At("spec", "matchConditions"), v.Spec.MatchConditions)
	}
	k.variables = cel.NewVariables(len(v.Spec.Variables))
	k.named(c, r.variable, v.Spec.Variables)
	rules.In(c, r.list, &v.Spec, nil, "spec")
	for i := range v.Spec.Mutations {
		rules.InIndex(c, r.kind, &v.Spec.Mutations[i], nil, i, "spec", "mutations")
		checkPatchForm(c, k, c.At("spec", "mutations").Index(i), &v.Spec.Mutations[i])
	}
}

// patchesOf are the expressions of a stored policy.
func patchesOf(s *admissionv1.MutatingAdmissionPolicySpec) map[string]bool {
	m := map[string]bool{}
	for _, x := range s.MatchConditions {
		m[x.Expression] = true
	}
	for _, x := range s.Variables {
		m[x.Expression] = true
	}
	for _, x := range s.Mutations {
		if x.ApplyConfiguration != nil {
			m[x.ApplyConfiguration.Expression] = true
		}
		if x.JSONPatch != nil {
			m[x.JSONPatch.Expression] = true
		}
	}
	return m
}

// checkPatchForm asks for the form of patch that the mutation's type names, and for no other.
func checkPatchForm(c *rules.Checker, k *compiler, at *field.Path, v *admissionv1.Mutation) {
	patch := func(name, source string, want *celgo.Type) {
		expression := strings.TrimSpace(source)
		if expression == "" {
			c.Add(field.Required(at.Child(name, "expression"), ""))
			return
		}
		scope := k.scope(cel.Has{Params: k.params, Authorizer: true, Patches: true})
		_, _ = k.check(c, at.Child(name, "expression"), scope, expression, expression, want)
	}
	switch v.PatchType {
	case admissionv1.PatchTypeJSONPatch:
		if v.JSONPatch == nil {
			c.Add(field.Required(at.Child("jsonPatch"), "must be specified when patchType is JSONPatch"))
		} else {
			patch("jsonPatch", v.JSONPatch.Expression, cel.JSONPatchType())
		}
		if v.ApplyConfiguration != nil {
			c.Add(field.Invalid(at.Child("applyConfiguration"), "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	case admissionv1.PatchTypeApplyConfiguration:
		if v.ApplyConfiguration == nil {
			c.Add(field.Required(at.Child("applyConfiguration"), "must be specified when patchType is ApplyConfiguration"))
		} else {
			patch("applyConfiguration", v.ApplyConfiguration.Expression, cel.ApplyConfigurationType())
		}
		if v.JSONPatch != nil {
			c.Add(field.Invalid(at.Child("jsonPatch"), "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
	}
}

// MutatingAdmissionPolicyBinding are the rules of admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding.
func MutatingAdmissionPolicyBinding() *rules.Kind {
	return rules.For(rules.Spec[admissionv1.MutatingAdmissionPolicyBinding]{Fields: append(binding(),
		rules.At("spec.matchResources", checkMutates()),
		warnReservedName(),
	)})
}
