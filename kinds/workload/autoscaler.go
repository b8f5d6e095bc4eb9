package workload

import (
	"fmt"
	"sync"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Autoscaler are the rules of autoscaling/v2 HorizontalPodAutoscalers.
func Autoscaler() *rules.Kind {
	return rules.For(rules.Spec[autoscalingv2.HorizontalPodAutoscaler]{
		Create: func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Annotations = withoutCarried(a.Annotations) },
		Update: func(a, _ *autoscalingv2.HorizontalPodAutoscaler) { a.Annotations = withoutCarried(a.Annotations) },
		Fields: []rules.Entry{rules.At("", autoscaler())},
		Parts: map[string]rules.Part[autoscalingv2.HorizontalPodAutoscaler]{"status": {
			Update: func(a, _ *autoscalingv2.HorizontalPodAutoscaler) { a.Annotations = withoutCarried(a.Annotations) },
			Fields: []rules.Entry{
				rules.At("status.currentReplicas", rules.NonNegative()),
				rules.At("status.desiredReplicas", rules.NonNegative()),
			},
		}},
	})
}

// AutoscalerV1 are the rules of autoscaling/v1 HorizontalPodAutoscalers, which are those of v2 on what the object means there.
func AutoscalerV1() *rules.Kind {
	return rules.For(rules.Spec[autoscalingv1.HorizontalPodAutoscaler]{
		Fields: []rules.Entry{
			rules.At("spec.minReplicas", rules.Default(1)),
			rules.At("", rules.Fill(func(a *autoscalingv1.HorizontalPodAutoscaler) {
				if a.Spec.TargetCPUUtilizationPercentage == nil && a.Annotations[carriedMetrics] == "" {
					a.Spec.TargetCPUUtilizationPercentage = new(int32(80))
				}
			})),
			rules.At("", rules.Check(func(c *rules.Checker, a, old *autoscalingv1.HorizontalPodAutoscaler) {
				var before *autoscalingv2.HorizontalPodAutoscaler
				if old != nil {
					before = AutoscalerToV2(old)
				}
				rules.In(c, autoscaler(), AutoscalerToV2(a), before)
			})),
		},
		Parts: map[string]rules.Part[autoscalingv1.HorizontalPodAutoscaler]{"status": {Fields: []rules.Entry{
			rules.At("status.currentReplicas", rules.NonNegative()),
			rules.At("status.desiredReplicas", rules.NonNegative()),
		}}},
	})
}

var autoscaler = sync.OnceValue(func() *rules.Set {
	return rules.Of[autoscalingv2.HorizontalPodAutoscaler](
		rules.At("spec.minReplicas", rules.Default(1)),
		rules.At("spec.metrics", rules.Fill(defaultMetrics)),
		rules.At("spec.behavior", rules.Fill(defaultBehavior)),
		rules.At("status", rules.Fill(func(s *autoscalingv2.HorizontalPodAutoscalerStatus) {
			if len(s.CurrentMetrics) == 0 {
				s.CurrentMetrics = nil // What is stored cannot tell an empty list from none.
			}
		})),

		rules.At("spec", rules.Check(checkReplicaBounds)),
		rules.At("spec.scaleTargetRef", rules.Check(checkScaleTarget)),
		rules.At("spec.metrics", rules.Check(checkMetrics)),
		rules.At("spec.behavior.scaleUp", rules.Check(checkScaling)),
		rules.At("spec.behavior.scaleDown", rules.Check(checkScaling)),
	)
})

// checkReplicaBounds lets an object that could scale to nothing go on to do so, which new ones cannot ask for.
func checkReplicaBounds(c *rules.Checker, s, old *autoscalingv2.HorizontalPodAutoscalerSpec) {
	least := int32(1)
	if old != nil && old.MinReplicas != nil && *old.MinReplicas == 0 {
		least = 0
	}
	if s.MinReplicas != nil && *s.MinReplicas < least {
		c.Add(field.Invalid(c.At("minReplicas"), *s.MinReplicas, fmt.Sprintf("must be greater than or equal to %d", least)))
	}
	if s.MaxReplicas == 0 {
		c.Add(field.Required(c.At("maxReplicas"), "must be set and greater than 0"))
	} else if s.MaxReplicas < 0 {
		c.Add(field.Invalid(c.At("maxReplicas"), s.MaxReplicas, "must be greater than or equal to 1"))
	}
	if s.MinReplicas != nil && s.MaxReplicas < *s.MinReplicas {
		c.Add(field.Invalid(c.At("maxReplicas"), s.MaxReplicas, "must be greater than or equal to `minReplicas`"))
	}
}

// versionRule says which apiVersion a reference may have.
type versionRule int

const (
	anyVersion versionRule = iota
	parsableVersion
	versionWithGroup
)

func checkScaleTarget(c *rules.Checker, ref, old *autoscalingv2.CrossVersionObjectReference) {
	rule := versionWithGroup
	switch {
	case old != nil && old.APIVersion == ref.APIVersion && old.Kind == ref.Kind:
		rule = anyVersion
	case ref.Kind == "ReplicationController":
		rule = parsableVersion
	}
	checkReference(c, ref, rule, c.Path)
}

func checkReference(c *rules.Checker, ref *autoscalingv2.CrossVersionObjectReference, rule versionRule, at func() *field.Path) {
	checkSegment(c, ref.Kind, "", func() *field.Path { return at().Child("kind") })
	checkSegment(c, ref.Name, "", func() *field.Path { return at().Child("name") })
	if rule == anyVersion {
		return
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	switch {
	case err != nil:
		c.Add(field.Invalid(at().Child("apiVersion"), ref.APIVersion, err.Error()))
	case rule == versionWithGroup && gv.Group == "":
		c.Add(field.Invalid(at().Child("apiVersion"), ref.APIVersion, "apiVersion must specify API group"))
	}
}

// checkSegment asks for what can stand between the slashes of a path. missing is added where nothing is there.
func checkSegment(c *rules.Checker, s, missing string, at func() *field.Path) {
	if s == "" {
		c.Add(field.Required(at(), missing))
		return
	}
	for _, m := range content.IsPathSegmentName(s) {
		c.Add(field.Invalid(at(), s, m))
	}
}
