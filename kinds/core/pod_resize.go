package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// updateEphemeralContainers takes from a request the ephemeral containers and nothing else of the specification.
func updateEphemeralContainers(pod, old *corev1.Pod) {
	containers := pod.Spec.EphemeralContainers
	pod.Spec = *old.Spec.DeepCopy()
	pod.Status = *old.Status.DeepCopy()
	pod.Spec.EphemeralContainers = containers
	DropGated(&pod.Spec, &old.Spec)
}

// checkEphemeralChange lets ephemeral containers be added.
func checkEphemeralChange(c *rules.Checker, pod, old *corev1.Pod) {
	checkAnnotationChanges(c, pod, old)
	if isMirror(old.Annotations) {
		c.Add(field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers"))
		return
	}
	now := make(map[string]*corev1.EphemeralContainer, len(pod.Spec.EphemeralContainers))
	for i := range pod.Spec.EphemeralContainers {
		now[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		switch is := now[was.Name]; {
		case is == nil:
			c.Add(field.Forbidden(c.At("spec", "ephemeralContainers"), fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !apiequality.Semantic.DeepEqual(was, is):
			c.Add(field.Forbidden(c.At("spec", "ephemeralContainers"),
				fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, rules.Diff(*was, *is))))
		}
	}
}

// updateResources takes from a request the resources of containers and of the pod. Where containers were added, removed or
// renamed the request stays as it is, and is refused for that.
func updateResources(pod, old *corev1.Pod) {
	if len(pod.Spec.Containers) == len(old.Spec.Containers) && len(pod.Spec.InitContainers) == len(old.Spec.InitContainers) {
		containers := resized(pod.Spec.Containers, old.Spec.Containers)
		initial := resized(pod.Spec.InitContainers, old.Spec.InitContainers)
		shared := pod.Spec.Resources
		pod.Spec = *old.Spec.DeepCopy()
		pod.Status = *old.Status.DeepCopy()
		pod.Spec.Containers, pod.Spec.InitContainers, pod.Spec.Resources = containers, initial, shared
	}
	DropGated(&pod.Spec, &old.Spec)
}

func resized(containers, old []corev1.Container) []corev1.Container {
	if len(containers) == 0 {
		return containers
	}
	merged := make([]corev1.Container, len(old))
	for i := range old {
		if containers[i].Name != old[i].Name {
			return containers
		}
		merged[i] = *old[i].DeepCopy()
		merged[i].Resources, merged[i].ResizePolicy = containers[i].Resources, containers[i].ResizePolicy
	}
	return merged
}

const onlyCPUAndMemory = "only cpu and memory resources are mutable"

// checkResize lets the cpu and memory of a running pod change, so far as its class for hard times stays the same.
func checkResize(c *rules.Checker, pod, old *corev1.Pod) {
	switch {
	case isMirror(old.Annotations):
		c.Add(field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
		return
	case old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows:
		c.Add(field.Forbidden(field.NewPath(""), "windows pods cannot be resized"))
		return
	}
	class := old.Status.QOSClass
	if class == "" {
		class = qosOf(&old.Spec)
	}
	if class != qosOf(&pod.Spec) {
		c.Add(field.Invalid(c.At("spec"), pod.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	if !nodeResizes(old) {
		c.Add(field.Forbidden(c.At("spec"), "Pod running on node without support for resize"))
	}
	rest := *pod.Spec.DeepCopy()
	if hasOwnResources(&old.Spec) || hasOwnResources(&pod.Spec) {
		checkSharedResize(c, &pod.Spec, &old.Spec, &rest)
	}
	if len(old.Status.NodeAllocatableResourceClaimStatuses) > 0 {
		c.Add(field.Forbidden(c.At("spec"), "pods with node allocatable resource claims cannot be resized"))
	}
	before := c.Failed()
	checkSameContainers(c, "containers", pod.Spec.Containers, old.Spec.Containers)
	checkSameContainers(c, "initContainers", pod.Spec.InitContainers, old.Spec.InitContainers)
	if c.Failed() > before {
		return
	}
	checkNothingRemoved(c, "initContainers", pod.Spec.InitContainers, old.Spec.InitContainers)
	checkNothingRemoved(c, "containers", pod.Spec.Containers, old.Spec.Containers)
	checkOnlySizes(c, &rest, &old.Spec)
	if c.Failed() == 0 && !apiequality.Semantic.DeepEqual(rest, old.Spec) {
		c.Add(field.Forbidden(c.At("spec"), onlyCPUAndMemory))
	}
}

// nodeResizes reports whether the pod's node says how much its containers have, as those do that can change it.
func nodeResizes(pod *corev1.Pod) bool {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running != nil {
			return s.Resources != nil
		}
	}
	return true
}

func hasOwnResources(spec *corev1.PodSpec) bool {
	return spec.Resources != nil && len(spec.Resources.Requests)+len(spec.Resources.Limits) > 0
}

// checkSharedResize is for what containers share. It makes it in rest as it was, so far as it may change.
func checkSharedResize(c *rules.Checker, spec, old, rest *corev1.PodSpec) {
	if old.Resources != nil && spec.Resources == nil {
		c.Add(field.Forbidden(c.At("spec", "resources"), "pod-level resources cannot be removed"))
		return
	}
	var was corev1.ResourceRequirements
	if old.Resources != nil {
		was = *old.Resources
		if isRemoved(spec.Resources.Requests, was.Requests) {
			c.Add(field.Forbidden(c.At("spec", "resources", "requests"), "pod-level resource requests cannot be removed"))
		}
		if isRemoved(spec.Resources.Limits, was.Limits) {
			c.Add(field.Forbidden(c.At("spec", "resources", "limits"), "pod-level resource limits cannot be removed"))
		}
	}
	if r := rest.Resources; r != nil {
		r.Requests, r.Limits = withSizesOf(r.Requests, was.Requests), withSizesOf(r.Limits, was.Limits)
		if old.Resources == nil && len(r.Requests)+len(r.Limits)+len(r.Claims) == 0 {
			rest.Resources = nil
		}
	}
	if !apiequality.Semantic.DeepEqual(rest.Resources, old.Resources) {
		c.Add(field.Forbidden(c.At("spec"), onlyCPUAndMemory+" at pod-level"))
	}
}

func isRemoved(list, old corev1.ResourceList) bool {
	for name := range old {
		if _, ok := list[name]; !ok {
			return true
		}
	}
	return len(old) > len(list)
}

// withSizesOf is a list with the cpu and memory of another.
func withSizesOf(list, old corev1.ResourceList) corev1.ResourceList {
	if list == nil && old == nil {
		return nil
	}
	mixed := corev1.ResourceList{}
	for name, q := range list {
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			mixed[name] = q
		}
	}
	for name, q := range old {
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory {
			mixed[name] = q
		}
	}
	return mixed
}

func checkSameContainers(c *rules.Checker, list string, containers, old []corev1.Container) {
	if len(containers) != len(old) {
		c.Add(field.Forbidden(c.At("spec", list), list+" may not be added or removed on resize"))
		return
	}
	for i := range old {
		if containers[i].Name != old[i].Name {
			c.Add(field.Forbidden(c.At("spec", list).Index(i).Child("name"), list+" may not be renamed or reordered on resize"))
		}
	}
}

func checkNothingRemoved(c *rules.Checker, list string, containers, old []corev1.Container) {
	for i := range old {
		at := func(name string) *field.Path { return c.At("spec", list).Index(i).Child("resources", name) }
		if isRemoved(containers[i].Resources.Requests, old[i].Resources.Requests) {
			c.Add(field.Forbidden(at("requests"), "resource requests cannot be removed"))
		}
		if isRemoved(containers[i].Resources.Limits, old[i].Resources.Limits) {
			c.Add(field.Forbidden(at("limits"), "resource limits cannot be removed"))
		}
	}
}

// checkOnlySizes compares containers without their cpu and memory, and makes those in rest as they were.
func checkOnlySizes(c *rules.Checker, rest, old *corev1.PodSpec) {
	for i := range rest.Containers {
		takeSizes(&rest.Containers[i], &old.Containers[i])
		if !apiequality.Semantic.DeepEqual(rest.Containers[i], old.Containers[i]) {
			c.Add(field.Forbidden(c.At("spec"), onlyCPUAndMemory))
		}
	}
	for i := range rest.InitContainers {
		ctr, was := &rest.InitContainers[i], &old.InitContainers[i]
		changed := !apiequality.Semantic.DeepEqual(*ctr, *was)
		takeSizes(ctr, was)
		if !apiequality.Semantic.DeepEqual(*ctr, *was) {
			c.Add(field.Forbidden(c.At("spec", "initContainers").Index(i),
				"only cpu and memory resources for init or sidecar containers are mutable"))
		}
		for _, p := range ctr.ResizePolicy {
			if changed && !alwaysRestarts(ctr) && p.RestartPolicy == corev1.RestartContainer {
				c.Add(field.Forbidden(c.At("spec", "initContainers").Index(i),
					"non-sidecar init containers with a resize policy of RestartContainer cannot be resized"))
			}
		}
	}
}

// takeSizes leaves the claims out, so that a container which uses any cannot be resized.
func takeSizes(ctr, old *corev1.Container) {
	ctr.Resources = corev1.ResourceRequirements{
		Limits:   withSizesOf(ctr.Resources.Limits, old.Resources.Limits),
		Requests: withSizesOf(ctr.Resources.Requests, old.Resources.Requests),
	}
}
