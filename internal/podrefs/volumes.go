package podrefs

import (
	"cmp"
	"iter"

	corev1 "k8s.io/api/core/v1"
)

func volumeSecrets(v *corev1.VolumeSource, yield func(string) bool) bool {
	local := func(r *corev1.LocalObjectReference) bool { return r == nil || yield(r.Name) }
	switch {
	case v.AzureFile != nil:
		return yield(v.AzureFile.SecretName)
	case v.CephFS != nil:
		return local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		return local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		return local(v.FlexVolume.SecretRef)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.Secret != nil && !yield(s.Secret.Name) {
				return false
			}
		}
	case v.RBD != nil:
		return local(v.RBD.SecretRef)
	case v.Secret != nil:
		return yield(v.Secret.SecretName)
	case v.ScaleIO != nil:
		return local(v.ScaleIO.SecretRef)
	case v.ISCSI != nil:
		return local(v.ISCSI.SecretRef)
	case v.StorageOS != nil:
		return local(v.StorageOS.SecretRef)
	case v.CSI != nil:
		return local(v.CSI.NodePublishSecretRef)
	}
	return true
}

func volumeConfigMaps(v *corev1.VolumeSource, yield func(string) bool) bool {
	switch {
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.ConfigMap != nil && !yield(s.ConfigMap.Name) {
				return false
			}
		}
	case v.ConfigMap != nil:
		return yield(v.ConfigMap.Name)
	}
	return true
}

// Name is the name of an object in a namespace.
type Name struct{ Namespace, Name string }

// VolumeSecrets are the secrets that a node needs to mount the volume; those of its controllers are not among them. Where a reference
// has no namespace, and its kind of volume lets it have none, it means that of the claim.
func VolumeSecrets(pv *corev1.PersistentVolume) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		for _, r := range volumeRefs(pv) {
			if r.Name != "" && !yield(r) {
				return
			}
		}
	}
}

func volumeRefs(pv *corev1.PersistentVolume) []Name {
	exact := func(refs ...*corev1.SecretReference) (names []Name) {
		for _, r := range refs {
			if r != nil {
				names = append(names, Name{r.Namespace, r.Name})
			}
		}
		return names
	}
	ofClaim := ""
	if pv.Spec.ClaimRef != nil {
		ofClaim = pv.Spec.ClaimRef.Namespace
	}
	orOfClaim := func(r *corev1.SecretReference) []Name {
		if r == nil {
			return nil
		}
		return []Name{{cmp.Or(r.Namespace, ofClaim), r.Name}}
	}
	switch s := &pv.Spec.PersistentVolumeSource; {
	case s.AzureFile != nil:
		namespace := ofClaim
		if s.AzureFile.SecretNamespace != nil {
			namespace = cmp.Or(*s.AzureFile.SecretNamespace, ofClaim)
		}
		return []Name{{namespace, s.AzureFile.SecretName}}
	case s.CephFS != nil:
		return orOfClaim(s.CephFS.SecretRef)
	case s.Cinder != nil:
		return exact(s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		return orOfClaim(s.FlexVolume.SecretRef)
	case s.RBD != nil:
		return orOfClaim(s.RBD.SecretRef)
	case s.ScaleIO != nil:
		return orOfClaim(s.ScaleIO.SecretRef)
	case s.ISCSI != nil:
		return orOfClaim(s.ISCSI.SecretRef)
	case s.StorageOS != nil:
		if s.StorageOS.SecretRef != nil {
			return []Name{{s.StorageOS.SecretRef.Namespace, s.StorageOS.SecretRef.Name}}
		}
	case s.CSI != nil:
		return exact(s.CSI.NodePublishSecretRef, s.CSI.NodeStageSecretRef, s.CSI.NodeExpandSecretRef)
	}
	return nil
}
