package services

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// CheckAddresses refuses clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy that are not valid or contradict one another. It comes
// before anything is taken by them, and once more when all is complete. old is nil for a new Service. A Service that is the name of
// something outside has none of them, and is not looked at.
func CheckAddresses(svc, old *corev1.Service) (errs field.ErrorList) {
	if isExternalName(svc) {
		return nil
	}
	errs = append(errs, checkInStep(svc)...)
	seen := map[corev1.IPFamily]bool{}
	for i, f := range svc.Spec.IPFamilies {
		if f != corev1.IPv4Protocol && f != corev1.IPv6Protocol {
			errs = append(errs, field.NotSupported(familiesPath.Index(i), f, []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}))
		}
		if seen[f] {
			errs = append(errs, field.Duplicate(familiesPath.Index(i), f))
		}
		seen[f] = true
	}
	known := []corev1.IPFamilyPolicy{corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack}
	if svc.Spec.IPFamilyPolicy != nil && !slices.Contains(known, *svc.Spec.IPFamilyPolicy) {
		errs = append(errs, field.NotSupported(policyPath, svc.Spec.IPFamilyPolicy, known))
	}
	invalidIPs, wrong := checkIPs(svc, old)
	errs = append(errs, wrong...)
	ips := svc.Spec.ClusterIPs
	if len(ips) > 2 {
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "may only hold up to 2 values"))
	}
	if invalidIPs {
		return errs // What follows would be said of addresses that are none.
	}
	if len(ips) > 1 && !dualStack(ips) {
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "may specify no more than one IP for each IP family"))
	}
	return append(errs, checkMatch(svc)...)
}

// checkInStep refuses a clusterIP that is not the first of clusterIPs.
func checkInStep(svc *corev1.Service) (errs field.ErrorList) {
	ip, ips := svc.Spec.ClusterIP, svc.Spec.ClusterIPs
	switch {
	case ip == "" && len(ips) > 0:
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "must be empty when `clusterIP` is not specified"))
	case ip != "" && len(ips) == 0:
		errs = append(errs, field.Required(clusterIPsPath, ""))
	case ip != "" && ips[0] != ip:
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "first value must match `clusterIP`"))
	}
	return errs
}

// checkIPs refuses what is no address. An address that the stored object has may be written as earlier releases allowed.
func checkIPs(svc, old *corev1.Service) (found bool, errs field.ErrorList) {
	var had []string
	if old != nil {
		had = old.Spec.ClusterIPs
	}
	for i, ip := range svc.Spec.ClusterIPs {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(svc.Spec.ClusterIPs) > 1 {
				found = true
				errs = append(errs, field.Invalid(clusterIPsPath, svc.Spec.ClusterIPs, "'None' must be the first and only value"))
			}
			continue
		}
		wrong := validation.IsValidIPForLegacyField(clusterIPsPath.Index(i), ip, true, had)
		found = found || len(wrong) > 0
		errs = append(errs, wrong...)
	}
	return found, errs
}

// dualStack reports whether the addresses are of both families. More than two are so too if both are among them.
func dualStack(ips []string) bool {
	has4, has6 := false, false
	for _, ip := range ips {
		has4, has6 = has4 || !isIPv6(ip), has6 || isIPv6(ip)
	}
	return has4 && has6
}

// checkMatch refuses an address that is not of the family at its place.
func checkMatch(svc *corev1.Service) (errs field.ErrorList) {
	if isHeadless(svc) {
		return nil
	}
	for i, ip := range svc.Spec.ClusterIPs[:min(len(svc.Spec.ClusterIPs), len(svc.Spec.IPFamilies))] {
		if f := svc.Spec.IPFamilies[i]; (f == corev1.IPv4Protocol && isIPv6(ip)) || (f == corev1.IPv6Protocol && !isIPv6(ip)) {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", f, i)))
		}
	}
	return errs
}
