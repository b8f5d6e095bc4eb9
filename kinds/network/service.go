package network

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
	"github.com/gatehouse/gatehouse/services"
)

// Service are the rules of v1 Service. Cluster IPs, IP families and node ports have been completed by package services when they are asked.
func Service() *rules.Kind {
	port := rules.Of[corev1.ServicePort](
		rules.At("name", rules.Optional(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("port", rules.Port()),
		rules.At("protocol", rules.Default("TCP"), rules.Required(), rules.Enum(corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)),
		rules.At("", rules.Fill(func(p *corev1.ServicePort) {
			if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
				p.TargetPort = intstr.FromInt32(p.Port)
			}
		})),
		rules.At("targetPort", rules.Check(checkTargetPort)),
		rules.At("appProtocol", rules.Format(utilvalidation.IsQualifiedName)),
	)
	return rules.For(rules.Spec[corev1.Service]{
		Fields: []rules.Entry{
			rules.At("spec.type", rules.Default("ClusterIP")),
			rules.At("spec.sessionAffinity", rules.Default("None")),
			rules.At("", rules.Fill(fillService)),
			rules.At("", rules.Check(checkServiceUpdate)),
			rules.At("metadata.annotations", rules.Check(checkTopologyAnnotations)),
			rules.At("spec", rules.Check(checkServiceType)),
			rules.At("spec.ports", rules.Check(checkPortNames), rules.Each(port)),
			rules.At("spec.selector", labels()),
			rules.At("spec.sessionAffinity", rules.Required(), rules.Enum(corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)),
			rules.At("spec", rules.Check(checkAffinity)),
			rules.At("", rules.Check(func(c *rules.Checker, v, old *corev1.Service) { c.Add(services.CheckAddresses(v, old)...) })),
			rules.At("spec.externalIPs", rules.Check(checkExternalIPs)),
			rules.At("spec.type", rules.Required(), rules.Enum(
				corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)),
			rules.At("spec", rules.Check(checkPorts)),
			rules.At("", rules.Check(checkSourceRanges)),
			rules.At("spec", rules.Check(checkBalancer)),
			rules.At("spec", rules.Check(checkTrafficPolicies)),
			rules.At("spec.trafficDistribution", rules.Enum(corev1.ServiceTrafficDistributionPreferClose,
				corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)),
			rules.At("", rules.Check(warnService)),
		},
		Parts: map[string]rules.Part[corev1.Service]{"status": {Fields: []rules.Entry{rules.At("", rules.Check(checkServiceStatus))}}},
	})
}

// externallyAccessible reports whether traffic from outside of the cluster may come to the Service.
func externallyAccessible(s *corev1.ServiceSpec) bool {
	switch s.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeClusterIP:
		return len(s.ExternalIPs) > 0
	}
	return false
}

// hasClusterTraffic reports whether the type is one of those that nodes send traffic to by themselves.
func hasClusterTraffic(s *corev1.ServiceSpec) bool {
	switch s.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort, corev1.ServiceTypeClusterIP:
		return true
	}
	return false
}

