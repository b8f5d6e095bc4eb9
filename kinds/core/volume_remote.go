package core

import (
	"net"
	"path"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// The volumes that are somewhere else. The tables of those whose type a PersistentVolume has as well are exported for that.

// required is a table that asks for some fields and nothing more.
func required[T any](names ...string) *rules.Set {
	entries := make([]rules.Entry, len(names))
	for i, name := range names {
		entries[i] = rules.At(name, rules.Required())
	}
	return rules.Of[T](entries...)
}

const maxPartition = 255

// partition asks for the number of a partition. 0 means the whole disk, in spite of what the message says.
func partition() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *int32) {
		if *v < 0 || *v > maxPartition {
			c.Add(field.Invalid(c.Path(), *v, utilvalidation.InclusiveRangeError(1, maxPartition)))
		}
	})
}

// GCEDisk are the rules of a disk of Google Compute Engine.
func GCEDisk() *rules.Set {
	return rules.Of[corev1.GCEPersistentDiskVolumeSource](rules.At("pdName", rules.Required()), rules.At("partition", partition()))
}

// AWSDisk are the rules of a disk of Amazon Web Services.
func AWSDisk() *rules.Set {
	return rules.Of[corev1.AWSElasticBlockStoreVolumeSource](rules.At("volumeID", rules.Required()), rules.At("partition", partition()))
}

// NFS are the rules of a directory of a server of the Network File System.
func NFS() *rules.Set {
	return rules.Of[corev1.NFSVolumeSource](
		rules.At("server", rules.Required()),
		rules.At("path", rules.Required()),
		rules.At("path", rules.Format(func(s string) []string {
			if path.IsAbs(s) {
				return nil
			}
			return []string{"must be an absolute path"}
		})),
	)
}

