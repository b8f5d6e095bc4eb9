package workload

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// DaemonSet are the rules of apps/v1 DaemonSets.
func DaemonSet() *rules.Kind {
	return rules.For(rules.Spec[appsv1.DaemonSet]{
		Create: func(d *appsv1.DaemonSet) {
			dropGated(&d.Spec.Template, nil)
			setTemplateGeneration(d, max(1, templateGeneration(d)))
		},
		Update: countTemplate,
		Fields: []rules.Entry{
			rules.At("", rules.Fill(func(d *appsv1.DaemonSet) { setTemplateGeneration(d, templateGeneration(d)) })),
			rules.At("spec.updateStrategy", rules.Fill(defaultDaemonStrategy)),
			rules.At("spec.revisionHistoryLimit", rules.Default(10)),
			rules.At("spec.template", rules.Fill(defaultTemplate)),
			rules.At("spec.selector", rules.Immutable()),
			rules.At("spec.selector", core.LabelSelector()),
			rules.At("spec", rules.Check(checkDaemonTemplate)),
			rules.At("spec.minReadySeconds", rules.NonNegative()),
			rules.At("spec.updateStrategy", rules.Check(checkDaemonStrategy)),
			rules.At("spec.revisionHistoryLimit", rules.NonNegative()),
			rules.At("", rules.Check(func(c *rules.Checker, d, old *appsv1.DaemonSet) {
				if old == nil || templateGeneration(d) != templateGeneration(old) {
					warnOf(c, &d.Spec.Template, "spec", "template")
				}
			})),
		},
		Parts: map[string]rules.Part[appsv1.DaemonSet]{"status": {
			Update: func(d, old *appsv1.DaemonSet) { setTemplateGeneration(d, templateGeneration(old)) },
			Fields: []rules.Entry{
				rules.At("status.currentNumberScheduled", rules.NonNegative()),
				rules.At("status.numberMisscheduled", rules.NonNegative()),
				rules.At("status.desiredNumberScheduled", rules.NonNegative()),
				rules.At("status.numberReady", rules.NonNegative()),
				rules.At("status.observedGeneration", rules.NonNegative()),
				rules.At("status.updatedNumberScheduled", rules.NonNegative()),
				rules.At("status.numberAvailable", rules.NonNegative()),
				rules.At("status.numberUnavailable", rules.NonNegative()),
				rules.At("status.collisionCount", rules.NonNegative()),
				rules.At("status.collisionCount", rules.Check(neverLess)),
			},
		}},
	})
}

// templateGeneration counts the changes of a template. An older version of the API had a field for it, which lives on as an
// annotation that only the server sets.
func templateGeneration(d *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	annotations := maps.Clone(d.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
	d.Annotations = annotations
}

func countTemplate(d, old *appsv1.DaemonSet) {
	dropGated(&d.Spec.Template, &old.Spec.Template)
	n := templateGeneration(old)
	if !apiequality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template) {
		n++
	}
	setTemplateGeneration(d, n)
}

func defaultDaemonStrategy(s *appsv1.DaemonSetUpdateStrategy) {
	if s.Type == "" {
		s.Type = appsv1.RollingUpdateDaemonSetStrategyType
	}
	if s.Type != appsv1.RollingUpdateDaemonSetStrategyType {
		return
	}
	if s.RollingUpdate == nil {
		s.RollingUpdate = &appsv1.RollingUpdateDaemonSet{}
	}
	if s.RollingUpdate.MaxUnavailable == nil {
		one := intstr.FromInt32(1)
		s.RollingUpdate.MaxUnavailable = &one
	}
	if s.RollingUpdate.MaxSurge == nil {
		s.RollingUpdate.MaxSurge = new(intstr.IntOrString)
	}
}

// checkDaemonTemplate has its own order and, other than templateOf, looks for the labels of an empty selector as well.
func checkDaemonTemplate(c *rules.Checker, s, old *appsv1.DaemonSetSpec) {
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		c.Add(field.Invalid(c.At("template", "metadata", "labels"), s.Template.Labels, doesNotMatch))
	}
	if s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
		c.Add(field.Invalid(c.At("selector"), s.Selector, "empty selector is invalid for daemonset"))
	}
	rules.In(c, core.PodTemplate(), &s.Template, below(old, func(o *appsv1.DaemonSetSpec) *podTemplate { return &o.Template }), "template")
	runsForever(c, &s.Template, "DaemonSet")
}

func checkDaemonStrategy(c *rules.Checker, s, _ *appsv1.DaemonSetUpdateStrategy) {
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
	case appsv1.RollingUpdateDaemonSetStrategyType:
		if s.RollingUpdate == nil {
			c.Add(field.Required(c.At("rollingUpdate"), ""))
			return
		}
		checkRollingDaemons(c, s.RollingUpdate)
	default:
		c.Add(field.NotSupported(c.Path(), rules.Shown(s), []appsv1.DaemonSetUpdateStrategyType{
			appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType,
		}))
	}
}

func checkRollingDaemons(c *rules.Checker, r *appsv1.RollingUpdateDaemonSet) {
	checkCount(c, r.MaxUnavailable, "rollingUpdate", "maxUnavailable")
	checkCount(c, r.MaxSurge, "rollingUpdate", "maxSurge")
	checkNotMoreThanAll(c, r.MaxUnavailable, "rollingUpdate", "maxUnavailable")
	checkNotMoreThanAll(c, r.MaxSurge, "rollingUpdate", "maxSurge")
	switch unavailable, surge := countOf(r.MaxUnavailable) != 0, countOf(r.MaxSurge) != 0; {
	case unavailable && surge:
		c.Add(field.Invalid(c.At("rollingUpdate", "maxSurge"), r.MaxSurge, "may not be set when maxUnavailable is non-zero"))
	case !unavailable && !surge:
		c.Add(field.Required(c.At("rollingUpdate", "maxUnavailable"), "cannot be 0 when maxSurge is 0"))
	}
}
