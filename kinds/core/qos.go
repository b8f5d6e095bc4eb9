package core

import (
	corev1 "k8s.io/api/core/v1"
)

// qosOf is the class of a pod for times when its node has too little: Guaranteed where cpu and memory are limited everywhere and requested up
// to the limits, BestEffort where nothing is asked for, Burstable otherwise. What the pod has of its own counts in place of its containers.
func qosOf(spec *corev1.PodSpec) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	limited := true
	count := func(r *corev1.ResourceRequirements, needed bool) {
		addTo(requests, computing(r.Requests))
		own := computing(r.Limits)
		addTo(limits, own)
		limited = limited && (!needed || len(own) == 2)
	}
	if spec.Resources != nil {
		count(spec.Resources, len(spec.Resources.Limits) > 0)
	} else {
		for i := range spec.Containers {
			count(&spec.Containers[i].Resources, true)
		}
		for i := range spec.InitContainers {
			count(&spec.InitContainers[i].Resources, true)
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	if !limited || len(requests) != len(limits) {
		return corev1.PodQOSBurstable
	}
	for name, q := range requests {
		if limit, ok := limits[name]; !ok || limit.Cmp(q) != 0 {
			return corev1.PodQOSBurstable
		}
	}
	return corev1.PodQOSGuaranteed
}

// computing is the part of a list that the class depends on.
func computing(list corev1.ResourceList) corev1.ResourceList {
	part := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := list[name]; ok && q.Sign() > 0 {
			part[name] = q
		}
	}
	return part
}
