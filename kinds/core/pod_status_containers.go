package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// checkTransitions keeps containers that have ended from coming back to life, unless they are restarted.
func checkTransitions(c *rules.Checker, pod, old *corev1.Pod) {
	spec := &old.Spec
	restartsAll := anyContainer(spec, func(ctr *corev1.Container) bool {
		return slices.ContainsFunc(ctr.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		})
	})
	never := func(string, int32) bool { return false }
	if !restartsAll {
		checkRevived(c, "containerStatuses", pod.Status.ContainerStatuses, old.Status.ContainerStatuses, restarter(spec, spec.Containers))
		checkRevived(c, "initContainerStatuses", pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses,
			restarter(spec, spec.InitContainers))
	}
	checkRevived(c, "ephemeralContainerStatuses", pod.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses, never)
}

// restarter tells by name and exit code whether a container is started again.
func restarter(spec *corev1.PodSpec, containers []corev1.Container) func(string, int32) bool {
	return func(name string, code int32) bool {
		i := slices.IndexFunc(containers, func(ctr corev1.Container) bool { return ctr.Name == name })
		return i >= 0 && isRestarted(&containers[i], spec.RestartPolicy, code)
	}
}

func isRestarted(ctr *corev1.Container, policy corev1.RestartPolicy, code int32) bool {
	if own := ctr.RestartPolicy; own != nil {
		for _, r := range ctr.RestartPolicyRules {
			if r.ExitCodes == nil {
				continue
			}
			in := r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn
			if slices.Contains(r.ExitCodes.Values, code) == in {
				return true
			}
		}
		policy = corev1.RestartPolicy(*own) // The names are the same.
	}
	return policy != corev1.RestartPolicyNever && (policy != corev1.RestartPolicyOnFailure || code != 0)
}

func checkRevived(c *rules.Checker, list string, statuses, old []corev1.ContainerStatus, restarted func(string, int32) bool) {
	alive := make(map[string]bool, len(statuses))
	for i := range statuses {
		if _, seen := alive[statuses[i].Name]; !seen || list == "ephemeralContainerStatuses" {
			alive[statuses[i].Name] = alive[statuses[i].Name] || statuses[i].State.Terminated == nil
		}
	}
	for i := range old {
		ended := old[i].State.Terminated
		if ended != nil && alive[old[i].Name] && !restarted(old[i].Name, ended.ExitCode) {
			c.Add(field.Forbidden(c.At("status", list).Index(i).Child("state"), "may not be transitioned to non-terminated state"))
		}
	}
}

// checkContainerStatuses are the rules of users and of devices that containers report.
func checkContainerStatuses(c *rules.Checker, pod, _ *corev1.Pod) {
	s := &pod.Status
	windows := pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows
	checkUsers(c, "containerStatuses", s.ContainerStatuses, windows)
	checkUsers(c, "initContainerStatuses", s.InitContainerStatuses, windows)
	checkUsers(c, "ephemeralContainerStatuses", s.EphemeralContainerStatuses, windows)
	checkHealth(c, "containerStatuses", s.ContainerStatuses, pod.Spec.Containers)
	checkHealth(c, "initContainerStatuses", s.InitContainerStatuses, pod.Spec.InitContainers)
	for i := range s.EphemeralContainerStatuses {
		if len(s.EphemeralContainerStatuses[i].AllocatedResourcesStatus) > 0 {
			c.Add(field.Forbidden(c.At("status", "ephemeralContainerStatuses").Index(i).Child("allocatedResourcesStatus"),
				"must not be specified in container status"))
		}
	}
}

func checkUsers(c *rules.Checker, list string, statuses []corev1.ContainerStatus, windows bool) {
	for i := range statuses {
		if statuses[i].User == nil || statuses[i].User.Linux == nil {
			continue
		}
		at := func() *field.Path { return c.At("status", list).Index(i).Child("user", "linux") }
		user := statuses[i].User.Linux
		if windows {
			c.Add(field.Forbidden(at(), "cannot be set for a windows pod"))
			continue
		}
		for _, m := range utilvalidation.IsValidUserID(user.UID) {
			c.Add(field.Invalid(at().Child("uid"), user.UID, m))
		}
		for _, m := range utilvalidation.IsValidGroupID(user.GID) {
			c.Add(field.Invalid(at().Child("gid"), user.GID, m))
		}
		for j, gid := range user.SupplementalGroups {
			for _, m := range utilvalidation.IsValidGroupID(gid) {
				c.Add(field.Invalid(at().Child("supplementalGroups").Index(j), gid, m))
			}
		}
	}
}

// checkHealth asks that devices belong to what the container asked for.
func checkHealth(c *rules.Checker, list string, statuses []corev1.ContainerStatus, containers []corev1.Container) {
	for i := range statuses {
		k := slices.IndexFunc(containers, func(ctr corev1.Container) bool { return ctr.Name == statuses[i].Name })
		for j := range statuses[i].AllocatedResourcesStatus {
			a := &statuses[i].AllocatedResourcesStatus[j]
			at := func() *field.Path { return c.At("status", list).Index(i).Child("allocatedResourcesStatus").Index(j) }
			if k >= 0 {
				if why := notAllocated(&containers[k], string(a.Name)); why != "" {
					c.Add(field.Invalid(at().Child("name"), a.Name, why))
				}
			}
			checkDeviceHealth(c, a.Resources, at)
		}
	}
}