var (
	iqnName = regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`)
	euiName = regexp.MustCompile(`^eui.[[:alnum:]]{16}$`)
	naaName = regexp.MustCompile(`^naa.[[:alnum:]]{32}$`)
)

const maxLUN = 255

func iscsi() *rules.Set {
	const start = "must be valid format starting with iqn, eui, or naa"
	return rules.Of[corev1.ISCSIVolumeSource](
		rules.At("iscsiInterface", rules.Default("default")),
		rules.At("targetPortal", rules.Required()),
		rules.At("iqn", rules.Required(), ISCSIName(start)),
		rules.At("lun", rules.Between(0, maxLUN)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.ISCSIVolumeSource) {
			if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
				c.Add(field.Required(c.At("secretRef"), ""))
			}
			if v.InitiatorName == nil {
				return
			}
			for _, m := range iscsiNameErrors(*v.InitiatorName, start) {
				c.Add(field.Invalid(c.At("initiatorname"), *v.InitiatorName, m))
			}
		})),
	)
}

// ISCSIName asks for the name of a party of iSCSI. start is the message for one that begins with none of the three known prefixes.
func ISCSIName(start string) rules.Rule {
	return rules.Format(func(s string) []string { return iscsiNameErrors(s, start) })
}

func iscsiNameErrors(s, start string) []string {
	valid := false
	switch {
	case strings.HasPrefix(s, "iqn"):
		valid = iqnName.MatchString(s)
	case strings.HasPrefix(s, "eui"):
		valid = euiName.MatchString(s)
	case strings.HasPrefix(s, "naa"):
		valid = naaName.MatchString(s)
	default:
		return []string{start}
	}
	if valid {
		return nil
	}
	return []string{"must be valid format"}
}

func glusterfs() *rules.Set { return required[corev1.GlusterfsVolumeSource]("endpoints", "path") }

// Flocker are the rules of a dataset of Flocker.
func Flocker() *rules.Set {
	return rules.Of[corev1.FlockerVolumeSource](rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.FlockerVolumeSource) {
		switch count(v.DatasetName != "", v.DatasetUUID != "") {
		case 0:
			c.Add(field.Required(c.Path(), "one of datasetName and datasetUUID is required"))
		case 2:
			c.Add(field.Invalid(c.Path(), "resource", "datasetName and datasetUUID can not be specified simultaneously"))
		}
		if strings.Contains(v.DatasetName, "/") {
			c.Add(field.Invalid(c.At("datasetName"), v.DatasetName, "must not contain '/'"))
		}
	})))
}

func rbd() *rules.Set {
	return rules.Of[corev1.RBDVolumeSource](
		rules.At("pool", rules.Default("rbd")),
		rules.At("user", rules.Default("admin")),
		rules.At("keyring", rules.Default("/etc/ceph/keyring")),
		rules.At("monitors", rules.Required()),
		rules.At("image", rules.Required()),
	)
}

func cinder() *rules.Set { return required[corev1.CinderVolumeSource]("volumeID", "secretRef.name") }

func cephFS() *rules.Set { return required[corev1.CephFSVolumeSource]("monitors") }

const maxTenant = 64

// Quobyte are the rules of a volume of Quobyte.
func Quobyte() *rules.Set {
	return rules.Of[corev1.QuobyteVolumeSource](
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.QuobyteVolumeSource) {
			const pairs = "must be a host:port pair or multiple pairs separated by commas"
			switch {
			case v.Registry == "":
				c.Add(field.Required(c.At("registry"), pairs))
				return
			case len(v.Tenant) > maxTenant:
				c.Add(field.Required(c.At("tenant"), "must be a UUID and may not exceed a length of 64 characters"))
				return
			}
			for pair := range strings.SplitSeq(v.Registry, ",") {
				if _, _, err := net.SplitHostPort(pair); err != nil {
					c.Add(field.Invalid(c.At("registry"), v.Registry, pairs))
				}
			}
		})),
		rules.At("volume", rules.Required()),
	)
}

// FC are the rules of a disk behind Fibre Channel.
func FC() *rules.Set {
	return rules.Of[corev1.FCVolumeSource](rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.FCVolumeSource) {
		switch count(len(v.TargetWWNs) > 0, len(v.WWIDs) > 0) {
		case 0:
			c.Add(field.Required(c.At("targetWWNs"), "must specify either targetWWNs or wwids, but not both"))
		case 2:
			c.Add(field.Invalid(c.At("targetWWNs"), v.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
		}
		if len(v.TargetWWNs) == 0 {
			return
		}
		switch {
		case v.Lun == nil:
			c.Add(field.Required(c.At("lun"), "lun is required if targetWWNs is specified"))
		case *v.Lun < 0 || *v.Lun > maxLUN:
			c.Add(field.Invalid(c.At("lun"), *v.Lun, utilvalidation.InclusiveRangeError(0, maxLUN)))
		}
	})))
}

func flexVolume() *rules.Set {
	return rules.Of[corev1.FlexVolumeSource](
		rules.At("driver", rules.Required()),
		rules.At("options", rules.EachKey(FlexOption())),
	)
}

// FlexOption asks that an option of a driver of flexible volumes is not called like those that Kubernetes adds itself.
func FlexOption() rules.Rule {
	return rules.Format(func(key string) []string {
		namespace, _, _ := strings.Cut(key, "/")
		namespace = "." + strings.ToLower(namespace)
		if strings.HasSuffix(namespace, ".kubernetes.io") || strings.HasSuffix(namespace, ".k8s.io") {
			return []string{"kubernetes.io and k8s.io namespaces are reserved"}
		}
		return nil
	})
}

func azureFile() *rules.Set { return required[corev1.AzureFileVolumeSource]("secretName", "shareName") }

// AzureDisk are the defaults and rules of a disk of Microsoft Azure.
func AzureDisk() *rules.Set {
	return rules.Of[corev1.AzureDiskVolumeSource](
		rules.At("fsType", rules.Default("ext4")),
		rules.At("readOnly", rules.Default(false)),
		rules.At("diskName", rules.Required()),
		rules.At("diskURI", rules.Required()),
		rules.At("cachingMode", rules.Default(corev1.AzureDataDiskCachingReadWrite),
			rules.Enum(corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)),
		rules.At("kind", rules.Default(corev1.AzureSharedBlobDisk),
			rules.Enum(corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)),
		rules.At("", rules.Check(checkAzureURI)),
	)
}

func checkAzureURI(c *rules.Checker, v, _ *corev1.AzureDiskVolumeSource) {
	if v.Kind == nil {
		return
	}
	managed := *v.Kind == corev1.AzureManagedDisk
	if managed && !strings.HasPrefix(v.DataDiskURI, "/subscriptions/") {
		c.Add(field.NotSupported(c.At("diskURI"), v.DataDiskURI,
			[]string{"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"}))
	}
	if !managed && !strings.HasPrefix(v.DataDiskURI, "https://") {
		c.Add(field.NotSupported(c.At("diskURI"), v.DataDiskURI,
			[]string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}))
	}
}

// Vsphere are the rules of a disk of vSphere.
func Vsphere() *rules.Set { return required[corev1.VsphereVirtualDiskVolumeSource]("volumePath") }

// Photon are the rules of a disk of the Photon Controller.
func Photon() *rules.Set { return required[corev1.PhotonPersistentDiskVolumeSource]("pdID") }

// Portworx are the rules of a volume of Portworx.
func Portworx() *rules.Set { return required[corev1.PortworxVolumeSource]("volumeID") }

func scaleIO() *rules.Set {
	return rules.Of[corev1.ScaleIOVolumeSource](
		rules.At("storageMode", rules.Default("ThinProvisioned")),
		rules.At("fsType", rules.Default("xfs")),
		rules.At("gateway", rules.Required()),
		rules.At("system", rules.Required()),
		rules.At("volumeName", rules.Required()),
	)
}

func storageOS() *rules.Set {
	return rules.Of[corev1.StorageOSVolumeSource](
		rules.At("volumeName", rules.Required(), label()),
		rules.At("volumeNamespace", rules.Optional(), label()),
		rules.At("secretRef.name", rules.Required()),
	)
}

const maxDriverName = 63

func csiVolume() *rules.Set {
	return rules.Of[corev1.CSIVolumeSource](
		rules.At("driver", rules.Required(), rules.MaxBytes(maxDriverName),
			rules.Format(func(s string) []string { return utilvalidation.IsDNS1123Subdomain(strings.ToLower(s)) })),
		rules.At("nodePublishSecretRef.name", rules.Required()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.CSIVolumeSource) {
			if v.NodePublishSecretRef == nil || v.NodePublishSecretRef.Name == "" {
				return
			}
			for _, m := range validation.NameIsDNSSubdomain(v.NodePublishSecretRef.Name, false) {
				c.Add(field.Invalid(c.At("name"), v.NodePublishSecretRef.Name, m))
			}
		})),
	)
}
