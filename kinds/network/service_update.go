package network

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const onceSet = "may not change once set"

// checkServiceUpdate keeps what clients of a Service rely on: its primary address and family stay. A second address may come and go,
// and a Service that is or becomes the name of something outside has none to keep.
func checkServiceUpdate(c *rules.Checker, v, old *corev1.Service) {
	if old == nil {
		return
	}
	s, was := &v.Spec, &old.Spec
	if s.Type != corev1.ServiceTypeExternalName && was.Type != corev1.ServiceTypeExternalName {
		if !isHeadless(s) || !isHeadless(was) {
			checkAddressChange(c, s, was)
		}
		if !isHeadless(s) && !isHeadless(was) {
			checkFamilyChange(c, s, was)
		}
	}
	balances := s.Type == corev1.ServiceTypeLoadBalancer && was.Type == corev1.ServiceTypeLoadBalancer
	if balances && !equal(s.LoadBalancerClass, was.LoadBalancerClass) {
		c.Add(field.Invalid(c.At("spec", "loadBalancerClass"), s.LoadBalancerClass, onceSet))
	}
	// The reference checks the class once more with the other fields, and so clients are told twice.
	checkBalancerClass(c, s)
	if needsHealthCheck(s) && needsHealthCheck(was) && s.HealthCheckNodePort != was.HealthCheckNodePort {
		c.Add(field.Forbidden(c.At("spec", "healthCheckNodePort"), "field is immutable"))
	}
}

func checkAddressChange(c *rules.Checker, s, was *corev1.ServiceSpec) {
	now, before := s.ClusterIPs, was.ClusterIPs
	at := func(i int) *field.Path { return c.At("spec", "clusterIPs").Index(i) }
	switch {
	case len(now) == len(before):
		for i := range now {
			if now[i] != before[i] {
				c.Add(field.Invalid(at(i), now, onceSet))
			}
		}
		return
	case len(now) == 0:
		c.Add(field.Invalid(at(0), now, "primary clusterIP can not be unset"))
		return
	case len(before) > 0 && now[0] != before[0]:
		c.Add(field.Invalid(at(0), now, onceSet))
	}
	if len(before) > len(now) && len(now) == 1 && !isSingleStack(s) {
		c.Add(field.Invalid(c.At("spec", "ipFamilyPolicy"), s.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
}

func checkFamilyChange(c *rules.Checker, s, was *corev1.ServiceSpec) {
	now, before := s.IPFamilies, was.IPFamilies
	at := func() *field.Path { return c.At("spec", "ipFamilies").Index(0) }
	if len(now) == len(before) {
		for i := range now {
			if now[i] != before[i] {
				c.Add(field.Invalid(at(), now, onceSet))
			}
		}
		return
	}
	if len(before) > len(now) && len(s.ClusterIPs) == 0 {
		c.Add(field.Invalid(at(), now, "primary ipFamily can not be unset"))
	}
	if len(now) > 0 && len(before) > 0 && now[0] != before[0] {
		c.Add(field.Invalid(at(), s.ClusterIPs, onceSet))
	}
	if len(before) > len(now) && len(now) == 1 && !isSingleStack(s) {
		c.Add(field.Invalid(c.At("spec", "ipFamilyPolicy"), s.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary ipFamily"))
	}
}

func isSingleStack(s *corev1.ServiceSpec) bool {
	return s.IPFamilyPolicy != nil && *s.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// warnService tells of what is written in a way that is not advised, or has no effect.
func warnService(c *rules.Checker, v, _ *corev1.Service) {
	s := &v.Spec
	headless := s.Type == corev1.ServiceTypeClusterIP && s.ClusterIP == corev1.ClusterIPNone
	outside := s.Type == corev1.ServiceTypeExternalName
	warnIf := func(condition bool, text string) {
		if condition {
			c.Warn(text)
		}
	}
	_, hints := v.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	warnIf(hints, "annotation "+corev1.DeprecatedAnnotationTopologyAwareHints+" is deprecated, please use "+
		corev1.AnnotationTopologyMode+" instead")
	if s.ClusterIP != "" && s.ClusterIP != corev1.ClusterIPNone {
		warnIPs(c, s.ClusterIPs, "clusterIPs")
	}
	warnIf(headless && s.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	warnIf(headless && len(s.ExternalIPs) > 0, "spec.externalIPs is ignored for headless services")
	warnIf(headless && s.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	warnIPs(c, s.ExternalIPs, "externalIPs")
	warnIf(len(s.ExternalIPs) > 0 && !headless && !outside,
		"spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	if s.LoadBalancerIP != "" {
		warnIP(c, s.LoadBalancerIP, func() *field.Path { return c.At("spec", "loadBalancerIP") })
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		warnCIDR(c, cidr, func() *field.Path { return c.At("spec", "loadBalancerSourceRanges").Index(i) })
	}
	warnIf(outside && len(s.ExternalIPs) > 0, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	warnIf(!outside && s.ExternalName != "", `spec.externalName is ignored when spec.type is not "ExternalName"`)
	warnIf(s.TrafficDistribution != nil && *s.TrafficDistribution == corev1.ServiceTrafficDistributionPreferClose,
		`spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`)
}

func warnIPs(c *rules.Checker, ips []string, name string) {
	for i, ip := range ips {
		warnIP(c, ip, func() *field.Path { return c.At("spec", name).Index(i) })
	}
}
