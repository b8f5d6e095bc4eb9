package storage

import (
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func rbd() *rules.Set {
	return rules.Of[corev1.RBDPersistentVolumeSource](rules.At("monitors", rules.Required()), rules.At("image", rules.Required()))
}

func cephFS() *rules.Set {
	return rules.Of[corev1.CephFSPersistentVolumeSource](rules.At("monitors", rules.Required()))
}

func cinder() *rules.Set {
	return rules.Of[corev1.CinderPersistentVolumeSource](
		rules.At("volumeID", rules.Required()),
		rules.At("secretRef.name", rules.Required()),
		rules.At("secretRef.namespace", rules.Required()),
	)
}

func azureFile() *rules.Set {
	return rules.Of[corev1.AzureFilePersistentVolumeSource](
		rules.At("secretName", rules.Required()),
		rules.At("shareName", rules.Required()),
		rules.At("secretNamespace", rules.Check(func(c *rules.Checker, v, _ *string) {
			if *v == "" {
				c.Add(field.Required(c.Path(), ""))
			}
		})),
	)
}

func scaleIO() *rules.Set {
	return rules.Of[corev1.ScaleIOPersistentVolumeSource](
		rules.At("gateway", rules.Required()),
		rules.At("system", rules.Required()),
		rules.At("volumeName", rules.Required()),
	)
}

func storageOS() *rules.Set {
	return rules.Of[corev1.StorageOSPersistentVolumeSource](
		rules.At("volumeName", rules.Required(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("volumeNamespace", rules.Optional(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("secretRef.name", rules.Required()),
		rules.At("secretRef.namespace", rules.Required()),
	)
}
