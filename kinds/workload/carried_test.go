package workload_test

import (
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/kinds/workload"
)

// TestCarriedQuantitiesAreBounded: quantities come in the annotations of an autoscaler too, by names in any case. The exponent is one that
// the library can still do.
func TestCarriedQuantitiesAreBounded(t *testing.T) {
	for metrics, read := range map[string]bool{
		`[{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"1"}}]`:       true,
		`[{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"1e-1500"}}]`: false,
		`[{"type":"Pods","PODS":{"metricName":"m","TargetAverageValue":1e-1500}}]`:   false,
		`[{"type":"Pods","pods":{"metricName":"1e-1500","targetAverageValue":"1"}}]`: true,
	} {
		a := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
			"autoscaling.alpha.kubernetes.io/metrics": metrics,
		}}}
		found := false
		for _, m := range workload.AutoscalerToV2(a).Spec.Metrics {
			found = found || m.Pods != nil
		}
		if found != read {
			t.Errorf("%s was read: %v, want %v", metrics, found, read)
		}
	}
}
