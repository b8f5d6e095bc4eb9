package core

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// podStatusFields are the rules for a status that a kubelet, or whoever stands in for one, reports.
func podStatusFields() []rules.Entry {
	return []rules.Entry{
		rules.At("", rules.Check(func(c *rules.Checker, pod, old *corev1.Pod) { checkAnnotationChanges(c, pod, old) })),
		rules.At("status.conditions", rules.Check(checkConditions)),
		rules.At("", rules.Check(checkNomination)),
		rules.At("status.observedGeneration", rules.Check(checkGeneration)),
		rules.At("status.qosClass", rules.Immutable()),
		rules.At("", rules.Check(checkTransitions)),
		rules.At("", rules.Check(checkClaimStatuses)),
		rules.At("status.extendedResourceClaimStatus", rules.Check(checkExtendedClaim)),
		rules.At("", rules.Check(checkAddresses)),
		rules.At("", rules.Check(checkContainerStatuses)),
		rules.At("", rules.Check(warnOfAddresses)),
	}
}

// updatePodStatus keeps what clients from before a field leave out without meaning to clear it.
func updatePodStatus(pod, old *corev1.Pod) {
	s, was := &pod.Status, &old.Status
	if s.QOSClass == "" {
		s.QOSClass = was.QOSClass
	}
	if s.ObservedGeneration == 0 {
		s.ObservedGeneration = was.ObservedGeneration
	}
	seen := map[corev1.PodConditionType][]int64{} // There may be several conditions of a type.
	for _, condition := range was.Conditions {
		seen[condition.Type] = append(seen[condition.Type], condition.ObservedGeneration)
	}
	for i := range s.Conditions {
		var before int64
		if left := seen[s.Conditions[i].Type]; len(left) > 0 {
			before, seen[s.Conditions[i].Type] = left[0], left[1:]
		}
		if s.Conditions[i].ObservedGeneration == 0 {
			s.Conditions[i].ObservedGeneration = before
		}
	}
	dropGatedStatus(s, was)
}

// dropGatedStatus is [DropGated] for a status.
func dropGatedStatus(s, old *corev1.PodStatus) {
	if len(old.NodeAllocatableResourceClaimStatuses) == 0 {
		s.NodeAllocatableResourceClaimStatuses = nil
	}
	inUse := false
	eachMountStatus(old, func(m *corev1.VolumeMountStatus) { inUse = inUse || m.VolumeStatus != nil })
	if !inUse {
		eachMountStatus(s, func(m *corev1.VolumeMountStatus) { m.VolumeStatus = nil })
	}
}

func eachMountStatus(s *corev1.PodStatus, f func(*corev1.VolumeMountStatus)) {
	for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			for j := range list[i].VolumeMounts {
				f(&list[i].VolumeMounts[j])
			}
		}
	}
}

const notAGeneration = "must be a non-negative integer"

func checkGeneration(c *rules.Checker, v, _ *int64) {
	if *v < 0 {
		c.Add(field.Invalid(c.Path(), *v, notAGeneration))
	}
}

func checkConditions(c *rules.Checker, v, _ *[]corev1.PodCondition) {
	for i := range *v {
		condition := &(*v)[i]
		if condition.ObservedGeneration < 0 {
			c.Add(field.Invalid(c.Path().Index(i).Child("observedGeneration"), condition.ObservedGeneration, notAGeneration))
		}
		switch condition.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
			continue
		}
		for _, m := range utilvalidation.IsQualifiedName(string(condition.Type)) {
			c.Add(field.Invalid(c.Path().Index(i).Child("Type"), string(condition.Type), m))
		}
	}
}

// checkNomination lets a pod be meant for a node only until it has one.
func checkNomination(c *rules.Checker, pod, old *corev1.Pod) {
	name := pod.Status.NominatedNodeName
	if name == "" || name == old.Status.NominatedNodeName {
		return
	}
	for _, m := range validation.NameIsDNSSubdomain(name, false) {
		c.Add(field.Invalid(c.At("status", "nominatedNodeName"), name, m))
	}
	if old.Spec.NodeName != "" {
		c.Add(field.Forbidden(c.At("status", "nominatedNodeName"), "may not be set on pods that are already bound to a node"))
	}
}

// checkAddresses asks for at most one address of each family.
func checkAddresses(c *rules.Checker, pod, old *corev1.Pod) {
	own, before := make([]string, len(pod.Status.PodIPs)), make([]string, len(old.Status.PodIPs))
	for i := range own {
		own[i] = pod.Status.PodIPs[i].IP
	}
	for i := range before {
		before[i] = old.Status.PodIPs[i].IP
	}
	checkFamilies(c, "podIPs", own, before, rules.Shown(pod.Status.PodIPs))
	if len(pod.Status.HostIPs) == 0 {
		return
	}
	if first := pod.Status.HostIPs[0].IP; first != pod.Status.HostIP {
		c.Add(field.Invalid(c.At("status", "hostIPs").Index(0).Child("ip"), first, "must be equal to `hostIP`"))
	}
	own, before = make([]string, len(pod.Status.HostIPs)), make([]string, len(old.Status.HostIPs))
	for i := range own {
		own[i] = pod.Status.HostIPs[i].IP
	}
	for i := range before {
		before[i] = old.Status.HostIPs[i].IP
	}
	checkFamilies(c, "hostIPs", own, before, rules.Shown(pod.Status.HostIPs))
}

func checkFamilies(c *rules.Checker, name string, addresses, before []string, shown any) {
	v4, v6, bad := 0, 0, -1
	for i, s := range addresses {
		if len(utilvalidation.IsValidIPForLegacyField(nil, s, true, before)) > 0 {
			c.Add(utilvalidation.IsValidIPForLegacyField(c.At("status", name).Index(i), s, true, before)...)
		}
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil && bad < 0:
			bad = i
		case err == nil && a.Is4():
			v4++
		case err == nil:
			v6++
		}
	}
	if len(addresses) < 2 {
		return
	}
	if bad >= 0 {
		c.Add(field.InternalError(c.At("status", name), fmt.Errorf("failed to check for dual stack with error:invalid IP[%d]: %s", bad, addresses[bad])))
	}
	if bad >= 0 || v4 == 0 || v6 == 0 || len(addresses) > 2 {
		c.Add(field.Invalid(c.At("status", name), shown, "may specify no more than one IP for each IP family"))
	}
}

func warnOfAddresses(c *rules.Checker, pod, _ *corev1.Pod) {
	for i := range pod.Status.PodIPs {
		warnOfAddress(c, pod.Status.PodIPs[i].IP, func() *field.Path { return c.At("status", "podIPs").Index(i).Child("ip") })
	}
	for i := range pod.Status.HostIPs {
		warnOfAddress(c, pod.Status.HostIPs[i].IP, func() *field.Path { return c.At("status", "hostIPs").Index(i).Child("ip") })
	}
}

// warnOfAddress warns of addresses that different programs read differently.
func warnOfAddress(c *rules.Checker, s string, at func() *field.Path) {
	if a, err := netip.ParseAddr(s); err == nil && a.String() == s && !a.Is4In6() {
		return
	}
	if len(ipAddress(nil, s)) == 0 {
		for _, text := range utilvalidation.GetWarningsForIP(at(), s) {
			c.Warn(text)
		}
	}
}
