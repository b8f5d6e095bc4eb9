package services

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// completeFamilies fills in the policy and the families of a Service from what it says, what it was and what the cluster has. It
// refuses what cannot be. old is nil for a new Service.
func (a *Allocator) completeFamilies(svc, old *corev1.Service) error {
	if isExternalName(svc) || keepsPreference(svc, old) {
		return nil
	}
	defaultPolicy(svc, old)
	if errs := CheckAddresses(svc, old); len(errs) > 0 {
		return invalid(svc.Name, errs...)
	}
	errs := narrow(svc, old)
	errs = append(errs, checkSingle(svc)...)
	errs = append(errs, a.familiesOfAddresses(svc)...)
	if len(errs) > 0 {
		return invalid(svc.Name, errs...)
	}
	if isHeadless(svc) && len(svc.Spec.Selector) == 0 {
		// What is behind such a Service is not known to the cluster, so it may have families that the cluster has not.
		a.addFamilies(svc, 2)
		return nil
	}
	if errs := a.checkConfigured(svc); len(errs) > 0 {
		return invalid(svc.Name, errs...)
	}
	a.addFamilies(svc, len(a.Families))
	return nil
}

// keepsPreference reports whether an update leaves alone a Service that prefers two families. Such a Service is not to gain or lose an
// address by an update of something else after the cluster has gained or lost a family.
func keepsPreference(svc, old *corev1.Service) bool {
	if old == nil || svc.Spec.IPFamilyPolicy == nil || old.Spec.Type != svc.Spec.Type || isExternalName(svc) {
		return false
	}
	for _, s := range []*corev1.Service{svc, old} {
		if s.Spec.IPFamilyPolicy != nil && *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack {
			return false
		}
	}
	return sameIPs(svc, old) && sameFamilies(svc, old)
}

// defaultPolicy sets a policy where there is none. There is no fixed default, since a Service changes between one family and two only when
// it is told to.
func defaultPolicy(svc, old *corev1.Service) {
	switch {
	case svc.Spec.IPFamilyPolicy != nil:
	case old != nil && old.Spec.IPFamilyPolicy != nil:
		svc.Spec.IPFamilyPolicy = set(*old.Spec.IPFamilyPolicy)
	case isHeadless(svc) && len(svc.Spec.Selector) == 0:
		svc.Spec.IPFamilyPolicy = set(corev1.IPFamilyPolicyRequireDualStack)
	default:
		svc.Spec.IPFamilyPolicy = set(corev1.IPFamilyPolicySingleStack)
	}
}

// narrow takes the second address and family away where an update says SingleStack and no more, and refuses to take them away
// where it does not say so.
func narrow(svc, old *corev1.Service) (errs field.ErrorList) {
	if old == nil {
		return nil
	}
	if policyOf(svc) == corev1.IPFamilyPolicySingleStack {
		if sameIPs(svc, old) && len(svc.Spec.ClusterIPs) > 1 {
			svc.Spec.ClusterIPs = slices.Clone(svc.Spec.ClusterIPs[:1])
		}
		if sameFamilies(svc, old) && len(svc.Spec.IPFamilies) > 1 {
			svc.Spec.IPFamilies = slices.Clone(svc.Spec.IPFamilies[:1])
		}
		return nil
	}
	fewer := func(now, before int) bool { return now > 0 && now < before }
	if fewer(len(svc.Spec.ClusterIPs), len(old.Spec.ClusterIPs)) {
		errs = append(errs, field.Invalid(policyPath, svc.Spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP"))
	}
	if fewer(len(svc.Spec.IPFamilies), len(old.Spec.IPFamilies)) {
		errs = append(errs, field.Invalid(policyPath, svc.Spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary IP family"))
	}
	return errs
}

// checkSingle refuses two addresses or families with the policy for one.
func checkSingle(svc *corev1.Service) (errs field.ErrorList) {
	if policyOf(svc) != corev1.IPFamilyPolicySingleStack {
		return nil
	}
	const must = "must be 'RequireDualStack' or 'PreferDualStack' when multiple "
	if len(svc.Spec.ClusterIPs) == 2 {
		errs = append(errs, field.Invalid(policyPath, svc.Spec.IPFamilyPolicy, must+"cluster IPs are specified"))
	}
	if len(svc.Spec.IPFamilies) == 2 {
		errs = append(errs, field.Invalid(policyPath, svc.Spec.IPFamilyPolicy, must+"IP families are specified"))
	}
	return errs
}

// familiesOfAddresses adds the families of the addresses that are given.
func (a *Allocator) familiesOfAddresses(svc *corev1.Service) (errs field.ErrorList) {
	for i, ip := range svc.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			break
		}
		if i < len(svc.Spec.IPFamilies) {
			continue
		}
		family := textFamily(ip)
		if !slices.Contains(a.Families, family) {
			if family == corev1.IPFamilyUnknown {
				family = "unknown"
			}
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), svc.Spec.ClusterIPs, fmt.Sprintf("%s is not configured on this cluster", family)))
			continue
		}
		svc.Spec.IPFamilies = append(slices.Clone(svc.Spec.IPFamilies), family)
	}
	return errs
}

// checkConfigured refuses families that the cluster does not have.
func (a *Allocator) checkConfigured(svc *corev1.Service) (errs field.ErrorList) {
	if policyOf(svc) == corev1.IPFamilyPolicyRequireDualStack && len(a.Families) < 2 {
		errs = append(errs, field.Invalid(policyPath, svc.Spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, f := range svc.Spec.IPFamilies {
		if !slices.Contains(a.Families, f) {
			errs = append(errs, field.Invalid(familiesPath.Index(i), f, "not configured on this cluster"))
		}
	}
	return errs
}

// addFamilies sets the default family of a Service without any, and the second of one that does not say SingleStack, if there are two.
func (a *Allocator) addFamilies(svc *corev1.Service, available int) {
	if len(svc.Spec.IPFamilies) == 0 {
		svc.Spec.IPFamilies = []corev1.IPFamily{a.Families[0]}
	}
	if len(svc.Spec.IPFamilies) == 1 && available == 2 && policyOf(svc) != corev1.IPFamilyPolicySingleStack {
		svc.Spec.IPFamilies = append(slices.Clone(svc.Spec.IPFamilies), otherFamily(svc.Spec.IPFamilies[0]))
	}
}
