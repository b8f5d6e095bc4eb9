package resource

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// terminatingStatus is the phase shown for a volume or claim that is being deleted.
const terminatingStatus = "Terminating"

func volumeColumns() *columns {
	definitions := append([]Column{
		nameColumn(),
		textColumn("Capacity", documented(corev1.PersistentVolumeSpec{}, "capacity")),
		textColumn("Access Modes", documented(corev1.PersistentVolumeSpec{}, "accessModes")),
		textColumn("Reclaim Policy", documented(corev1.PersistentVolumeSpec{}, "persistentVolumeReclaimPolicy")),
		textColumn("Status", documented(corev1.PersistentVolumeStatus{}, "phase")),
		textColumn("Claim", documented(corev1.PersistentVolumeSpec{}, "claimRef")),
		textColumn("StorageClass", "StorageClass of the pv"),
		textColumn("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
		textColumn("Reason", documented(corev1.PersistentVolumeStatus{}, "reason")),
		ageColumn(),
	}, wideColumns(textColumn("VolumeMode", documented(corev1.PersistentVolumeSpec{}, "volumeMode")))...)
	return rowsOf(func(v *corev1.PersistentVolume) []any {
		phase, claim := string(v.Status.Phase), ""
		if v.DeletionTimestamp != nil {
			phase = terminatingStatus
		}
		if ref := v.Spec.ClaimRef; ref != nil {
			claim = ref.Namespace + "/" + ref.Name
		}
		return []any{
			v.Name, storageSize(v.Spec.Capacity), accessModes(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy),
			phase, claim, storageClass(v, v.Spec.StorageClassName), orElse(v.Spec.VolumeAttributesClassName, unset),
			v.Status.Reason, ageOf(v), volumeMode(v.Spec.VolumeMode),
		}
	}, definitions...)
}

func claimColumns() *columns {
	definitions := append([]Column{
		nameColumn(),
		textColumn("Status", documented(corev1.PersistentVolumeClaimStatus{}, "phase")),
		textColumn("Volume", documented(corev1.PersistentVolumeClaimSpec{}, "volumeName")),
		textColumn("Capacity", documented(corev1.PersistentVolumeClaimStatus{}, "capacity")),
		textColumn("Access Modes", documented(corev1.PersistentVolumeClaimStatus{}, "accessModes")),
		textColumn("StorageClass", "StorageClass of the pvc"),
		textColumn("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
		ageColumn(),
	}, wideColumns(textColumn("VolumeMode", documented(corev1.PersistentVolumeClaimSpec{}, "volumeMode")))...)
	return rowsOf(func(c *corev1.PersistentVolumeClaim) []any {
		phase, capacity, modes := string(c.Status.Phase), "", ""
		if c.DeletionTimestamp != nil {
			phase = terminatingStatus
		}
		// What an unbound claim asks for is not what it has.
		if c.Spec.VolumeName != "" {
			capacity, modes = storageSize(c.Status.Capacity), accessModes(c.Status.AccessModes)
		}
		return []any{
			c.Name, phase, c.Spec.VolumeName, capacity, modes, storageClass(c, orElse(c.Spec.StorageClassName, "")),
			orElse(c.Spec.VolumeAttributesClassName, unset), ageOf(c), volumeMode(c.Spec.VolumeMode),
		}
	}, definitions...)
}

// storageSize is the storage in a list of resources; without any it is 0.
func storageSize(list corev1.ResourceList) string {
	size := list[corev1.ResourceStorage]
	return size.String()
}

// accessModes abbreviates access modes, each once, in a fixed order.
func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	var list []string
	for _, m := range []struct {
		mode corev1.PersistentVolumeAccessMode
		text string
	}{
		{corev1.ReadWriteOnce, "RWO"},
		{corev1.ReadOnlyMany, "ROX"},
		{corev1.ReadWriteMany, "RWX"},
		{corev1.ReadWriteOncePod, "RWOP"},
	} {
		if slices.Contains(modes, m.mode) {
			list = append(list, m.text)
		}
	}
	return strings.Join(list, ",")
}

// storageClass is the class that the annotation of old names, else the given one.
func storageClass(o Object, class string) string {
	if old, ok := o.GetAnnotations()[corev1.BetaStorageClassAnnotation]; ok {
		return old
	}
	return class
}

func volumeMode(m *corev1.PersistentVolumeMode) string { return string(orElse(m, unset)) }

func storageColumns(resource string) *columns {
	switch resource {
	case "csidrivers":
		return driverColumns()
	case "storageclasses":
		return storageClassColumns()
	case "csinodes":
		return rowsOf(func(n *storagev1.CSINode) []any {
			return []any{n.Name, len(n.Spec.Drivers), ageOf(n)}
		}, nameColumn(), numberColumn("Drivers", "Drivers indicates the number of CSI drivers registered on the node"), ageColumn())
	case "volumeattributesclasses":
		return rowsOf(func(c *storagev1.VolumeAttributesClass) []any {
			return []any{c.Name, c.DriverName, ageOf(c)}
		}, nameColumn(), textColumn("DriverName", documented(storagev1.VolumeAttributesClass{}, "driverName")), ageColumn())
	case "volumeattachments":
		attacher := textColumn("Attacher", documented(storagev1.VolumeAttachmentSpec{}, "attacher"))
		attacher.Format = "name"
		return rowsOf(func(a *storagev1.VolumeAttachment) []any {
			return []any{
				a.Name, a.Spec.Attacher, orElse(a.Spec.Source.PersistentVolumeName, ""), a.Spec.NodeName, a.Status.Attached, ageOf(a),
			}
		},
			nameColumn(), attacher,
			textColumn("PV", documented(storagev1.VolumeAttachmentSource{}, "persistentVolumeName")),
			textColumn("Node", documented(storagev1.VolumeAttachmentSpec{}, "nodeName")),
			flagColumn("Attached", documented(storagev1.VolumeAttachmentStatus{}, "attached")),
			ageColumn(),
		)
	default:
		return nil
	}
}

func storageClassColumns() *columns {
	return rowsOf(func(c *storagev1.StorageClass) []any {
		return []any{
			c.Name + defaultMark(c, "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"),
			c.Provisioner, string(orElse(c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)),
			string(orElse(c.VolumeBindingMode, storagev1.VolumeBindingImmediate)), orElse(c.AllowVolumeExpansion, false), ageOf(c),
		}
	},
		nameColumn(),
		textColumn("Provisioner", documented(storagev1.StorageClass{}, "provisioner")),
		textColumn("ReclaimPolicy", documented(storagev1.StorageClass{}, "reclaimPolicy")),
		textColumn("VolumeBindingMode", documented(storagev1.StorageClass{}, "volumeBindingMode")),
		textColumn("AllowVolumeExpansion", documented(storagev1.StorageClass{}, "allowVolumeExpansion")),
		ageColumn(),
	)
}

// defaultMark follows the name of a class that one of the annotations makes the default.
func defaultMark(o Object, annotations ...string) string {
	for _, a := range annotations {
		if o.GetAnnotations()[a] == "true" {
			return " (default)"
		}
	}
	return ""
}

func driverColumns() *columns {
	field := func(name string) string { return documented(storagev1.CSIDriverSpec{}, name) }
	return rowsOf(func(d *storagev1.CSIDriver) []any {
		var modes []string
		for _, m := range d.Spec.VolumeLifecycleModes {
			modes = append(modes, string(m))
		}
		tokens := unset
		if d.Spec.TokenRequests != nil {
			var audiences []string
			for _, r := range d.Spec.TokenRequests {
				audiences = append(audiences, r.Audience)
			}
			tokens = strings.Join(audiences, ",")
		}
		return []any{
			d.Name, orElse(d.Spec.AttachRequired, true), orElse(d.Spec.PodInfoOnMount, false), orElse(d.Spec.StorageCapacity, false),
			tokens, orElse(d.Spec.RequiresRepublish, false), orText(strings.Join(modes, ","), none), ageOf(d),
		}
	},
		nameColumn(),
		flagColumn("AttachRequired", field("attachRequired")),
		flagColumn("PodInfoOnMount", field("podInfoOnMount")),
		flagColumn("StorageCapacity", field("storageCapacity")),
		textColumn("TokenRequests", field("tokenRequests")),
		flagColumn("RequiresRepublish", field("requiresRepublish")),
		textColumn("Modes", field("volumeLifecycleModes")),
		ageColumn(),
	)
}
