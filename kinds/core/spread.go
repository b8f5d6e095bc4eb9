package core

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const notPositive = "must be greater than zero"

func spreadConstraint() *rules.Set {
	nodes := rules.Enum(corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	return rules.Of[corev1.TopologySpreadConstraint](
		rules.At("minDomains", rules.Check(checkMinDomains)),
		rules.At("nodeAffinityPolicy", nodes),
		rules.At("nodeTaintsPolicy", nodes),
		rules.At("", rules.Check(checkSpreadSelector)),
	)
}

var spread = sync.OnceValue(spreadConstraint)

// checkSpread asks for one constraint per kind of them, which is what it spreads over and what happens if it cannot.
func checkSpread(c *rules.Checker, v, _ *[]corev1.TopologySpreadConstraint) {
	type kind struct {
		key    string
		action corev1.UnsatisfiableConstraintAction
	}
	left := make(map[kind]int, len(*v))
	for i := range *v {
		left[kind{(*v)[i].TopologyKey, (*v)[i].WhenUnsatisfiable}]++
	}
	for i := range *v {
		s := &(*v)[i]
		if s.MaxSkew <= 0 {
			c.Add(field.Invalid(c.Path().Index(i).Child("maxSkew"), s.MaxSkew, notPositive))
		}
		if s.TopologyKey == "" {
			c.Add(field.Required(c.Path().Index(i).Child("topologyKey"), "can not be empty"))
		}
		if s.WhenUnsatisfiable != corev1.DoNotSchedule && s.WhenUnsatisfiable != corev1.ScheduleAnyway {
			c.Add(field.NotSupported(c.Path().Index(i).Child("whenUnsatisfiable"), s.WhenUnsatisfiable,
				[]corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
		}
		k := kind{s.TopologyKey, s.WhenUnsatisfiable}
		if left[k]--; left[k] > 0 {
			c.Add(field.Duplicate(c.Path().Index(i).Child("{topologyKey, whenUnsatisfiable}"),
				fmt.Sprintf("{%v, %v}", s.TopologyKey, s.WhenUnsatisfiable)))
		}
		rules.InIndex(c, spread(), s, nil, i)
	}
}

func checkMinDomains(c *rules.Checker, v, _ *int32) {
	if *v <= 0 {
		c.Add(field.Invalid(c.Path(), *v, notPositive))
	}
	if s, _ := rules.Within[corev1.TopologySpreadConstraint](c); s.WhenUnsatisfiable != corev1.DoNotSchedule {
		c.Add(field.Invalid(c.Path(), *v,
			fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, s.WhenUnsatisfiable)))
	}
}

func checkSpreadSelector(c *rules.Checker, v, _ *corev1.TopologySpreadConstraint) {
	f := factsOf(c)
	if f.exempt(badSpreadKeys, hasBadSpreadKeys) {
		checkOldLabelKeys(c, v)
	} else {
		checkLabelKeys(c, v.MatchLabelKeys, nil, v.LabelSelector)
	}
	if len(selectorErrors(v.LabelSelector, nil)) > 0 && !f.exempt(badSpreadSelector, hasBadSpreadSelector) {
		c.Add(selectorErrors(v.LabelSelector, c.At("labelSelector"))...)
	}
}

func hasBadSpreadSelector(spec *corev1.PodSpec) bool {
	for i := range spec.TopologySpreadConstraints {
		if len(selectorErrors(spec.TopologySpreadConstraints[i].LabelSelector, nil)) > 0 {
			return true
		}
	}
	return false
}

func hasBadSpreadKeys(spec *corev1.PodSpec) bool {
	for i := range spec.TopologySpreadConstraints {
		s := &spec.TopologySpreadConstraints[i]
		if len(labelKeyErrors(nil, s.MatchLabelKeys, nil, s.LabelSelector)) > 0 {
			return true
		}
	}
	return false
}

// checkLabelKeys are the rules of keys of which a selector takes the values from the pod itself. When it is asked the server has put them into
// the selector already, so that a key is there twice if the client wrote it there as well.
func checkLabelKeys(c *rules.Checker, match, mismatch []string, selector *metav1.LabelSelector) {
	if len(match) == 0 && len(mismatch) == 0 {
		return
	}
	if len(labelKeyErrors(nil, match, mismatch, selector)) > 0 {
		c.Add(labelKeyErrors(c.Path(), match, mismatch, selector)...)
	}
}

func labelKeyErrors(p *field.Path, match, mismatch []string, selector *metav1.LabelSelector) (errs field.ErrorList) {
	if p == nil {
		p = &field.Path{}
	}
	errs = append(labelNameErrors(p.Child("matchLabelKeys"), match, selector), labelNameErrors(p.Child("mismatchLabelKeys"), mismatch, selector)...)
	place := make(map[string]int, len(match))
	for i, key := range match {
		place[key] = i
	}
	if selector != nil {
		seen := map[string]bool{}
		for key := range selector.MatchLabels {
			seen[key] = true
		}
		for _, e := range selector.MatchExpressions {
			if i, ok := place[e.Key]; ok && seen[e.Key] {
				errs = append(errs, field.Invalid(p.Index(i), e.Key, "exists in both matchLabelKeys and labelSelector"))
			}
			seen[e.Key] = true
		}
	}
	other := make(map[string]bool, len(mismatch))
	for _, key := range mismatch {
		other[key] = true
	}
	for i, key := range match {
		if other[key] {
			errs = append(errs, field.Invalid(p.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	return errs
}

func labelNameErrors(p *field.Path, keys []string, selector *metav1.LabelSelector) (errs field.ErrorList) {
	if len(keys) > 0 && selector == nil {
		return field.ErrorList{field.Forbidden(p, "must not be specified when labelSelector is not set")}
	}
	for i, key := range keys {
		for _, m := range utilvalidation.IsQualifiedName(key) {
			errs = append(errs, field.Invalid(p.Index(i), key, m))
		}
	}
	return errs
}

// checkOldLabelKeys are the rules from before the server put keys into the selector, for pods that were stored under them.
func checkOldLabelKeys(c *rules.Checker, v *corev1.TopologySpreadConstraint) {
	if len(v.MatchLabelKeys) == 0 {
		return
	}
	c.Add(labelNameErrors(c.At("matchLabelKeys"), v.MatchLabelKeys, v.LabelSelector)...)
	if v.LabelSelector == nil {
		return
	}
	used := map[string]bool{}
	for key := range v.LabelSelector.MatchLabels {
		used[key] = true
	}
	for _, e := range v.LabelSelector.MatchExpressions {
		used[e.Key] = true
	}
	for i, key := range v.MatchLabelKeys {
		if used[key] {
			c.Add(field.Invalid(c.At("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and labelSelector"))
		}
	}
}
