package core

import (
	corev1 "k8s.io/api/core/v1"
)

// fillPod sets the defaults that a pod has and a template has not.
func fillPod(pod *corev1.Pod) {
	spec := &pod.Spec
	for i := range spec.Containers {
		requestLimits(&spec.Containers[i].Resources)
	}
	for i := range spec.InitContainers {
		requestLimits(&spec.InitContainers[i].Resources)
	}
	if spec.Resources != nil {
		fillPodLimits(spec)
		fillPodRequests(spec)
	}
	if spec.EnableServiceLinks == nil {
		links := corev1.DefaultEnableServiceLinks
		spec.EnableServiceLinks = &links
	}
	if spec.HostNetwork {
		openOnHost(spec.Containers)
		openOnHost(spec.InitContainers)
	}
	if g := spec.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		shortest := int64(1)
		spec.TerminationGracePeriodSeconds = &shortest
	}
}

// requestLimits requests the limits of what is not requested.
func requestLimits(r *corev1.ResourceRequirements) {
	if r.Limits == nil {
		return
	}
	if r.Requests == nil {
		r.Requests = make(corev1.ResourceList, len(r.Limits))
	}
	for name, limit := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

// fillPodLimits gives a pod that has some resources of its own a limit for the huge pages of its containers.
func fillPodLimits(spec *corev1.PodSpec) {
	r := spec.Resources
	if len(r.Limits) == 0 && len(r.Requests) == 0 {
		return
	}
	for name, q := range together(spec, limitsOf) {
		_, limited := r.Limits[name]
		_, requested := r.Requests[name]
		if !IsHugePages(name) || limited || requested {
			continue
		}
		if r.Limits == nil {
			r.Limits = corev1.ResourceList{}
		}
		r.Limits[name] = q
	}
}

// fillPodRequests requests for a pod with limits of its own what its containers request together, and else those limits.
func fillPodRequests(spec *corev1.PodSpec) {
	r := spec.Resources
	if len(r.Limits) == 0 {
		return
	}
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	for name, q := range together(spec, requestsOf) {
		if _, ok := r.Requests[name]; !ok && isPodResource(name) && mayOvercommit(name) {
			r.Requests[name] = q
		}
	}
	for name, q := range r.Limits {
		if _, ok := r.Requests[name]; !ok && isPodResource(name) {
			r.Requests[name] = q.DeepCopy()
		}
	}
	if len(r.Requests) == 0 {
		r.Requests = nil
	}
}

// openOnHost gives ports the same number on the node where the pod has no network of its own.
func openOnHost(containers []corev1.Container) {
	for i := range containers {
		for j := range containers[i].Ports {
			if p := &containers[i].Ports[j]; p.HostPort == 0 {
				p.HostPort = p.ContainerPort
			}
		}
	}
}

// fillPodStatus keeps the address of a pod, which has two places, in step. The older place wins, as old kubelets write only that.
func fillPodStatus(s *corev1.PodStatus) {
	switch {
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	case len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			roundUp(&list[i].AllocatedResources)
			if r := list[i].Resources; r != nil {
				roundUp(&r.Limits)
				roundUp(&r.Requests)
			}
		}
	}
	roundUp(&s.AllocatedResources)
	if s.Resources != nil {
		roundUp(&s.Resources.Limits)
		roundUp(&s.Resources.Requests)
	}
}