func notAllocated(ctr *corev1.Container, name string) string {
	if !strings.HasPrefix(name, "claim:") {
		if _, ok := ctr.Resources.Requests[corev1.ResourceName(name)]; ok {
			return ""
		}
		return "must match one of the container's resource requests"
	}
	for _, use := range ctr.Resources.Claims {
		full := "claim:" + use.Name
		if use.Request != "" {
			full += "/" + use.Request
		}
		if full == name {
			return ""
		}
	}
	return "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"
}

func checkDeviceHealth(c *rules.Checker, devices []corev1.ResourceHealth, at func() *field.Path) {
	seen := map[corev1.ResourceID]bool{}
	for k, d := range devices {
		p := func() *field.Path { return at().Child("resources").Index(k) }
		switch d.Health {
		case corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown:
		default:
			c.Add(field.NotSupported(p().Child("health"), d.Health, []corev1.ResourceHealthStatus{
				corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown,
			}))
		}
		if m := d.Message; m != nil && *m == "" {
			c.Add(field.Required(p().Child("message"), "must be non-empty if specified"))
		} else if m != nil && len(*m) > corev1.ResourceHealthMessageMaxLength {
			c.Add(field.TooLong(p().Child("message"), "", corev1.ResourceHealthMessageMaxLength))
		}
		if seen[d.ResourceID] {
			c.Add(field.Duplicate(p().Child("resourceID"), d.ResourceID))
		}
		seen[d.ResourceID] = true
	}
}

// checkClaimStatuses asks that what is reported about claims belongs to the claims of the pod.
func checkClaimStatuses(c *rules.Checker, pod, _ *corev1.Pod) {
	known, seen := map[string]bool{}, map[string]bool{}
	for i := range pod.Spec.ResourceClaims {
		known[pod.Spec.ResourceClaims[i].Name] = true
	}
	for i, s := range pod.Status.ResourceClaimStatuses {
		at := func(name string) *field.Path { return c.At("status", "resourceClaimStatuses").Index(i).Child(name) }
		if !known[s.Name] {
			c.Add(field.Invalid(at("name"), s.Name, "must match the name of an entry in `spec.resourceClaims`"))
		}
		if seen[s.Name] {
			c.Add(field.Duplicate(at("name"), s.Name))
		}
		seen[s.Name] = true
		if s.ResourceClaimName != nil {
			for _, m := range validation.NameIsDNSSubdomain(*s.ResourceClaimName, false) {
				c.Add(field.Invalid(at("resourceClaimName"), *s.ResourceClaimName, m))
			}
		}
	}
}

// checkExtendedClaim are the rules of a claim that was made for resources which containers ask for by name.
func checkExtendedClaim(c *rules.Checker, v, _ *corev1.PodExtendedResourceClaimStatus) {
	pod, _ := rules.Within[corev1.Pod](c)
	if len(v.RequestMappings) == 0 {
		c.Add(field.Required(c.At("requestMappings"), "at least one request mapping is required"))
	}
	type mapping struct{ container, resource, request string }
	containers, seen := map[string]*corev1.Container{}, map[mapping]bool{}
	eachContainer(&pod.Spec, func(list string, _ int, ctr *corev1.Container) {
		if list != "ephemeralContainers" {
			containers[ctr.Name] = ctr
		}
	})
	for i, m := range v.RequestMappings {
		at := func(name string) *field.Path { return c.At("requestMappings").Index(i).Child(name) }
		if ctr := containers[m.ContainerName]; ctr == nil {
			c.Add(field.Invalid(at("containerName"), m.ContainerName,
				"must match the name of an entry in spec.initContainers.name or spec.containers.name"))
		} else if _, ok := ctr.Resources.Requests[corev1.ResourceName(m.ResourceName)]; !ok {
			c.Add(field.Invalid(at("resourceName"), m.ResourceName, "must match the extended resource name of an entry in "+
				"spec.initContainers.resources.requests or spec.containers.resources.requests"))
		}
		for _, message := range utilvalidation.IsDNS1123Label(m.RequestName) {
			c.Add(field.Invalid(c.At("requestName"), m.RequestName, message))
		}
		key := mapping{m.ContainerName, m.ResourceName, m.RequestName}
		if seen[key] {
			c.Add(field.Duplicate(at("containerName"), m.ContainerName), field.Duplicate(at("resourceName"), m.ResourceName),
				field.Duplicate(at("requestName"), m.RequestName))
		}
		seen[key] = true
	}
	if v.ResourceClaimName == "" {
		c.Add(field.Required(c.At("resourceClaimName"), ""))
		return
	}
	for _, m := range validation.NameIsDNSSubdomain(v.ResourceClaimName, false) {
		c.Add(field.Invalid(c.At("resourceClaimName"), v.ResourceClaimName, m))
	}
}
