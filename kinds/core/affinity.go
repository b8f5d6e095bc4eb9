package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func affinity() *rules.Set {
	terms := rules.Each(affinityTerm())
	weighted := rules.Each(rules.Of[corev1.WeightedPodAffinityTerm](
		rules.At("weight", rules.Check(checkWeight)),
		rules.At("podAffinityTerm", affinityTerm()),
	))
	return rules.Of[corev1.Affinity](
		rules.At("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", rules.Check(checkRequiredNodes)),
		rules.At("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", rules.Check(checkPreferredNodes)),
		rules.At("podAffinity.requiredDuringSchedulingIgnoredDuringExecution", terms),
		rules.At("podAffinity.preferredDuringSchedulingIgnoredDuringExecution", weighted),
		rules.At("podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution", terms),
		rules.At("podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution", weighted),
	)
}

func checkWeight(c *rules.Checker, v, _ *int32) {
	if *v <= 0 || *v > 100 {
		c.Add(field.Invalid(c.Path(), *v, "must be in the range 1-100"))
	}
}

func checkRequiredNodes(c *rules.Checker, v, _ *corev1.NodeSelector) {
	CheckNodeSelector(c, v, factsOf(c).exempt(badNodeAffinityValue, hasBadNodeAffinityValue))
}

func hasBadNodeAffinityValue(spec *corev1.PodSpec) bool {
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil || spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	return HasBadValue(spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
}

// HasBadValue reports whether a selector of nodes has a value that no label can have, so that [CheckNodeSelector] has to be lenient
// with what replaces it.
func HasBadValue(s *corev1.NodeSelector) bool {
	for _, t := range s.NodeSelectorTerms {
		for _, e := range t.MatchExpressions {
			for _, value := range e.Values {
				if len(utilvalidation.IsValidLabelValue(value)) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// checkPreferredNodes lets values be anything: a preference that no node meets does no harm.
func checkPreferredNodes(c *rules.Checker, v, _ *[]corev1.PreferredSchedulingTerm) {
	for i := range *v {
		if w := (*v)[i].Weight; w <= 0 || w > 100 {
			c.Add(field.Invalid(c.Path().Index(i).Child("weight"), w, "must be in the range 1-100"))
		}
		checkNodeTerm(c, &(*v)[i].Preference, true, func() *field.Path { return c.Path().Index(i).Child("preference") })
	}
}

func affinityTerm() *rules.Set {
	return rules.Of[corev1.PodAffinityTerm](
		rules.At("labelSelector", rules.Check(checkTermSelector)),
		rules.At("namespaceSelector", rules.Check(checkTermSelector)),
		rules.At("", rules.Check(checkTermNamespaces)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.PodAffinityTerm) {
			checkLabelKeys(c, v.MatchLabelKeys, v.MismatchLabelKeys, v.LabelSelector)
		})),
		rules.At("topologyKey", rules.Check(func(c *rules.Checker, v, _ *string) {
			if *v == "" {
				c.Add(field.Required(c.Path(), "can not be empty"))
			}
		}), rules.Format(utilvalidation.IsQualifiedName)),
	)
}

func checkTermSelector(c *rules.Checker, v, _ *metav1.LabelSelector) {
	if len(selectorErrors(v, nil)) == 0 {
		return
	}
	lenient := factsOf(c).exempt(badAffinitySelector, hasBadAffinitySelector)
	options := metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lenient}
	c.Add(metav1validation.ValidateLabelSelector(v, options, c.Path())...)
}

func selectorErrors(s *metav1.LabelSelector, p *field.Path) field.ErrorList {
	if s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return nil
	}
	return metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, p)
}

func hasBadAffinitySelector(spec *corev1.PodSpec) bool {
	bad := false
	eachTerm(spec, func(t *corev1.PodAffinityTerm) {
		bad = bad || len(selectorErrors(t.LabelSelector, nil)) > 0 || len(selectorErrors(t.NamespaceSelector, nil)) > 0
	})
	return bad
}

// eachTerm calls f with every term of a pod about other pods.
func eachTerm(spec *corev1.PodSpec, f func(*corev1.PodAffinityTerm)) {
	if spec.Affinity == nil {
		return
	}
	all := func(preferred []corev1.WeightedPodAffinityTerm, required []corev1.PodAffinityTerm) {
		for i := range preferred {
			f(&preferred[i].PodAffinityTerm)
		}
		for i := range required {
			f(&required[i])
		}
	}
	if a := spec.Affinity.PodAffinity; a != nil {
		all(a.PreferredDuringSchedulingIgnoredDuringExecution, a.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	if a := spec.Affinity.PodAntiAffinity; a != nil {
		all(a.PreferredDuringSchedulingIgnoredDuringExecution, a.RequiredDuringSchedulingIgnoredDuringExecution)
	}
}

func checkTermNamespaces(c *rules.Checker, v, _ *corev1.PodAffinityTerm) {
	for _, name := range v.Namespaces {
		for _, m := range validation.ValidateNamespaceName(name, false) {
			c.Add(field.Invalid(c.At("namespace"), name, m))
		}
	}
}
