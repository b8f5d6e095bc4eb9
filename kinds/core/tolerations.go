package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Tolerations are the rules of a list of tolerations. Comparing operators are allowed only in a pod that has one already.
func Tolerations() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *[]corev1.Toleration) {
		for i := range *v {
			checkToleration(c, &(*v)[i], func() *field.Path { return c.Path().Index(i) })
		}
	})
}

func checkToleration(c *rules.Checker, t *corev1.Toleration, at func() *field.Path) {
	if t.Key != "" {
		for _, m := range utilvalidation.IsQualifiedName(t.Key) {
			c.Add(field.Invalid(at().Child("key"), t.Key, m))
		}
	} else if t.Operator != corev1.TolerationOpExists {
		c.Add(field.Invalid(at().Child("operator"), t.Operator,
			"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		c.Add(field.Invalid(at().Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
	}
	checkTolerated(c, t, at)
	if t.Effect != "" {
		c.Add(TaintEffect(at, t.Effect)...)
	}
}

// TaintEffect returns what is wrong with the effect of a taint. The path is only asked for if something is.
func TaintEffect(at func() *field.Path, effect corev1.TaintEffect) field.ErrorList {
	known := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	if slices.Contains(known, effect) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at().Child("effect"), effect, known)}
}

// checkTolerated are the rules of the operator and its value.
func checkTolerated(c *rules.Checker, t *corev1.Toleration, at func() *field.Path) {
	operators := []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if errs := utilvalidation.IsValidLabelValue(t.Value); len(errs) > 0 {
			c.Add(field.Invalid(at().Child("operator"), t.Value, strings.Join(errs, ";")))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			c.Add(field.Invalid(at().Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'"))
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		f := factsOf(c)
		if f == nil || !f.exempt(comparingToleration, comparesTolerations) {
			c.Add(field.NotSupported(at().Child("operator"), t.Operator, append(operators, corev1.TolerationOpLt, corev1.TolerationOpGt)))
			return
		}
		for _, m := range content.IsDecimalInteger(t.Value) {
			c.Add(field.Invalid(at().Child("value"), t.Value, m))
		}
	default:
		c.Add(field.NotSupported(at().Child("operator"), t.Operator, operators))
	}
}

func comparesTolerations(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool {
		return t.Operator == corev1.TolerationOpLt || t.Operator == corev1.TolerationOpGt
	})
}
