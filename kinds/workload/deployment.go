package workload

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Deployment are the rules of apps/v1 Deployments.
func Deployment() *rules.Kind {
	return rules.For(rules.Spec[appsv1.Deployment]{
		Create: func(d *appsv1.Deployment) { dropGated(&d.Spec.Template, nil) },
		Update: func(d, old *appsv1.Deployment) {
			dropGated(&d.Spec.Template, &old.Spec.Template)
			if !apiequality.Semantic.DeepEqual(d.Annotations, old.Annotations) {
				d.Generation = old.Generation + 1
			}
		},
		Fields: []rules.Entry{
			rules.At("metadata", rules.Check(warnName)),
			rules.At("spec.replicas", rules.Default(1), rules.NonNegative()),
			rules.At("spec.strategy", rules.Fill(defaultStrategy)),
			rules.At("spec.revisionHistoryLimit", rules.Default(10)),
			rules.At("spec.progressDeadlineSeconds", rules.Default(600)),
			rules.At("spec.template", rules.Fill(defaultTemplate)),
			rules.At("spec", rules.Check(checkDeploymentTemplate)),
			rules.At("spec.strategy", rules.Check(checkStrategy)),
			rules.At("spec.minReadySeconds", rules.NonNegative()),
			rules.At("spec.revisionHistoryLimit", rules.NonNegative()),
			rules.At("", rules.Check(checkRollback)),
			rules.At("spec.progressDeadlineSeconds", rules.NonNegative()),
			rules.At("spec", rules.Check(checkProgressDeadline)),
			rules.At("spec.selector", rules.Immutable()),
			rules.At("", warnOfTemplate(func(d *appsv1.Deployment) *podTemplate { return &d.Spec.Template }, "spec", "template")),
		},
		Parts: map[string]rules.Part[appsv1.Deployment]{"status": {
			Update: func(d, old *appsv1.Deployment) { d.Labels = old.Labels },
			Fields: deploymentStatus(),
		}},
	})
}

func deploymentStatus() []rules.Entry {
	return []rules.Entry{
		rules.At("status.observedGeneration", rules.NonNegative()),
		rules.At("status.replicas", rules.NonNegative()),
		rules.At("status.updatedReplicas", rules.NonNegative()),
		rules.At("status.readyReplicas", rules.NonNegative()),
		rules.At("status.availableReplicas", rules.NonNegative()),
		rules.At("status.unavailableReplicas", rules.NonNegative()),
		rules.At("status.terminatingReplicas", rules.NonNegative()),
		rules.At("status.collisionCount", rules.NonNegative()),
		rules.At("status", rules.Check(func(c *rules.Checker, s, _ *appsv1.DeploymentStatus) {
			checkParts(c, atMost{"updatedReplicas", s.UpdatedReplicas, s.Replicas, moreThanReplicas},
				atMost{"readyReplicas", s.ReadyReplicas, s.Replicas, moreThanReplicas},
				atMost{"availableReplicas", s.AvailableReplicas, s.Replicas, moreThanReplicas},
				atMost{"availableReplicas", s.AvailableReplicas, s.ReadyReplicas, moreThanReady})
		})),
		rules.At("status.collisionCount", rules.Check(neverLess)),
	}
}

func defaultStrategy(s *appsv1.DeploymentStrategy) {
	if s.Type == "" {
		s.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if s.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return
	}
	if s.RollingUpdate == nil {
		s.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	}
	for _, p := range []**intstr.IntOrString{&s.RollingUpdate.MaxUnavailable, &s.RollingUpdate.MaxSurge} {
		if *p == nil {
			quarter := intstr.FromString("25%")
			*p = &quarter
		}
	}
}

func checkDeploymentTemplate(c *rules.Checker, s, old *appsv1.DeploymentSpec) {
	if selector, ok := selectorOf(c, s.Selector, "deployment", "invalid label selector"); ok {
		templateOf(c, selector, &s.Template, below(old, func(o *appsv1.DeploymentSpec) *podTemplate { return &o.Template }), "ReplicaSet")
	}
}

func checkStrategy(c *rules.Checker, s, _ *appsv1.DeploymentStrategy) {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			c.Add(field.Forbidden(c.At("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'"))
		}
	case appsv1.RollingUpdateDeploymentStrategyType:
		checkRolling(c, s.RollingUpdate)
	default:
		c.Add(field.NotSupported(c.Path(), rules.Shown(s), []appsv1.DeploymentStrategyType{
			appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType,
		}))
	}
}

// checkRolling is asked after the defaults, so that only a patch of an older object can have left something nil.
func checkRolling(c *rules.Checker, r *appsv1.RollingUpdateDeployment) {
	if r == nil {
		c.Add(field.Required(c.At("rollingUpdate"), "this should be defaulted and never be nil"))
		return
	}
	checkCount(c, r.MaxUnavailable, "rollingUpdate", "maxUnavailable")
	checkCount(c, r.MaxSurge, "rollingUpdate", "maxSurge")
	if countOf(r.MaxUnavailable) == 0 && countOf(r.MaxSurge) == 0 {
		c.Add(field.Invalid(c.At("rollingUpdate", "maxUnavailable"), r.MaxUnavailable, "may not be 0 when `maxSurge` is 0"))
	}
	checkNotMoreThanAll(c, r.MaxUnavailable, "rollingUpdate", "maxUnavailable")
}

// checkRollback checks what remains of rollbacks, which older versions of the API asked for.
func checkRollback(c *rules.Checker, d, _ *appsv1.Deployment) {
	if revision, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedRollbackTo], 10, 64); err == nil && revision < 0 {
		c.Add(field.Invalid(c.At("spec", "rollback", "version"), revision, "must be greater than or equal to 0"))
	}
}

func checkProgressDeadline(c *rules.Checker, s, _ *appsv1.DeploymentSpec) {
	if d := s.ProgressDeadlineSeconds; d != nil && *d <= s.MinReadySeconds {
		c.Add(field.Invalid(c.At("progressDeadlineSeconds"), d, "must be greater than minReadySeconds"))
	}
}
