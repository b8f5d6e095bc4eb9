package resource

import (
	"fmt"
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// autoscalerColumns serve both versions of the type; version 1 is printed in its version 2 form.
func autoscalerColumns() *columns {
	return rowsOf(func(a *autoscalingv2.HorizontalPodAutoscaler) []any {
		minimum := unset
		if a.Spec.MinReplicas != nil {
			minimum = strconv.Itoa(int(*a.Spec.MinReplicas))
		}
		target := a.Spec.ScaleTargetRef
		return []any{
			a.Name, target.Kind + "/" + target.Name, scalingTargets(a), minimum, a.Spec.MaxReplicas, a.Status.CurrentReplicas, ageOf(a),
		}
	},
		nameColumn(),
		textColumn("Reference", documented(autoscalingv2.HorizontalPodAutoscalerSpec{}, "scaleTargetRef")),
		textColumn("Targets", documented(autoscalingv2.HorizontalPodAutoscalerSpec{}, "metrics")),
		textColumn("MinPods", documented(autoscalingv2.HorizontalPodAutoscalerSpec{}, "minReplicas")),
		textColumn("MaxPods", documented(autoscalingv2.HorizontalPodAutoscalerSpec{}, "maxReplicas")),
		textColumn("Replicas", documented(autoscalingv2.HorizontalPodAutoscalerStatus{}, "currentReplicas")),
		ageColumn(),
	)
}

// maxTargets is how many targets a cell spells out.
const maxTargets = 2

// scalingTargets sets the current value of each metric against its target. The statuses are in the order of the metrics.
func scalingTargets(a *autoscalingv2.HorizontalPodAutoscaler) string {
	if len(a.Spec.Metrics) == 0 {
		return none
	}
	var list []string
	for i, m := range a.Spec.Metrics {
		var status autoscalingv2.MetricStatus
		if i < len(a.Status.CurrentMetrics) {
			status = a.Status.CurrentMetrics[i]
		}
		list = append(list, scalingTarget(m, status))
	}
	return firstOf(list, maxTargets, ", ")
}

func scalingTarget(m autoscalingv2.MetricSpec, s autoscalingv2.MetricStatus) string {
	switch {
	case m.Type == autoscalingv2.ExternalMetricSourceType && m.External != nil:
		var current *autoscalingv2.MetricValueStatus
		if s.External != nil {
			current = &s.External.Current
		}
		return valueTarget(m.External.Target, current)
	case m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil:
		var current *autoscalingv2.MetricValueStatus
		if s.Object != nil {
			current = &s.Object.Current
		}
		return valueTarget(m.Object.Target, current)
	case m.Type == autoscalingv2.PodsMetricSourceType && m.Pods != nil:
		current := unknown
		if s.Pods != nil {
			current = shownQuantity(s.Pods.Current.AverageValue)
		}
		return current + "/" + shownQuantity(m.Pods.Target.AverageValue)
	case m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil:
		var current *autoscalingv2.MetricValueStatus
		if s.Resource != nil {
			current = &s.Resource.Current
		}
		return resourceTarget(m.Resource.Name, m.Resource.Target, current)
	case m.Type == autoscalingv2.ContainerResourceMetricSourceType && m.ContainerResource != nil:
		var current *autoscalingv2.MetricValueStatus
		if s.ContainerResource != nil {
			current = &s.ContainerResource.Current
		}
		return resourceTarget(m.ContainerResource.Name, m.ContainerResource.Target, current)
	default:
		return "<unknown type>"
	}
}

// valueTarget is a target for a total or for the average of the pods.
func valueTarget(t autoscalingv2.MetricTarget, current *autoscalingv2.MetricValueStatus) string {
	now := unknown
	if t.AverageValue == nil {
		if current != nil {
			now = shownQuantity(current.Value)
		}
		return now + "/" + shownQuantity(t.Value)
	}
	if current != nil && current.AverageValue != nil {
		now = shownQuantity(current.AverageValue)
	}
	return now + "/" + shownQuantity(t.AverageValue) + " (avg)"
}

// resourceTarget is a target for an amount or for a share of what was requested.
func resourceTarget(name corev1.ResourceName, t autoscalingv2.MetricTarget, current *autoscalingv2.MetricValueStatus) string {
	now := unknown
	if t.AverageValue != nil {
		if current != nil {
			now = shownQuantity(current.AverageValue)
		}
		return fmt.Sprintf("%s: %s/%s", name, now, shownQuantity(t.AverageValue))
	}
	target := "<auto>"
	if t.AverageUtilization != nil {
		target = percent(*t.AverageUtilization)
	}
	if current != nil && current.AverageUtilization != nil {
		now = percent(*current.AverageUtilization)
	}
	return fmt.Sprintf("%s: %s/%s", name, now, target)
}

func percent(n int32) string { return strconv.Itoa(int(n)) + "%" }

// quantity is a quantity, or what the API library writes in place of a missing one.
func shownQuantity(q *resource.Quantity) string {
	if q == nil {
		return "<nil>"
	}
	return q.String()
}
