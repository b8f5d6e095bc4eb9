package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/gatehouse/gatehouse/admission"
)

// NodeFeatures refuses changes of the resources of a pod that its node does not say it can make while the pod runs. It is a Validator and decides like the
// plugin NodeDeclaredFeatureValidator of kube-apiserver.
type NodeFeatures struct {
	// Nodes is required.
	Nodes Nodes
}

// Features that nodes declare and an update of a pod can need.
const (
	featurePodLevel       = "InPlacePodLevelResourcesVerticalScaling"
	featureInitContainers = "InPlacePodVerticalScalingInitContainers"
)

// Validate refuses with 403. What cannot be known is refused.
func (n NodeFeatures) Validate(ctx context.Context, a *admission.Attributes) error {
	if a.Resource.Group != "" || a.Resource.Resource != "pods" || (a.Subresource != "" && a.Subresource != "resize") || a.Operation != admission.Update {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	old, ok := a.OldObject.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	needed := needs(&old.Spec, &pod.Spec)
	if pod.Spec.NodeName == "" || len(needed) == 0 {
		return nil
	}
	node, err := nodeOf(ctx, n.Nodes, a, pod)
	if err != nil {
		return err
	}
	needed = slices.DeleteFunc(needed, func(name string) bool { return slices.Contains(node.Status.DeclaredFeatures, name) })
	if len(needed) > 0 {
		return a.Forbidden(fmt.Errorf("pod update requires features %s which are not available on node %q", strings.Join(needed, ", "), node.Name))
	}
	return nil
}

// needs are the features that a node needs for the update: to resize the pod as a whole, and init containers that end.
func needs(old, now *corev1.PodSpec) (names []string) {
	if !apiequality.Semantic.DeepEqual(old.Resources, now.Resources) {
		names = append(names, featurePodLevel)
	}
	for i, c := range old.InitContainers {
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if !sidecar && i < len(now.InitContainers) && !apiequality.Semantic.DeepEqual(c.Resources, now.InitContainers[i].Resources) {
			return append(names, featureInitContainers)
		}
	}
	return names
}
