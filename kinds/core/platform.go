package core

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// checkOS asks that a pod which names its operating system has nothing that only another one knows.
func checkOS(c *rules.Checker, v, _ *corev1.PodSpec) {
	if v.OS == nil {
		return
	}
	switch v.OS.Name {
	case corev1.Linux:
		checkLinux(c, v)
	case corev1.Windows:
		checkWindows(c, v)
	case "":
		c.Add(field.Required(c.At("os", "name"), ""))
	default:
		c.Add(field.NotSupported(c.At("os"), v.OS.Name, []corev1.OSName{corev1.Linux, corev1.Windows}))
	}
}

func checkLinux(c *rules.Checker, v *corev1.PodSpec) {
	const why = "windows options cannot be set for a linux pod"
	if v.SecurityContext != nil && v.SecurityContext.WindowsOptions != nil {
		c.Add(field.Forbidden(c.At("securityContext", "windowsOptions"), why))
	}
	eachContainer(v, func(list string, i int, ctr *corev1.Container) {
		if ctr.SecurityContext != nil && ctr.SecurityContext.WindowsOptions != nil {
			c.Add(field.Forbidden(c.At(list).Index(i).Child("securityContext", "windowsOptions"), why))
		}
	})
}

// checkWindows goes by lists of paths, in the order in which they are reported.
func checkWindows(c *rules.Checker, v *corev1.PodSpec) {
	if v.SecurityContext != nil {
		for _, path := range []string{
			"securityContext.appArmorProfile", "securityContext.seLinuxOptions", "hostUsers", "hostPID", "hostIPC",
			"securityContext.seccompProfile", "securityContext.fsGroup", "securityContext.fsGroupChangePolicy", "securityContext.sysctls",
			"shareProcessNamespace", "securityContext.runAsUser", "securityContext.runAsGroup", "securityContext.supplementalGroups",
			"securityContext.supplementalGroupsPolicy", "securityContext.seLinuxChangePolicy",
		} {
			forbidOnWindows(c, c.Path(), reflect.ValueOf(v).Elem(), path)
		}
	}
	eachContainer(v, func(list string, i int, ctr *corev1.Container) {
		if ctr.SecurityContext == nil {
			return
		}
		for _, name := range []string{
			"appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
			"allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
		} {
			forbidOnWindows(c, c.At(list).Index(i).Child("securityContext"), reflect.ValueOf(ctr.SecurityContext).Elem(), name)
		}
	})
}

func forbidOnWindows(c *rules.Checker, p *field.Path, v reflect.Value, path string) {
	for name := range strings.SplitSeq(path, ".") {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		p = p.Child(name)
		v = v.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
	}
	if !v.IsZero() && (path != "securityContext.sysctls" || v.Len() > 0) {
		c.Add(field.Forbidden(p, "cannot be set for a windows pod"))
	}
}

// checkUserNamespace refuses what a pod cannot share with its node while it has users of its own.
func checkUserNamespace(c *rules.Checker, v, _ *corev1.PodSpec) {
	if v.HostUsers == nil || *v.HostUsers {
		return
	}
	const why = "when `hostUsers` is false"
	if v.HostNetwork && !factsOf(c).exempt(hostNetworkInUserNamespace, func(old *corev1.PodSpec) bool {
		return old.HostNetwork && old.HostUsers != nil && !*old.HostUsers
	}) {
		c.Add(field.Forbidden(c.At("hostNetwork"), why))
	}
	if v.HostPID {
		c.Add(field.Forbidden(c.At("HostPID"), why))
	}
	if v.HostIPC {
		c.Add(field.Forbidden(c.At("HostIPC"), why))
	}
	hasDevices := func(ctr *corev1.Container) bool { return len(ctr.VolumeDevices) > 0 }
	eachContainer(v, func(list string, i int, ctr *corev1.Container) {
		if hasDevices(ctr) && !factsOf(c).exempt(devicesInUserNamespace, func(old *corev1.PodSpec) bool {
			return old.HostUsers != nil && !*old.HostUsers && anyContainer(old, hasDevices)
		}) {
			c.Add(field.Forbidden(c.At(list).Index(i).Child("volumeDevices"), why))
		}
	})
}

// checkHostNetworkPorts asks that a port which is open on the node as it is has no other number there. A template may leave the number
// out, which a pod cannot, as it is filled in.
func checkHostNetworkPorts(c *rules.Checker, v, _ *corev1.PodSpec) {
	if !v.HostNetwork {
		return
	}
	for i := range v.Containers {
		for j, p := range v.Containers[i].Ports {
			if p.HostPort != p.ContainerPort && (p.HostPort != 0 || factsOf(c).standsAlone) {
				c.Add(field.Invalid(c.At("containers").Index(i).Child("ports").Index(j).Child("hostPort"), p.HostPort,
					"must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
}
