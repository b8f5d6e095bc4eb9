package quota

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What a pod takes while it runs: all containers and sidecars at once, or an init container beside the sidecars
// started before it, whichever is more. Of a container that is being resized it is the most of what is wanted, granted and in use.

// podRequests is what the pod asks for, with its overhead.
func podRequests(pod *corev1.Pod) amounts {
	total := together(pod, func(c *corev1.Container, s *corev1.ContainerStatus) amounts {
		if s == nil || s.Resources == nil {
			return c.Resources.Requests
		}
		return most(!infeasible(pod), c.Resources.Requests, s.Resources.Requests, s.AllocatedResources)
	})
	if r := pod.Spec.Resources; r != nil {
		replaceBy(total, r.Requests)
	}
	addTo(total, pod.Spec.Overhead)
	return total
}

// podLimits is what the pod may take, with its overhead where that is limited at all.
func podLimits(pod *corev1.Pod) amounts {
	total := together(pod, func(c *corev1.Container, s *corev1.ContainerStatus) amounts {
		if s == nil || s.Resources == nil {
			return c.Resources.Limits
		}
		return most(!infeasible(pod), c.Resources.Limits, s.Resources.Limits)
	})
	if r := pod.Spec.Resources; r != nil {
		replaceBy(total, r.Limits)
	}
	for name, q := range pod.Spec.Overhead {
		if had, ok := total[name]; ok && !had.IsZero() {
			had = had.DeepCopy()
			had.Add(q)
			total[name] = had
		}
	}
	return total
}

// specified is what the spec alone says, as limit ranges look at it: without overhead, and for the pod as a whole
// cpu and memory only.
func specified(pod *corev1.Pod) (requests, limits amounts) {
	requests = together(pod, func(c *corev1.Container, _ *corev1.ContainerStatus) amounts { return c.Resources.Requests })
	limits = together(pod, func(c *corev1.Container, _ *corev1.ContainerStatus) amounts { return c.Resources.Limits })
	if r := pod.Spec.Resources; r != nil {
		basic := oneOf(corev1.ResourceCPU, corev1.ResourceMemory)
		replaceBy(requests, only(r.Requests, basic))
		replaceBy(limits, only(r.Limits, basic))
	}
	return requests, limits
}

// together is what the containers of the pod come to, where of is what one of them does. Only containers that keep running have a
// status that counts.
func together(pod *corev1.Pod, of func(*corev1.Container, *corev1.ContainerStatus) amounts) amounts {
	total, sidecars, starting := amounts{}, amounts{}, amounts{}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		addTo(total, of(c, statusOf(pod, c.Name)))
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			own := of(c, statusOf(pod, c.Name))
			addTo(total, own)
			addTo(sidecars, own)
			raiseTo(starting, sidecars)
			continue
		}
		raiseTo(starting, sumOf(sidecars, of(c, nil)))
	}
	raiseTo(total, starting)
	return total
}

// statusOf is the last status of that name, nil for none.
func statusOf(pod *corev1.Pod, name string) (found *corev1.ContainerStatus) {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				found = &list[i]
			}
		}
	}
	return found
}

// most is the highest of each; what is wanted does not count where it cannot be had.
func most(feasible bool, wanted amounts, others ...amounts) amounts {
	m := amounts{}
	if feasible {
		raiseTo(m, wanted)
	}
	for _, o := range others {
		raiseTo(m, o)
	}
	return m
}

// infeasible reports whether the node has said that it cannot give what the pod wants now.
func infeasible(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodResizePending {
			return c.Reason == corev1.PodReasonInfeasible
		}
	}
	return false
}

// forPods tells the resources that can be said for a pod as a whole.
func forPods(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// replaceBy puts what is said for the pod as a whole in the place of what its containers come to.
func replaceBy(total, whole amounts) {
	for name, q := range whole {
		if forPods(name) {
			total[name] = q.DeepCopy()
		}
	}
}

// setsResources reports whether the pod says something as a whole.
func setsResources(pod *corev1.Pod) bool {
	r := pod.Spec.Resources
	return r != nil && len(only(r.Requests, forPods))+len(only(r.Limits, forPods)) > 0
}
