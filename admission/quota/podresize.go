package quota

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
)

// Nodes finds nodes. The caller does not change them.
type Nodes interface {
	Node(ctx context.Context, name string) (*corev1.Node, bool, error)
}

// PodResize refuses a new size of a pod that its node can never have room for, or that is no node to resize pods on. It is a Validator and decides
// like the plugin PodResizeValidator of kube-apiserver.
type PodResize struct {
	// Nodes is required.
	Nodes Nodes
}

// Types of the causes of a refusal.
const (
	causeCapacity metav1.CauseType = "NodeCapacity"
	causePlatform metav1.CauseType = "UnsupportedPlatform"
)

// Validate refuses with 403. What cannot be known is refused.
func (r PodResize) Validate(ctx context.Context, a *admission.Attributes) error {
	if a.Resource.Group != "" || a.Resource.Resource != "pods" || a.Subresource != "resize" || a.Operation != admission.Update {
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
	if pod.Spec.NodeName == "" || apiequality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		return nil
	}
	node, err := nodeOf(ctx, r.Nodes, a, pod)
	if err != nil {
		return err
	}
	if os, ok := node.Labels[corev1.LabelOSStable]; ok && os != "linux" {
		return refuseResize(a, causePlatform, fmt.Errorf("pod resize is only supported on linux nodes, node %q is %q", node.Name, os))
	}
	if lacking := lacks(pod, node.Status.Allocatable); len(lacking) > 0 {
		return refuseResize(a, causeCapacity, errors.New("node didn't have enough allocatable resources: "+strings.Join(lacking, "; ")))
	}
	return nil
}

// nodeOf is the node of the pod. Its error is a refusal.
func nodeOf(ctx context.Context, nodes Nodes, a *admission.Attributes, pod *corev1.Pod) (*corev1.Node, error) {
	node, found, err := nodes.Node(ctx, pod.Spec.NodeName)
	switch {
	case err != nil:
		return nil, a.Forbidden(fmt.Errorf("failed to get node %q", pod.Spec.NodeName)).Wrap(err)
	case !found:
		return nil, a.Forbidden(fmt.Errorf("node %q not found", pod.Spec.NodeName))
	}
	return node, nil
}

func refuseResize(a *admission.Attributes, cause metav1.CauseType, why error) error {
	e := a.Forbidden(why)
	e.Status.Details.Causes = append(e.Status.Details.Causes, metav1.StatusCause{Type: cause})
	return e
}

// lacks says of what the pod asks for more than there is.
func lacks(pod *corev1.Pod, allocatable corev1.ResourceList) (list []string) {
	wanted, _ := specified(pod)
	addTo(wanted, pod.Spec.Overhead)
	if cpu := wanted[corev1.ResourceCPU]; cpu.Cmp(*allocatable.Cpu()) > 0 {
		list = append(list, fmt.Sprintf("cpu, requested: %d, allocatable: %d", cpu.MilliValue(), allocatable.Cpu().MilliValue()))
	}
	if memory := wanted[corev1.ResourceMemory]; memory.Cmp(*allocatable.Memory()) > 0 {
		list = append(list, fmt.Sprintf("memory, requested: %d, allocatable: %d", memory.Value(), allocatable.Memory().Value()))
	}
	return list
}
