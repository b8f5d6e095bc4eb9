package standalone

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/resource"
)

// What admission protects from being deleted while it is used. The finalizers are those of StorageObjectInUseProtection.

// protectionOf is the finalizer of the resource that is taken away here; empty for most resources.
func protectionOf(t *resource.Type) string {
	switch t.GR() {
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return "kubernetes.io/pvc-protection"
	case schema.GroupResource{Resource: "persistentvolumes"}:
		return "kubernetes.io/pv-protection"
	case schema.GroupResource{Group: storagev1.GroupName, Resource: "volumeattributesclasses"}:
		return "kubernetes.io/vac-protection"
	}
	return ""
}

// uses tells the resources that use others which are protected.
func (n *node) uses() bool {
	return n.is("", "pods") || n.is("", "persistentvolumeclaims") || n.is("", "persistentvolumes")
}

// release takes the finalizer from an object that is being deleted and that nothing uses. Where one that may use it cannot be
// decoded, it stays.
func (w *work) release(ctx context.Context, key string) error {
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	w.graph.mu.Lock()
	n := w.waiting[key]
	w.graph.mu.Unlock()
	if n == nil {
		return nil
	}
	used, err := w.used(n)
	if err != nil || used {
		return err // A change of what uses it calls for this job again.
	}
	return w.removeFinalizer(ctx, "protection of storage in use", n, protectionOf(n.feed.Type))
}

func (w *work) used(n *node) (bool, error) {
	switch {
	case n.is("", "persistentvolumeclaims"):
		return w.claimUsed(n)
	case n.is("", "persistentvolumes"):
		volume, found, err := decode[*corev1.PersistentVolume](n)
		return found && volume.Status.Phase == corev1.VolumeBound, err
	}
	return w.classUsed(n)
}

// claimUsed reports whether a pod that has a node uses the claim: kubelets start none on a claim that is being deleted.
func (w *work) claimUsed(n *node) (bool, error) {
	return anyOf(w, "pods", n.namespace, `"volumes":`, func(pod *corev1.Pod) bool {
		if pod.Spec.NodeName == "" {
			return false
		}
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == n.name {
				return true
			}
			// A claim of that name which another one owns is taken for the pod's own, to be sure.
			if v.Ephemeral != nil && pod.Name+"-"+v.Name == n.name && !stopped(pod) {
				return true
			}
		}
		return false
	})
}

// stopped reports whether the kubelet is done with the pod, or it was deleted by force.
func stopped(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
}

// classUsed reports whether a volume or a claim is, or is to be, of the class.
func (w *work) classUsed(n *node) (bool, error) {
	is := func(name *string) bool { return name != nil && *name == n.name }
	const field = "olumeAttributesClassName" // of the names of all the fields
	used, err := anyOf(w, "persistentvolumes", "", field, func(v *corev1.PersistentVolume) bool {
		return is(v.Spec.VolumeAttributesClassName)
	})
	if used || err != nil {
		return used, err
	}
	return anyOf(w, "persistentvolumeclaims", "", field, func(c *corev1.PersistentVolumeClaim) bool {
		modify := c.Status.ModifyVolumeStatus
		return is(c.Spec.VolumeAttributesClassName) || is(c.Status.CurrentVolumeAttributesClassName) ||
			(modify != nil && modify.TargetVolumeAttributesClassName == n.name)
	})
}

// anyOf looks for an object of a core resource, in a namespace or everywhere. Only those whose text has the given part are decoded.
func anyOf[T resource.Object](w *work, plural, namespace, part string, match func(T) bool) (bool, error) {
	return w.core(plural).Any(namespace, part, func(o resource.Object) bool {
		typed, ok := o.(T)
		return ok && match(typed)
	})
}
