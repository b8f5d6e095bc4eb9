package workload

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

const doesNotMatch = "`selector` does not match template `labels`"

// podTemplate is what all kinds here have below them.
type podTemplate = corev1.PodTemplateSpec

// defaultTemplate sets a template's defaults. Its rules are asked elsewhere, in the order in which each kind reports them.
func defaultTemplate(t *podTemplate) { rules.FillIn(core.PodTemplate(), t) }

// dropGated clears what the reference does not know without features that are off. old is nil on create.
func dropGated(t, old *podTemplate) {
	if t == nil {
		return
	}
	var before *corev1.PodSpec
	if old != nil {
		before = &old.Spec
	}
	core.DropGated(&t.Spec, before)
}

// templateOf checks a template against the selector of the object that it is part of, and that its pods run until they are deleted.
// owner is the kind that messages name. The caller stands at the object's spec.
func templateOf(c *rules.Checker, selector labels.Selector, template, old *podTemplate, owner string) {
	if !selector.Empty() && !selector.Matches(labels.Set(template.Labels)) {
		c.Add(field.Invalid(c.At("template", "metadata", "labels"), template.Labels, doesNotMatch))
	}
	rules.In(c, core.PodTemplate(), template, old, "template")
	runsForever(c, template, owner)
}

// runsForever refuses pods that end by themselves.
func runsForever(c *rules.Checker, template *podTemplate, owner string) {
	if p := template.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		c.Add(field.NotSupported(c.At("template", "spec", "restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if template.Spec.ActiveDeadlineSeconds != nil {
		c.Add(field.Forbidden(c.At("template", "spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+owner+" is not Supported"))
	}
}

// selectorOf checks a required selector and compiles it; ok is false where it cannot be compiled, which has been reported. invalid
// is how the kind says that, and kind how it names itself where the selector is empty. The caller stands at the object's spec.
func selectorOf(c *rules.Checker, s *metav1.LabelSelector, kind, invalid string) (selector labels.Selector, ok bool) {
	if s == nil {
		c.Add(field.Required(c.At("selector"), ""))
	} else {
		if len(metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, nil)) > 0 {
			c.Add(metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, c.At("selector"))...)
		}
		if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
			c.Add(field.Invalid(c.At("selector"), s, "empty selector is invalid for "+kind))
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		c.Add(field.Invalid(c.At("selector"), s, invalid))
	}
	return selector, err == nil
}

// warnName tells the client of a new object that its name will not do as the host name of its pods.
func warnName(c *rules.Checker, m, _ *metav1.ObjectMeta) {
	if c.Updating() {
		return
	}
	if messages := utilvalidation.IsDNS1123Label(m.Name); len(messages) > 0 {
		c.Warn(fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "+
			"a DNS label is recommended: %v", messages))
	}
}

// warnOfTemplate tells what will surprise about the pods that are made of a template, at the path of names. On update that is told where
// the object's generation counts up: who does not touch a template is not told about it again.
func warnOfTemplate[T any, P interface {
	*T
	metav1.Object
}](template func(o *T) *podTemplate, names ...string) rules.Rule {
	return rules.Check(func(c *rules.Checker, o, old *T) {
		if old == nil || P(o).GetGeneration() != P(old).GetGeneration() {
			warnOf(c, template(o), names...)
		}
	})
}

func warnOf(c *rules.Checker, t *podTemplate, names ...string) {
	if t != nil && c.Failed() == 0 {
		rules.In(c, templateWarnings(), t, nil, names...)
	}
}

var templateWarnings = sync.OnceValue(func() *rules.Set {
	return rules.Of[podTemplate](rules.At("", rules.Check(core.PodTemplateWarnings)))
})

// below is a part of an older value, and nil where there is none.
func below[T, F any](old *T, part func(*T) *F) *F {
	if old == nil {
		return nil
	}
	return part(old)
}
