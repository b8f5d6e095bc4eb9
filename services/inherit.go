package services

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// A client may send a Service again as it first wrote it, or know only the older ones of two linked fields. What it leaves out is what
// it does not mean to change.

// normalizeNew sets clusterIPs from clusterIP.
func normalizeNew(svc *corev1.Service) {
	if svc.Spec.ClusterIP != "" && len(svc.Spec.ClusterIPs) == 0 {
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	}
}

// normalizeChanged keeps clusterIPs in step with clusterIP where a client has changed or kept only the latter.
func normalizeChanged(svc, old *corev1.Service) {
	ip, had := svc.Spec.ClusterIP, old.Spec.ClusterIP
	if ip == had && len(svc.Spec.ClusterIPs) == 0 {
		svc.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
	}
	if ip == had || !sameIPs(svc, old) {
		return
	}
	svc.Spec.ClusterIPs = nil
	if had == "" || ip != "" {
		svc.Spec.ClusterIPs = []string{ip}
	}
}

// keepAllocated fills in the addresses and ports that the stored Service has been given and the new state leaves out.
func keepAllocated(svc, old *corev1.Service) {
	if !isExternalName(svc) && !isExternalName(old) {
		if svc.Spec.ClusterIP == "" {
			svc.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(svc.Spec.ClusterIPs) == 0 {
			svc.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if wantsPorts(svc) && wantsPorts(old) {
		keepNodePorts(svc, old)
	}
	if wantsHealthPort(svc) && wantsHealthPort(old) && svc.Spec.HealthCheckNodePort == 0 {
		svc.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

// keepNodePorts gives ports the node ports that ports of the same name had, unless these are in use in the new state.
func keepNodePorts(svc, old *corev1.Service) {
	now, was := portSet(svc), portSet(old)
	byName := map[string]int32{}
	for _, p := range old.Spec.Ports {
		byName[p.Name] = p.NodePort
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		had := byName[p.Name]
		if p.NodePort == 0 && !(now[int(had)] && was[int(had)]) {
			p.NodePort = had
		}
	}
}

// CompleteStored fills in what servers of before linked fields did not write.
func (a *Allocator) CompleteStored(svc *corev1.Service) {
	normalizeNew(svc)
	if isExternalName(svc) {
		svc.Spec.InternalTrafficPolicy = nil
		return
	}
	if len(svc.Spec.IPFamilies) > 0 {
		return
	}
	policy := corev1.IPFamilyPolicySingleStack
	switch {
	case isHeadless(svc) && len(svc.Spec.Selector) == 0:
		policy = corev1.IPFamilyPolicyRequireDualStack
		svc.Spec.IPFamilies = []corev1.IPFamily{a.Families[0], otherFamily(a.Families[0])}
	case isHeadless(svc):
		svc.Spec.IPFamilies = []corev1.IPFamily{a.Families[0]}
	default:
		for _, ip := range svc.Spec.ClusterIPs {
			family := corev1.IPv4Protocol
			if isIPv6(ip) {
				family = corev1.IPv6Protocol
			}
			svc.Spec.IPFamilies = append(svc.Spec.IPFamilies, family)
		}
		switch len(svc.Spec.IPFamilies) {
		case 0:
			return
		case 2:
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
	}
	svc.Spec.IPFamilyPolicy = &policy
}

// dropUnused clears what the type that a Service changes to does not have, if the update has not changed it: it then was only carried
// over. What has been changed stays, for validation to refuse.
func dropUnused(svc, old *corev1.Service) {
	s, was := &svc.Spec, &old.Spec
	if !isExternalName(old) && isExternalName(svc) {
		if s.ClusterIP == was.ClusterIP && sameIPs(svc, old) {
			s.ClusterIP, s.ClusterIPs = "", nil
		}
		if sameFamilies(svc, old) {
			s.IPFamilies = nil
		}
		if policyOf(svc) == policyOf(old) {
			s.IPFamilyPolicy = nil
		}
	}
	if opensPorts(old) && !opensPorts(svc) && subset(nodePorts(svc), portSet(old)) {
		for i := range s.Ports {
			s.Ports[i].NodePort = 0
		}
	}
	if wantsHealthPort(old) && !wantsHealthPort(svc) && s.HealthCheckNodePort == was.HealthCheckNodePort {
		s.HealthCheckNodePort = 0
	}
	if isLoadBalancer(old) && !isLoadBalancer(svc) {
		if equal(s.AllocateLoadBalancerNodePorts, was.AllocateLoadBalancerNodePorts) {
			s.AllocateLoadBalancerNodePorts = nil
		}
		if equal(s.LoadBalancerClass, was.LoadBalancerClass) {
			s.LoadBalancerClass = nil
		}
	}
	if external(old) && !external(svc) && s.ExternalTrafficPolicy == was.ExternalTrafficPolicy {
		s.ExternalTrafficPolicy = ""
	}
}

// external reports whether the Service can be reached from outside of the cluster.
func external(svc *corev1.Service) bool {
	internalType := svc.Spec.Type == corev1.ServiceTypeClusterIP || svc.Spec.Type == ""
	return opensPorts(svc) || (internalType && len(svc.Spec.ExternalIPs) > 0)
}

// subset reports whether all has each element of part.
func subset(part []int, all map[int]bool) bool {
	return !slices.ContainsFunc(part, func(p int) bool { return !all[p] })
}

// equal compares what the pointers lead to; nil is equal to nil only.
func equal[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}
