// Package podrefs finds what other objects a pod or a volume names: what the node that runs the pod has to read.
//
// A sequence may hold a name more than once and never holds the empty name. References through other objects (a claim's volume, a
// volume's secret) are not followed.
package podrefs

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// Secrets are the secrets in the pod's namespace that its containers, volumes and image pulls name.
func Secrets(pod *corev1.Pod) iter.Seq[string] {
	return named(func(yield func(string) bool) bool {
		for _, r := range pod.Spec.ImagePullSecrets {
			if !yield(r.Name) {
				return false
			}
		}
		for c := range containers(&pod.Spec) {
			for _, e := range c.EnvFrom {
				if e.SecretRef != nil && !yield(e.SecretRef.Name) {
					return false
				}
			}
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && !yield(e.ValueFrom.SecretKeyRef.Name) {
					return false
				}
			}
		}
		for i := range pod.Spec.Volumes {
			if !volumeSecrets(&pod.Spec.Volumes[i].VolumeSource, yield) {
				return false
			}
		}
		return true
	})
}

// ConfigMaps are the config maps in the pod's namespace that its containers and volumes name.
func ConfigMaps(pod *corev1.Pod) iter.Seq[string] {
	return named(func(yield func(string) bool) bool {
		for c := range containers(&pod.Spec) {
			for _, e := range c.EnvFrom {
				if e.ConfigMapRef != nil && !yield(e.ConfigMapRef.Name) {
					return false
				}
			}
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil && !yield(e.ValueFrom.ConfigMapKeyRef.Name) {
					return false
				}
			}
		}
		for i := range pod.Spec.Volumes {
			if !volumeConfigMaps(&pod.Spec.Volumes[i].VolumeSource, yield) {
				return false
			}
		}
		return true
	})
}

// Claims are the persistent volume claims in the pod's namespace that its volumes name, those made for the pod included.
func Claims(pod *corev1.Pod) iter.Seq[string] {
	return named(func(yield func(string) bool) bool {
		for i := range pod.Spec.Volumes {
			if !yield(ClaimOf(pod, &pod.Spec.Volumes[i])) {
				return false
			}
		}
		return true
	})
}

// ClaimOf is the claim behind one volume of the pod; empty if it has none. The claim of an ephemeral volume is called after both.
func ClaimOf(pod *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name
	}
	return ""
}

// ResourceClaims are the resource claims in the pod's namespace that it uses: those that it names, and those that its status says
// were made for it.
func ResourceClaims(pod *corev1.Pod) iter.Seq[string] {
	return named(func(yield func(string) bool) bool {
		for _, c := range pod.Spec.ResourceClaims {
			switch {
			case c.ResourceClaimName != nil:
				if !yield(*c.ResourceClaimName) {
					return false
				}
			case c.ResourceClaimTemplateName != nil:
				if !yield(madeClaim(pod, c.Name)) {
					return false
				}
			}
		}
		if s := pod.Status.ExtendedResourceClaimStatus; s != nil {
			return yield(s.ResourceClaimName)
		}
		return true
	})
}

// madeClaim is the claim that was made for an entry with a template; empty while there is none.
func madeClaim(pod *corev1.Pod, entry string) string {
	for _, s := range pod.Status.ResourceClaimStatuses {
		if s.Name == entry {
			if s.ResourceClaimName == nil {
				return ""
			}
			return *s.ResourceClaimName
		}
	}
	return ""
}

// named leaves out empty names: they are references that are optional and not there.
func named(all func(yield func(string) bool) bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		all(func(name string) bool { return name == "" || yield(name) })
	}
}

func containers(spec *corev1.PodSpec) iter.Seq[*corev1.EphemeralContainerCommon] {
	return func(yield func(*corev1.EphemeralContainerCommon) bool) {
		for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for i := range list {
				if !yield((*corev1.EphemeralContainerCommon)(&list[i])) {
					return
				}
			}
		}
		for i := range spec.EphemeralContainers {
			if !yield(&spec.EphemeralContainers[i].EphemeralContainerCommon) {
				return
			}
		}
	}
}
