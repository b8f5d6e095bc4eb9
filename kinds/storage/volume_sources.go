package storage

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// sourceDefaults are the defaults of what a volume is made of.
func sourceDefaults() []rules.Entry {
	return []rules.Entry{
		rules.At("hostPath.type", rules.Default(corev1.HostPathUnset)),
		rules.At("rbd.pool", rules.Default("rbd")),
		rules.At("rbd.user", rules.Default("admin")),
		rules.At("rbd.keyring", rules.Default("/etc/ceph/keyring")),
		rules.At("iscsi.iscsiInterface", rules.Default("default")),
		rules.At("azureDisk.cachingMode", rules.Default(corev1.AzureDataDiskCachingReadWrite)),
		rules.At("azureDisk.fsType", rules.Default("ext4")),
		rules.At("azureDisk.readOnly", rules.Default(false)),
		rules.At("azureDisk.kind", rules.Default(corev1.AzureSharedBlobDisk)),
		rules.At("scaleIO.storageMode", rules.Default("ThinProvisioned")),
		rules.At("scaleIO.fsType", rules.Default("xfs")),
	}
}

// sources is a table of what a volume can be made of. Only one of them may be there, and the first one found is the one that is checked.
type sources []source

type source struct {
	name  string
	rules sourceRules
}

// sourceRules asks the rules of a source and reports whether the volume has it. The rules are not asked where another source came before.
type sourceRules func(c *rules.Checker, v *corev1.PersistentVolumeSpec, first bool) (found bool)

// from makes [sourceRules] of a table. names lead to the source in errors.
func from[T any](of func(*corev1.PersistentVolumeSpec) *T, set *rules.Set, names ...string) sourceRules {
	return func(c *rules.Checker, v *corev1.PersistentVolumeSpec, first bool) bool {
		s := of(v)
		if s != nil && first {
			rules.In(c, set, s, nil, names...)
		}
		return s != nil
	}
}

func (s sources) check(c *rules.Checker, v, _ *corev1.PersistentVolumeSpec) {
	found := false
	for _, one := range s {
		// Of flexVolume the reference says nothing where it comes second, and checks it.
		flex := one.name == "flexVolume"
		if !one.rules(c, v, !found || flex) {
			continue
		}
		if found && !flex {
			c.Add(field.Forbidden(c.At(one.name), "may not specify more than 1 volume type"))
		}
		if !found && one.name == "local" && v.NodeAffinity == nil {
			c.Add(field.Required(c.At("nodeAffinity"), "Local volume requires node affinity"))
		}
		found = true
	}
	if !found {
		c.Add(field.Required(c.Path(), "must specify a volume type"))
	}
}

// volumeSources lists the sources in the order in which they are looked for. Some of the names that errors have are not the field's.
func volumeSources() sources {
	type spec = corev1.PersistentVolumeSpec
	return sources{
		{"hostPath", from(func(v *spec) *corev1.HostPathVolumeSource { return v.HostPath }, core.HostPath(), "hostPath")},
		{"gcePersistentDisk", from(func(v *spec) *corev1.GCEPersistentDiskVolumeSource { return v.GCEPersistentDisk }, core.GCEDisk(), "persistentDisk")},
		{"awsElasticBlockStore", from(func(v *spec) *corev1.AWSElasticBlockStoreVolumeSource { return v.AWSElasticBlockStore },
			core.AWSDisk(), "awsElasticBlockStore")},
		{"glusterfs", from(func(v *spec) *corev1.GlusterfsPersistentVolumeSource { return v.Glusterfs }, glusterfs(), "glusterfs")},
		{"flocker", from(func(v *spec) *corev1.FlockerVolumeSource { return v.Flocker }, core.Flocker(), "flocker")},
		{"nfs", from(func(v *spec) *corev1.NFSVolumeSource { return v.NFS }, core.NFS(), "nfs")},
		{"rbd", from(func(v *spec) *corev1.RBDPersistentVolumeSource { return v.RBD }, rbd(), "rbd")},
		{"quobyte", from(func(v *spec) *corev1.QuobyteVolumeSource { return v.Quobyte }, core.Quobyte(), "quobyte")},
		{"cephFS", from(func(v *spec) *corev1.CephFSPersistentVolumeSource { return v.CephFS }, cephFS(), "cephfs")},
		{"iscsi", from(func(v *spec) *corev1.ISCSIPersistentVolumeSource { return v.ISCSI }, iscsi(), "iscsi")},
		{"cinder", from(func(v *spec) *corev1.CinderPersistentVolumeSource { return v.Cinder }, cinder(), "cinder")},
		{"fc", from(func(v *spec) *corev1.FCVolumeSource { return v.FC }, core.FC(), "fc")},
		{"flexVolume", from(func(v *spec) *corev1.FlexPersistentVolumeSource { return v.FlexVolume }, flexVolume(), "flexVolume")},
		{"azureFile", from(func(v *spec) *corev1.AzureFilePersistentVolumeSource { return v.AzureFile }, azureFile(), "azureFile")},
		{"vsphereVolume", from(func(v *spec) *corev1.VsphereVirtualDiskVolumeSource { return v.VsphereVolume }, core.Vsphere(), "vsphereVolume")},
		{"photonPersistentDisk", from(func(v *spec) *corev1.PhotonPersistentDiskVolumeSource { return v.PhotonPersistentDisk },
			core.Photon(), "photonPersistentDisk")},
		{"portworxVolume", from(func(v *spec) *corev1.PortworxVolumeSource { return v.PortworxVolume }, core.Portworx(), "portworxVolume")},
		{"azureDisk", from(func(v *spec) *corev1.AzureDiskVolumeSource { return v.AzureDisk }, core.AzureDisk(), "azureDisk")},
		{"scaleIO", from(func(v *spec) *corev1.ScaleIOPersistentVolumeSource { return v.ScaleIO }, scaleIO(), "scaleIO")},
		{"local", from(func(v *spec) *corev1.LocalVolumeSource { return v.Local }, local(), "local")},
		{"storageos", from(func(v *spec) *corev1.StorageOSPersistentVolumeSource { return v.StorageOS }, storageOS(), "storageos")},
		{"csi", from(func(v *spec) *corev1.CSIPersistentVolumeSource { return v.CSI }, csiVolume(), "csi")},
	}
}
