package network

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func checkExternalIPs(c *rules.Checker, v, old *[]string) {
	var before []string
	if old != nil {
		before = *old
	}
	for i, ip := range *v {
		at := func() *field.Path { return c.Path().Index(i) }
		if validIP(c, ip, before, at) {
			usableIP(c, ip, at)
		}
	}
}

const onlyBalancer = "may only be used when `type` is 'LoadBalancer'"

// checkSourceRanges checks the clients that a load balancer lets in, from the field or else from the annotation that was before it.
// Ranges may stand between blanks.
func checkSourceRanges(c *rules.Checker, v, old *corev1.Service) {
	const key = corev1.AnnotationLoadBalancerSourceRangesKey
	list, annotation := v.Spec.LoadBalancerSourceRanges, v.Annotations[key]
	var before []string
	at := func() *field.Path { return field.NewPath("spec", "LoadBalancerSourceRanges") }
	switch _, annotated := v.Annotations[key]; {
	case len(list) > 0:
		if old != nil {
			before = trimmed(old.Spec.LoadBalancerSourceRanges)
		}
	case annotated:
		at = func() *field.Path { return field.NewPath("metadata", "annotations").Key(key) }
	default:
		return
	}
	if v.Spec.Type != corev1.ServiceTypeLoadBalancer {
		c.Add(field.Forbidden(at(), onlyBalancer))
	}
	for i, s := range trimmed(list) {
		validCIDR(c, s, before, func() *field.Path { return at().Index(i) })
	}
	if len(list) > 0 || strings.TrimSpace(annotation) == "" || (old != nil && old.Annotations[key] == annotation) {
		return
	}
	for _, s := range trimmed(strings.Split(strings.TrimSpace(annotation), ",")) {
		validCIDR(c, s, nil, at)
	}
}

func trimmed(list []string) []string {
	result := make([]string, len(list))
	for i, s := range list {
		result[i] = strings.TrimSpace(s)
	}
	return result
}

// checkBalancer checks the fields that are for load balancers only.
func checkBalancer(c *rules.Checker, v, _ *corev1.ServiceSpec) {
	switch {
	case v.Type != corev1.ServiceTypeLoadBalancer && v.AllocateLoadBalancerNodePorts != nil:
		c.Add(field.Forbidden(c.At("allocateLoadBalancerNodePorts"), onlyBalancer))
	case v.Type == corev1.ServiceTypeLoadBalancer && v.AllocateLoadBalancerNodePorts == nil:
		c.Add(field.Required(field.NewPath("allocateLoadBalancerNodePorts"), ""))
	}
	checkBalancerClass(c, v)
}

func checkBalancerClass(c *rules.Checker, v *corev1.ServiceSpec) {
	at := func() *field.Path { return field.NewPath("spec", "loadBalancerClass") }
	switch {
	case v.LoadBalancerClass == nil:
	case v.Type != corev1.ServiceTypeLoadBalancer:
		c.Add(field.Forbidden(at(), onlyBalancer))
	default:
		for _, msg := range utilvalidation.IsQualifiedName(*v.LoadBalancerClass) {
			c.Add(field.Invalid(at(), *v.LoadBalancerClass, msg))
		}
	}
}

// needsHealthCheck reports whether nodes answer on a port of their own whether they have endpoints of the Service.
func needsHealthCheck(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func checkTrafficPolicies(c *rules.Checker, v, _ *corev1.ServiceSpec) {
	switch policy := v.ExternalTrafficPolicy; {
	case !externallyAccessible(v) && policy != "":
		c.Add(field.Invalid(c.At("externalTrafficPolicy"), policy, "may only be set for externally-accessible services"))
	case !externallyAccessible(v):
	case policy == "":
		c.Add(field.Required(c.At("externalTrafficPolicy"), ""))
	case policy != corev1.ServiceExternalTrafficPolicyCluster && policy != corev1.ServiceExternalTrafficPolicyLocal:
		c.Add(field.NotSupported(c.At("externalTrafficPolicy"), policy, []corev1.ServiceExternalTrafficPolicy{
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal,
		}))
	}
	checkHealthPort(c, v)
	switch policy := v.InternalTrafficPolicy; {
	case policy == nil && hasClusterTraffic(v):
		c.Add(field.Required(c.At("internalTrafficPolicy"), ""))
	case policy != nil && *policy != corev1.ServiceInternalTrafficPolicyCluster && *policy != corev1.ServiceInternalTrafficPolicyLocal:
		c.Add(field.NotSupported(c.At("internalTrafficPolicy"), *policy, []corev1.ServiceInternalTrafficPolicy{
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal,
		}))
	}
}

func checkHealthPort(c *rules.Checker, v *corev1.ServiceSpec) {
	switch port := v.HealthCheckNodePort; {
	case !needsHealthCheck(v) && port != 0:
		c.Add(field.Invalid(c.At("healthCheckNodePort"), port,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
	case !needsHealthCheck(v):
	case port == 0:
		c.Add(field.Required(c.At("healthCheckNodePort"), ""))
	default:
		for _, msg := range utilvalidation.IsValidPortNum(int(port)) {
			c.Add(field.Invalid(c.At("healthCheckNodePort"), port, msg))
		}
	}
}

// checkServiceStatus checks what a load balancer says of itself.
func checkServiceStatus(c *rules.Checker, v, old *corev1.Service) {
	at := func(i int) *field.Path { return field.NewPath("status", "loadBalancer", "ingress").Index(i) }
	entries := v.Status.LoadBalancer.Ingress
	for i := range entries {
		if entries[i].IP != "" {
			warnIP(c, entries[i].IP, func() *field.Path { return at(i) })
		}
	}
	if v.Spec.Type != corev1.ServiceTypeLoadBalancer && len(entries) > 0 {
		c.Add(field.Forbidden(field.NewPath("status", "loadBalancer", "ingress"), "may only be used when `spec.type` is 'LoadBalancer'"))
		return
	}
	var before []string
	if old != nil {
		for _, entry := range old.Status.LoadBalancer.Ingress {
			before = append(before, entry.IP)
		}
	}
	for i := range entries {
		entry := &entries[i]
		if entry.IP != "" {
			validIP(c, entry.IP, before, func() *field.Path { return at(i).Child("ip") })
		}
		checkIPMode(c, entry, func() *field.Path { return at(i).Child("ipMode") })
		checkEntryHost(c, entry.Hostname, func() *field.Path { return at(i).Child("hostname") })
	}
}

func checkIPMode(c *rules.Checker, entry *corev1.LoadBalancerIngress, at func() *field.Path) {
	switch mode := entry.IPMode; {
	case mode == nil && entry.IP != "":
		c.Add(field.Required(at(), "must be specified when `ip` is set"))
	case mode == nil:
	case entry.IP == "":
		c.Add(field.Forbidden(at(), "may not be specified when `ip` is not set"))
	case *mode != corev1.LoadBalancerIPModeVIP && *mode != corev1.LoadBalancerIPModeProxy:
		c.Add(field.NotSupported(at(), *mode, []corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP}))
	}
}
