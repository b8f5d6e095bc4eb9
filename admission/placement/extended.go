package placement

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse/gatehouse/admission"
)

// ExtendedResourceToleration lets pods that ask for an extended resource onto the nodes that are kept for it by a taint of its name. It is a
// Mutator.
type ExtendedResourceToleration struct{}

// Mutate adds one toleration for each extended resource. It refuses nothing.
func (ExtendedResourceToleration) Mutate(_ context.Context, a *admission.Attributes) error {
	pod, err := podOf(a)
	if pod == nil || err != nil {
		return err
	}
	names := map[string]bool{}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for name := range c.Resources.Requests {
			if extended(string(name)) {
				names[string(name)] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		pod.Spec.Tolerations = tolerating(pod.Spec.Tolerations, corev1.Toleration{
			Key: name, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
		})
	}
	return nil
}

// extended reports whether a resource is none of Kubernetes' own and may be asked for by this name.
func extended(name string) bool {
	return strings.Contains(name, "/") && !strings.Contains(name, "kubernetes.io/") && !strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+name)) == 0
}

// tolerating returns the list with the toleration, which takes the place of those that differ in how long they tolerate.
func tolerating(list []corev1.Toleration, t corev1.Toleration) []corev1.Toleration {
	found := false
	result := slices.Clone(list)
	for i := range result {
		if apiequality.Semantic.DeepEqual(result[i], t) {
			return list
		}
		if result[i].MatchToleration(&t) {
			result[i], found = t, true
		}
	}
	if !found {
		result = append(result, t)
	}
	return result
}
