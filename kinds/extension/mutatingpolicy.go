package extension

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// MutatingAdmissionPolicy are the rules of admissionregistration.k8s.io/v1 MutatingAdmissionPolicy, but for what its expressions are.
func MutatingAdmissionPolicy() *rules.Kind {
	return rules.For(rules.Spec[admissionv1.MutatingAdmissionPolicy]{Fields: slices.Concat(policyHead(), []rules.Entry{
		rules.At("spec.matchConstraints", checkMutates()),
		rules.At("spec.matchConditions", matchConditions()...),
		rules.At("spec.variables", variables()),
		rules.At("spec.mutations", rules.Required("mutations must contain at least one item"), rules.Each(mutation())),
		rules.At("spec.reinvocationPolicy", rules.Required(), reinvocationPolicies()),
		warnReservedName(),
	})})
}

// mutation are the rules of one mutation: it has the form of patch that its type names, and no other.
func mutation() *rules.Set {
	return rules.Of[admissionv1.Mutation](
		rules.At("patchType", rules.Required(), rules.Enum(admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch)),
		rules.At("", rules.Check(checkPatchForm)),
	)
}

func checkPatchForm(c *rules.Checker, v, _ *admissionv1.Mutation) {
	switch v.PatchType {
	case admissionv1.PatchTypeJSONPatch:
		switch {
		case v.JSONPatch == nil:
			c.Add(field.Required(c.At("jsonPatch"), "must be specified when patchType is JSONPatch"))
		case isBlank(v.JSONPatch.Expression):
			c.Add(field.Required(c.At("jsonPatch", "expression"), ""))
		}
		if v.ApplyConfiguration != nil {
			c.Add(field.Invalid(c.At("applyConfiguration"), "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	case admissionv1.PatchTypeApplyConfiguration:
		switch {
		case v.ApplyConfiguration == nil:
			c.Add(field.Required(c.At("applyConfiguration"), "must be specified when patchType is ApplyConfiguration"))
		case isBlank(v.ApplyConfiguration.Expression):
			c.Add(field.Required(c.At("applyConfiguration", "expression"), ""))
		}
		if v.JSONPatch != nil {
			c.Add(field.Invalid(c.At("jsonPatch"), "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
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
