// Package placement holds the admission plugins that decide where pods may run: what their node selectors and tolerations become and may be, how they may
// avoid one another, and which labels of a node they get. They do what the plugins of their names do in kube-apiserver; all but
// PodTopologyLabels are off unless a flag turns them on.
package placement

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/admission"
)

// podOf returns the pod that the request writes, and nil if it writes something else, or a subresource of a pod.
func podOf(a *admission.Attributes) (*corev1.Pod, error) {
	if !a.Concerns("", "pods") || !a.Writes() {
		return nil, nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return nil, a.Undecoded()
	}
	return pod, nil
}
