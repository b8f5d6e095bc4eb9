package placement

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/admission"
)

// LimitPodHardAntiAffinityTopology refuses pods that insist on keeping others off more than a node. It is a Validator.
type LimitPodHardAntiAffinityTopology struct{}

// Validate refuses with 403.
func (LimitPodHardAntiAffinityTopology) Validate(_ context.Context, a *admission.Attributes) error {
	pod, err := podOf(a)
	if pod == nil || err != nil || pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return err
	}
	for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		if term.TopologyKey != corev1.LabelHostname {
			return a.Forbidden(fmt.Errorf("affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey %v but only key %v is allowed",
				term.TopologyKey, corev1.LabelHostname))
		}
	}
	return nil
}
