package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// places are the names and paths under which a container has volumes in one of the two ways. Of a name used twice the last path counts.
type places struct{ names, paths map[string]bool }

func placesOf[T any](list []T, place func(*T) (name, path string)) places {
	last := make(map[string]string, len(list))
	for i := range list {
		name, path := place(&list[i])
		last[name] = path
	}
	p := places{names: make(map[string]bool, len(last)), paths: make(map[string]bool, len(last))}
	for name, path := range last {
		p.names[name], p.paths[path] = true, true
	}
	return p
}

// checkMounts asks that volumes are mounted that the pod has, each at a path of its own, and that none is used as a device as well. What is
// wrong with paths below a volume and with propagation is reported at the path of the list, as the reference does.
func checkMounts(c *rules.Checker, v, _ *[]corev1.VolumeMount) {
	if len(*v) == 0 {
		return
	}
	ctr, _ := rules.Within[corev1.Container](c)
	volumes := factsOf(c).volumes
	devices := placesOf(ctr.VolumeDevices, func(d *corev1.VolumeDevice) (string, string) { return d.Name, d.DevicePath })
	seen := make(map[string]bool, len(*v))
	for i := range *v {
		m := &(*v)[i]
		if m.Name == "" {
			c.Add(field.Required(c.Path().Index(i).Child("name"), ""))
		}
		if volumes[m.Name] == nil {
			c.Add(field.NotFound(c.Path().Index(i).Child("name"), m.Name))
		}
		if m.MountPath == "" {
			c.Add(field.Required(c.Path().Index(i).Child("mountPath"), ""))
		}
		if seen[m.MountPath] {
			c.Add(field.Invalid(c.Path().Index(i).Child("mountPath"), m.MountPath, "must be unique"))
		}
		seen[m.MountPath] = true
		if devices.names[m.Name] {
			c.Add(field.Invalid(c.Path().Index(i).Child("name"), m.Name, "must not already exist in volumeDevices"))
		}
		if devices.paths[m.MountPath] {
			c.Add(field.Invalid(c.Path().Index(i).Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices"))
		}
		checkSubPaths(c, m, i)
		checkPropagation(c, m, ctr)
	}
}

func checkSubPaths(c *rules.Checker, m *corev1.VolumeMount, i int) {
	for _, message := range notDescending(m.SubPath) {
		c.Add(field.Invalid(c.At("subPath"), m.SubPath, message))
	}
	if m.SubPathExpr != "" && m.SubPath != "" {
		c.Add(field.Invalid(c.Path().Index(i).Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
	}
	for _, message := range notDescending(m.SubPathExpr) {
		c.Add(field.Invalid(c.At("subPathExpr"), m.SubPathExpr, message))
	}
}

// checkPropagation asks that only a privileged container passes its mounts on to the node, and none that is read-only all the way down.
func checkPropagation(c *rules.Checker, m *corev1.VolumeMount, ctr *corev1.Container) {
	propagates := false
	if p := m.MountPropagation; p != nil {
		switch *p {
		case corev1.MountPropagationNone:
		case corev1.MountPropagationHostToContainer:
			propagates = true
		case corev1.MountPropagationBidirectional:
			propagates = true
			if ctr.SecurityContext == nil || !isTrue(ctr.SecurityContext.Privileged) {
				c.Add(field.Forbidden(c.At("mountPropagation"), "Bidirectional mount propagation is available only to privileged containers"))
			}
		default:
			propagates = true
			c.Add(field.NotSupported(c.At("mountPropagation"), *p, []corev1.MountPropagationMode{
				corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone,
			}))
		}
	}
	if m.RecursiveReadOnly == nil {
		return
	}
	switch *m.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyDisabled:
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		if !m.ReadOnly {
			c.Add(field.Forbidden(c.At("recursiveReadOnly"), "may only be specified when readOnly is true"))
		}
		if propagates {
			c.Add(field.Forbidden(c.At("recursiveReadOnly"), "may only be specified when mountPropagation is None or not specified"))
		}
	default:
		c.Add(field.NotSupported(c.At("recursiveReadOnly"), *m.RecursiveReadOnly, []corev1.RecursiveReadOnlyMode{
			corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible,
		}))
	}
}

// checkDevices asks for claims that the pod has, each at a path of its own, and none of them mounted as well.
func checkDevices(c *rules.Checker, v, _ *[]corev1.VolumeDevice) {
	if len(*v) == 0 {
		return
	}
	ctr, _ := rules.Within[corev1.Container](c)
	volumes := factsOf(c).volumes
	mounts := placesOf(ctr.VolumeMounts, func(m *corev1.VolumeMount) (string, string) { return m.Name, m.MountPath })
	names, paths := map[string]bool{}, map[string]bool{}
	for i := range *v {
		d := &(*v)[i]
		invalid := func(name, value, message string) { c.Add(field.Invalid(c.Path().Index(i).Child(name), value, message)) }
		if d.Name == "" {
			c.Add(field.Required(c.Path().Index(i).Child("name"), ""))
		}
		if names[d.Name] {
			invalid("name", d.Name, "must be unique")
		}
		switch volume := volumes[d.Name]; {
		case volume == nil:
			c.Add(field.NotFound(c.Path().Index(i).Child("name"), d.Name))
		case volume.PersistentVolumeClaim == nil && volume.Ephemeral == nil:
			invalid("name", d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
		}
		if d.DevicePath == "" {
			c.Add(field.Required(c.Path().Index(i).Child("devicePath"), ""))
		}
		if paths[d.DevicePath] {
			invalid("devicePath", d.DevicePath, "must be unique")
		}
		if len(backsteps(d.DevicePath)) > 0 {
			invalid("devicePath", d.DevicePath, "can not contain backsteps ('..')")
		} else {
			paths[d.DevicePath] = true
		}
		names[d.Name] = d.Name != ""
		checkMountedDevice(d, mounts, invalid)
	}
}

func checkMountedDevice(d *corev1.VolumeDevice, mounts places, invalid func(name, value, message string)) {
	if mounts.names[d.Name] {
		invalid("name", d.Name, "must not already exist in volumeMounts")
	}
	if mounts.paths[d.DevicePath] {
		invalid("devicePath", d.DevicePath, "must not already exist as a path in volumeMounts")
	}
}
