package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// CheckNodeSelector are the rules of a selector of nodes at the path of c. lenient allows values that are no values of labels, which
// selectors may have been stored with.
func CheckNodeSelector(c *rules.Checker, v *corev1.NodeSelector, lenient bool) {
	if len(v.NodeSelectorTerms) == 0 {
		c.Add(field.Required(c.At("nodeSelectorTerms"), "must have at least one node selector term"))
		return
	}
	for i := range v.NodeSelectorTerms {
		checkNodeTerm(c, &v.NodeSelectorTerms[i], lenient, func() *field.Path { return c.At("nodeSelectorTerms").Index(i) })
	}
}

func checkNodeTerm(c *rules.Checker, v *corev1.NodeSelectorTerm, lenient bool, at func() *field.Path) {
	for j := range v.MatchExpressions {
		checkNodeExpression(c, &v.MatchExpressions[j], lenient, func() *field.Path { return at().Child("matchExpressions").Index(j) })
	}
	for j := range v.MatchFields {
		checkNodeField(c, &v.MatchFields[j], func() *field.Path { return at().Child("matchFields").Index(j) })
	}
}

func checkNodeExpression(c *rules.Checker, v *corev1.NodeSelectorRequirement, lenient bool, at func() *field.Path) {
	switch v.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(v.Values) == 0 {
			c.Add(field.Required(at().Child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(v.Values) > 0 {
			c.Add(field.Forbidden(at().Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(v.Values) != 1 {
			c.Add(field.Required(at().Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'"))
		}
	default:
		c.Add(field.Invalid(at().Child("operator"), v.Operator, "not a valid selector operator"))
	}
	for _, m := range utilvalidation.IsQualifiedName(v.Key) {
		c.Add(field.Invalid(at().Child("key"), v.Key, m))
	}
	for i, value := range v.Values {
		if lenient {
			break
		}
		for _, m := range utilvalidation.IsValidLabelValue(value) {
			c.Add(field.Invalid(at().Child("values").Index(i), value, m))
		}
	}
}

func checkNodeField(c *rules.Checker, v *corev1.NodeSelectorRequirement, at func() *field.Path) {
	switch v.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(v.Values) != 1 {
			c.Add(field.Required(at().Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		c.Add(field.Invalid(at().Child("operator"), v.Operator, "not a valid selector operator"))
	}
	if v.Key != metav1.ObjectNameField {
		c.Add(field.Invalid(at().Child("key"), v.Key, "not a valid field selector key"))
		return
	}
	for i, value := range v.Values {
		for _, m := range validation.NameIsDNSSubdomain(value, false) {
			c.Add(field.Invalid(at().Child("values").Index(i), value, m))
		}
	}
}