func fillService(v *corev1.Service) {
	s := &v.Spec
	fillAffinity(s)
	if externallyAccessible(s) && s.ExternalTrafficPolicy == "" {
		s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	if hasClusterTraffic(s) && s.InternalTrafficPolicy == nil {
		policy := corev1.ServiceInternalTrafficPolicyCluster
		s.InternalTrafficPolicy = &policy
	}
	if s.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	if s.AllocateLoadBalancerNodePorts == nil {
		yes := true
		s.AllocateLoadBalancerNodePorts = &yes
	}
	for i := range v.Status.LoadBalancer.Ingress {
		if entry := &v.Status.LoadBalancer.Ingress[i]; entry.IP != "" && entry.IPMode == nil {
			mode := corev1.LoadBalancerIPModeVIP
			entry.IPMode = &mode
		}
	}
}

func fillAffinity(s *corev1.ServiceSpec) {
	switch s.SessionAffinity {
	case corev1.ServiceAffinityNone:
		s.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		if a := s.SessionAffinityConfig; a == nil || a.ClientIP == nil || a.ClientIP.TimeoutSeconds == nil {
			seconds := corev1.DefaultClientIPServiceAffinitySeconds
			s.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
		}
	}
}

func isHeadless(s *corev1.ServiceSpec) bool {
	return len(s.ClusterIPs) == 1 && s.ClusterIPs[0] == corev1.ClusterIPNone
}

func checkTopologyAnnotations(c *rules.Checker, v, _ *map[string]string) {
	hints, hasHints := (*v)[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, hasMode := (*v)[corev1.AnnotationTopologyMode]
	if hasHints && hasMode && hints != mode {
		c.Add(field.Invalid(c.Path().Key(corev1.AnnotationTopologyMode), mode,
			"must match annotations["+corev1.DeprecatedAnnotationTopologyAwareHints+"] when both are specified"))
	}
}

// checkServiceType asks for what a type of Service cannot do without, and refuses what it cannot have.
func checkServiceType(c *rules.Checker, v, _ *corev1.ServiceSpec) {
	if len(v.Ports) == 0 && !isHeadless(v) && v.Type != corev1.ServiceTypeExternalName {
		c.Add(field.Required(c.At("ports"), ""))
	}
	switch v.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if isHeadless(v) {
			c.Add(field.Invalid(c.At("clusterIPs").Index(0), v.ClusterIPs[0], "may not be set to 'None' for "+string(v.Type)+" services"))
		}
	case corev1.ServiceTypeExternalName:
		checkExternalName(c, v)
	}
}

func checkExternalName(c *rules.Checker, v *corev1.ServiceSpec) {
	const detail = "may not be set for ExternalName services"
	if len(v.ClusterIPs) > 0 {
		c.Add(field.Forbidden(c.At("clusterIPs"), detail))
	}
	if len(v.IPFamilies) > 0 {
		c.Add(field.Forbidden(c.At("ipFamilies"), detail))
	}
	if v.IPFamilyPolicy != nil {
		c.Add(field.Forbidden(c.At("ipFamilyPolicy"), detail))
	}
	name := v.ExternalName
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1] // The dot says that the name is complete.
	}
	if name == "" {
		c.Add(field.Required(c.At("externalName"), ""))
		return
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(name) {
		c.Add(field.Invalid(c.At("externalName"), name, msg))
	}
}

func checkAffinity(c *rules.Checker, v, _ *corev1.ServiceSpec) {
	switch v.SessionAffinity {
	case corev1.ServiceAffinityNone:
		if v.SessionAffinityConfig != nil {
			c.Add(field.Forbidden(c.At("sessionAffinityConfig"), "must not be set when session affinity is None"))
		}
	case corev1.ServiceAffinityClientIP:
		checkAffinityTimeout(c, v.SessionAffinityConfig)
	}
}

// checkAffinityTimeout asks for what the defaults have set, unless admission took it away, and bounds it to a day.
func checkAffinityTimeout(c *rules.Checker, v *corev1.SessionAffinityConfig) {
	const detail = "when session affinity type is ClientIP"
	at := c.At("sessionAffinityConfig")
	switch {
	case v == nil:
		c.Add(field.Required(at, detail))
	case v.ClientIP == nil:
		c.Add(field.Required(at.Child("clientIP"), detail))
	case v.ClientIP.TimeoutSeconds == nil:
		c.Add(field.Required(at.Child("clientIP", "timeoutSeconds"), detail))
	case *v.ClientIP.TimeoutSeconds <= 0 || *v.ClientIP.TimeoutSeconds > 86400:
		c.Add(field.Invalid(at.Child("clientIP", "timeoutSeconds"), *v.ClientIP.TimeoutSeconds, "must be greater than 0 and less than 86400"))
	}
}
