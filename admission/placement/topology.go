package placement

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Nodes finds nodes. The caller does not change them.
type Nodes interface {
	Node(ctx context.Context, name string) (*corev1.Node, bool, error)
}

// PodTopologyLabels gives pods the zone and the region of their node as labels, when they are bound to it or created on it. It is a Mutator.
type PodTopologyLabels struct {
	// Nodes is required.
	Nodes Nodes
}

// Mutate overwrites the labels of the pod by those of the node. A node that does not exist, or has none, changes nothing.
func (p PodTopologyLabels) Mutate(ctx context.Context, a *admission.Attributes) error {
	// Only the subresource counts, not the resource bindings, whose request ends up as the same write.
	bound := a.Subresource == "binding" && a.Permit.Info().Resource == "pods"
	if a.Resource.Group != "" || a.Resource.Resource != "pods" || !(bound || (a.Subresource == "" && a.Operation == admission.Create)) {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	if pod.Spec.NodeName == "" {
		return nil
	}
	node, found, err := p.Nodes.Node(ctx, pod.Spec.NodeName)
	if err != nil {
		return api.ToError(err)
	}
	if !found {
		return nil
	}
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion} {
		if value, ok := node.Labels[key]; ok {
			metav1.SetMetaDataLabel(&pod.ObjectMeta, key, value)
		}
	}
	return nil
}
