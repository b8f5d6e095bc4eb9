package core

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// securityContext are the rules of what a container may do to its node.
func securityContext() *rules.Set {
	return rules.Of[corev1.SecurityContext](
		rules.At("runAsUser", userID()),
		rules.At("runAsGroup", groupID()),
		rules.At("procMount", rules.Check(checkProcMount)),
		rules.At("seccompProfile", seccompProfile()),
		rules.At("", rules.Check(checkEscalation)),
		rules.At("windowsOptions", windowsOptions()),
		rules.At("appArmorProfile", appArmorProfile()),
	)
}

// podSecurityContext are the rules of what goes for all containers of a pod.
func podSecurityContext() *rules.Set {
	return rules.Of[corev1.PodSecurityContext](
		rules.At("fsGroup", groupID()),
		rules.At("runAsUser", userID()),
		rules.At("runAsGroup", groupID()),
		rules.At("supplementalGroups", rules.Each(groupID())),
		rules.At("", rules.Check(checkSharedProcesses)),
		rules.At("sysctls", rules.Check(checkSysctls)),
		rules.At("fsGroupChangePolicy", rules.Enum(corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)),
		rules.At("seccompProfile", seccompProfile()),
		rules.At("windowsOptions", windowsOptions()),
		rules.At("appArmorProfile", appArmorProfile()),
		rules.At("supplementalGroupsPolicy", rules.Enum(corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)),
		rules.At("seLinuxChangePolicy", rules.Check(checkChangePolicy)),
	)
}

func checkProcMount(c *rules.Checker, v, _ *corev1.ProcMountType) {
	switch *v {
	case corev1.DefaultProcMount:
	case corev1.UnmaskedProcMount:
		if factsOf(c).hostUsers() {
			c.Add(field.Invalid(c.Path(), *v, "`hostUsers` must be false to use `Unmasked`"))
		}
	default:
		c.Add(field.NotSupported(c.Path(), *v, []corev1.ProcMountType{corev1.DefaultProcMount, corev1.UnmaskedProcMount}))
	}
}

// checkEscalation refuses what contradicts itself: no more rights than at the start, and all rights.
func checkEscalation(c *rules.Checker, v, _ *corev1.SecurityContext) {
	if v.AllowPrivilegeEscalation == nil || *v.AllowPrivilegeEscalation {
		return
	}
	if isTrue(v.Privileged) {
		c.Add(field.Invalid(c.Path(), rules.Shown(v), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if v.Capabilities == nil {
		return
	}
	for _, capability := range v.Capabilities.Add {
		if capability == "CAP_SYS_ADMIN" {
			c.Add(field.Invalid(c.Path(), rules.Shown(v), "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
		}
	}
}

func checkSharedProcesses(c *rules.Checker, _, _ *corev1.PodSecurityContext) {
	spec, _ := rules.Within[corev1.PodSpec](c)
	if spec.HostPID && isTrue(spec.ShareProcessNamespace) {
		c.Add(field.Invalid(c.At("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
}

// checkChangePolicy allows the policy that relabels by mount options only to pods that have it already.
func checkChangePolicy(c *rules.Checker, v, _ *corev1.PodSELinuxChangePolicy) {
	allowed := []corev1.PodSELinuxChangePolicy{corev1.SELinuxChangePolicyRecursive}
	if factsOf(c).exempt(changePolicyInUse, func(old *corev1.PodSpec) bool {
		return old.SecurityContext != nil && old.SecurityContext.SELinuxChangePolicy != nil
	}) {
		allowed = []corev1.PodSELinuxChangePolicy{corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive}
	}
	for _, a := range allowed {
		if *v == a {
			return
		}
	}
	c.Add(field.NotSupported(c.Path(), *v, allowed))
}

const maxSysctl = 253

var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func checkSysctls(c *rules.Checker, v, _ *[]corev1.Sysctl) {
	spec, _ := rules.Within[corev1.PodSpec](c)
	seen := make(map[string]bool, len(*v))
	for i := range *v {
		name := (*v)[i].Name
		p := func() *field.Path { return c.Path().Index(i).Child("name") }
		switch {
		case name == "":
			c.Add(field.Required(p(), ""))
		case len(name) > maxSysctl || !sysctlName.MatchString(name):
			c.Add(field.Invalid(p(), name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctl, sysctlName)))
		case seen[name]:
			c.Add(field.Duplicate(p(), name))
		}
		seen[name] = true
		if why := ofHost(spec, name); why != "" && !factsOf(c).exempt(hostSysctl, hasHostSysctl) {
			c.Add(field.Invalid(p(), name, why))
		}
	}
}

func hasHostSysctl(spec *corev1.PodSpec) bool {
	if spec.SecurityContext == nil {
		return false
	}
	for _, s := range spec.SecurityContext.Sysctls {
		if ofHost(spec, s.Name) != "" {
			return true
		}
	}
	return false
}

// ofHost tells why a parameter of the kernel would be set for the whole node: it belongs to a namespace that the pod shares with it.
func ofHost(spec *corev1.PodSpec, name string) string {
	name = dotted(name)
	name, _, _ = strings.Cut(name, "*")
	switch {
	case spec.HostNetwork && strings.HasPrefix(name, "net."):
		return "may not be specified when 'hostNetwork' is true"
	case spec.HostIPC && isIPC(name):
		return "may not be specified when 'hostIPC' is true"
	}
	return ""
}

// dotted is the form of a parameter's name with dots between its parts, where slashes are allowed as well and decide if they come first.
func dotted(name string) string {
	first := strings.IndexAny(name, "./")
	if first < 0 || name[first] == '.' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, name)
}

func isIPC(name string) bool {
	switch name {
	case "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.shm", "kernel.msgmax",
		"kernel.msgmnb", "kernel.msgmni", "kernel.msg":
		return true
	}
	return strings.HasPrefix(name, "fs.mqueue.")
}
