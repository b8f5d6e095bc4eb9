package admission

import (
	"context"
	"slices"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// StorageObjectInUseProtection keeps volumes, claims and volume attributes classes until a controller has seen that nothing
// uses them: it gives new ones a finalizer. It is a Mutator and does what the plugin of that name does in kube-apiserver.
type StorageObjectInUseProtection struct{}

// Mutate adds the finalizer, last, to new objects that do not have it. It refuses nothing.
func (StorageObjectInUseProtection) Mutate(_ context.Context, a *Attributes) error {
	if a.Operation != Create {
		return nil
	}
	var finalizer string
	switch {
	case a.Concerns("", "persistentvolumes"):
		finalizer = "kubernetes.io/pv-protection"
	case a.Concerns("", "persistentvolumeclaims"):
		finalizer = "kubernetes.io/pvc-protection"
	case a.Concerns(storagev1.GroupName, "volumeattributesclasses"):
		finalizer = "kubernetes.io/vac-protection"
	default:
		return nil
	}
	o, err := meta.Accessor(a.Object)
	if err != nil {
		return a.Undecoded()
	}
	if !slices.Contains(o.GetFinalizers(), finalizer) {
		o.SetFinalizers(append(slices.Clone(o.GetFinalizers()), finalizer))
	}
	return nil
}
