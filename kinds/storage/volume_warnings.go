package storage

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

const mountOptionAnnotation = "volume.beta.kubernetes.io/mount-options"

// checkMountOptions refuses the annotation where nothing reads it.
func checkMountOptions(c *rules.Checker, v, _ *corev1.PersistentVolume) {
	if _, ok := v.Annotations[mountOptionAnnotation]; !ok {
		return
	}
	s := &v.Spec
	if s.GCEPersistentDisk != nil || s.AWSElasticBlockStore != nil || s.Glusterfs != nil || s.NFS != nil || s.RBD != nil || s.Quobyte != nil ||
		s.ISCSI != nil || s.Cinder != nil || s.CephFS != nil || s.AzureFile != nil || s.VsphereVolume != nil || s.AzureDisk != nil ||
		s.PhotonPersistentDisk != nil {
		return
	}
	c.Add(field.Forbidden(field.NewPath("metadata", "annotations", mountOptionAnnotation), "may not specify mount options for this volume type"))
}

func warnVolume(c *rules.Checker, v, _ *corev1.PersistentVolume) {
	warnAnnotation(c, v.Annotations, corev1.BetaStorageClassAnnotation, `deprecated since v1.8; use "storageClassName" attribute instead`)
	warnAnnotation(c, v.Annotations, mountOptionAnnotation, `deprecated since v1.31; use "mountOptions" attribute instead`)
	if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		c.Warn("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. " +
			"Instead, the recommended approach is to use dynamic provisioning.")
	}
	if a := v.Spec.NodeAffinity; a != nil && a.Required != nil {
		warnTerms(c, field.NewPath("spec", "nodeAffinity", "required", "nodeSelectorTerms"), a.Required.NodeSelectorTerms)
	}
	for _, gone := range []struct {
		used         bool
		name, notice string
	}{
		{v.Spec.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
		{v.Spec.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
		{v.Spec.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
		{v.Spec.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Spec.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
		{v.Spec.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if gone.used {
			c.Warn("spec." + gone.name + ": " + gone.notice)
		}
	}
}

func warnAnnotation(c *rules.Checker, annotations map[string]string, name, notice string) {
	if _, ok := annotations[name]; ok {
		c.Warn(field.NewPath("metadata", "annotations").Key(name).String() + ": " + notice)
	}
}

// warnTerms warns of deprecated labels in terms that select nodes.
func warnTerms(c *rules.Checker, at *field.Path, terms []corev1.NodeSelectorTerm) {
	for i, term := range terms {
		for j, e := range term.MatchExpressions {
			if text := core.DeprecatedNodeLabel(e.Key); text != "" {
				c.Warn(at.Index(i).Child("matchExpressions").Index(j).Child("key").String() + ": " + e.Key + " is " + text)
			}
		}
	}
}
