package core

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/gatehouse/gatehouse/rules"
)

// LabelSelector are the rules of a label selector, the empty one being allowed. A list of values is checked for being values of labels
// unless an update leaves the selector as it was, since selectors were stored before values were checked.
func LabelSelector() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, old *metav1.LabelSelector) {
		if len(v.MatchLabels) == 0 && len(v.MatchExpressions) == 0 {
			return
		}
		options := metav1validation.LabelSelectorValidationOptions{
			AllowInvalidLabelValueInSelector: old != nil && hasInvalidValue(old),
		}
		if len(metav1validation.ValidateLabelSelector(v, options, nil)) > 0 {
			c.Add(metav1validation.ValidateLabelSelector(v, options, c.Path())...)
		}
	})
}

func hasInvalidValue(s *metav1.LabelSelector) bool {
	strict := metav1validation.LabelSelectorValidationOptions{}
	lenient := metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: true}
	return len(metav1validation.ValidateLabelSelector(s, strict, nil)) > len(metav1validation.ValidateLabelSelector(s, lenient, nil))
}
