package workload

import (
	"encoding/json"
	"maps"
	"reflect"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/internal/quantity"
	"github.com/gatehouse/gatehouse/rules"
)

// Version 1 of an autoscaler knows one metric, the use of cpu. The rest of a stored autoscaler is carried in annotations when it is
// shown in version 1, and is read back from them, so that a client of version 1 that reads and writes loses nothing.
const (
	carriedMetrics        = "autoscaling.alpha.kubernetes.io/metrics"
	carriedCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics"
	carriedConditions     = "autoscaling.alpha.kubernetes.io/conditions"
	carriedBehavior       = "autoscaling.alpha.kubernetes.io/behavior"
)

// withoutCarried are annotations without those that carry fields. The map itself is not changed.
func withoutCarried(annotations map[string]string) map[string]string {
	carried := []string{
		carriedMetrics, carriedCurrentMetrics, carriedConditions, carriedBehavior,
		"autoscaling.alpha.kubernetes.io/scale-down-tolerance", "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
	}
	cloned := false
	for _, key := range carried {
		if _, ok := annotations[key]; ok && !cloned {
			annotations, cloned = maps.Clone(annotations), true
		}
		if cloned {
			delete(annotations, key)
		}
	}
	return annotations
}

// AutoscalerToV2 is the stored form of an autoscaler of version 1. Annotations that cannot be read are dropped. Nothing is shared with a.
func AutoscalerToV2(a *autoscalingv1.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	a = a.DeepCopy()
	out := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: a.ObjectMeta}
	out.Annotations = withoutCarried(a.Annotations)
	out.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference(a.Spec.ScaleTargetRef)
	out.Spec.MinReplicas, out.Spec.MaxReplicas = a.Spec.MinReplicas, a.Spec.MaxReplicas
	out.Status.ObservedGeneration, out.Status.LastScaleTime = a.Status.ObservedGeneration, a.Status.LastScaleTime
	out.Status.CurrentReplicas, out.Status.DesiredReplicas = a.Status.CurrentReplicas, a.Status.DesiredReplicas

	for _, m := range carried[[]autoscalingv1.MetricSpec](a, carriedMetrics) {
		out.Spec.Metrics = append(out.Spec.Metrics, metricToV2(m))
	}
	if percent := a.Spec.TargetCPUUtilizationPercentage; percent != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, cpuMetric(*percent))
	}
	defaultMetrics(&out.Spec.Metrics)
	if b := carried[autoscalingv2.HorizontalPodAutoscalerBehavior](a, carriedBehavior); b != (autoscalingv2.HorizontalPodAutoscalerBehavior{}) {
		out.Spec.Behavior = &b
	}

	out.Status.CurrentMetrics = currentMetricsToV2(a)
	for _, c := range carried[[]autoscalingv1.HorizontalPodAutoscalerCondition](a, carriedConditions) {
		out.Status.Conditions = append(out.Status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{
			Type: autoscalingv2.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return out
}

// currentMetricsToV2 prefers what is carried to the field, which says less.
func currentMetricsToV2(a *autoscalingv1.HorizontalPodAutoscaler) (metrics []autoscalingv2.MetricStatus) {
	if current := carried[[]autoscalingv1.MetricStatus](a, carriedCurrentMetrics); current != nil {
		for _, m := range current {
			metrics = append(metrics, currentToV2(m))
		}
		return metrics
	}
	percent := a.Status.CurrentCPUUtilizationPercentage
	if percent == nil {
		return nil
	}
	return []autoscalingv2.MetricStatus{{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricStatus{
			Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: percent},
		},
	}}
}

// carried reads an annotation, and returns the zero value if there is none or it cannot be read.
func carried[T any](a *autoscalingv1.HorizontalPodAutoscaler, key string) T {
	var v, none T
	text := []byte(a.Annotations[key])
	if len(text) == 0 || quantity.CheckJSON(text, reflect.TypeFor[T]()) != nil || json.Unmarshal(text, &v) != nil {
		return none
	}
	return v
}

// AutoscalerFromV2 shows a stored autoscaler in version 1. The error is one of encoding an annotation. Nothing is shared with a.
func AutoscalerFromV2(a *autoscalingv2.HorizontalPodAutoscaler) (*autoscalingv1.HorizontalPodAutoscaler, error) {
	a = a.DeepCopy()
	out := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: a.ObjectMeta}
	out.Annotations = maps.Clone(withoutCarried(a.Annotations))
	out.Spec.ScaleTargetRef = autoscalingv1.CrossVersionObjectReference(a.Spec.ScaleTargetRef)
	out.Spec.MinReplicas, out.Spec.MaxReplicas = a.Spec.MinReplicas, a.Spec.MaxReplicas
	out.Status.ObservedGeneration, out.Status.LastScaleTime = a.Status.ObservedGeneration, a.Status.LastScaleTime
	out.Status.CurrentReplicas, out.Status.DesiredReplicas = a.Status.CurrentReplicas, a.Status.DesiredReplicas

	others := metricsFromV2(a.Spec.Metrics, &out.Spec)
	current := currentMetricsFromV2(a.Status.CurrentMetrics, &out.Status)
	var conditions []autoscalingv1.HorizontalPodAutoscalerCondition
	for _, c := range a.Status.Conditions {
		conditions = append(conditions, autoscalingv1.HorizontalPodAutoscalerCondition{
			Type: autoscalingv1.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	for _, annotation := range []struct {
		key   string
		value any
		have  bool
	}{
		{carriedMetrics, others, len(others) > 0},
		{carriedCurrentMetrics, current, len(current) > 0},
		{carriedBehavior, rules.Shown(a.Spec.Behavior), a.Spec.Behavior != nil},
		{carriedConditions, conditions, len(conditions) > 0},
	} {
		if !annotation.have {
			continue
		}
		if err := carry(out, annotation.key, annotation.value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// metricsFromV2 finds what version 1 has a field for, and returns the rest.
func metricsFromV2(metrics []autoscalingv2.MetricSpec, spec *autoscalingv1.HorizontalPodAutoscalerSpec) (others []autoscalingv1.MetricSpec) {
	for _, m := range metrics {
		r := m.Resource
		if m.Type != autoscalingv2.ResourceMetricSourceType || r == nil || r.Name != corev1.ResourceCPU || r.Target.AverageUtilization == nil {
			others = append(others, metricFromV2(m))
		} else if spec.TargetCPUUtilizationPercentage == nil {
			spec.TargetCPUUtilizationPercentage = r.Target.AverageUtilization
		}
	}
	return others
}

// currentMetricsFromV2 finds what version 1 has a field for, and returns all: the field does not say the amount.
func currentMetricsFromV2(metrics []autoscalingv2.MetricStatus, s *autoscalingv1.HorizontalPodAutoscalerStatus) (all []autoscalingv1.MetricStatus) {
	for _, m := range metrics {
		all = append(all, currentFromV2(m))
		r := m.Resource
		if m.Type == autoscalingv2.ResourceMetricSourceType && r != nil && r.Name == corev1.ResourceCPU && r.Current.AverageUtilization != nil {
			s.CurrentCPUUtilizationPercentage = r.Current.AverageUtilization
		}
	}
	return all
}

func carry(a *autoscalingv1.HorizontalPodAutoscaler, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if a.Annotations == nil {
		a.Annotations = map[string]string{}
	}
	a.Annotations[key] = string(text)
	return nil
}
