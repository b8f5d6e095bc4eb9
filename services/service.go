package services

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// What the fields of a Service mean to allocation. They are read as they are after the API's defaults, and where a default is missing as if
// it were there.

func isExternalName(svc *corev1.Service) bool { return svc.Spec.Type == corev1.ServiceTypeExternalName }

func isLoadBalancer(svc *corev1.Service) bool { return svc.Spec.Type == corev1.ServiceTypeLoadBalancer }

// opensPorts reports whether the type of the Service is one that has node ports.
func opensPorts(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || isLoadBalancer(svc)
}

// wantsPorts reports whether ports without a node port get one.
func wantsPorts(svc *corev1.Service) bool {
	asked := svc.Spec.AllocateLoadBalancerNodePorts
	return opensPorts(svc) && (!isLoadBalancer(svc) || asked == nil || *asked)
}

// wantsHealthPort reports whether the Service has a port on which nodes say whether they have endpoints of it.
func wantsHealthPort(svc *corev1.Service) bool {
	return isLoadBalancer(svc) && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// isHeadless reports whether the Service has asked for no cluster IP.
func isHeadless(svc *corev1.Service) bool { return svc.Spec.ClusterIP == corev1.ClusterIPNone }

// hasAddresses reports whether the Service is one that holds cluster IPs.
func hasAddresses(svc *corev1.Service) bool {
	ips := svc.Spec.ClusterIPs
	return !isExternalName(svc) && (len(ips) == 0 || ips[0] != corev1.ClusterIPNone)
}

// policyOf is the policy, or empty.
func policyOf(svc *corev1.Service) corev1.IPFamilyPolicy {
	if svc.Spec.IPFamilyPolicy == nil {
		return ""
	}
	return *svc.Spec.IPFamilyPolicy
}

func sameIPs(a, b *corev1.Service) bool { return slices.Equal(a.Spec.ClusterIPs, b.Spec.ClusterIPs) }

func sameFamilies(a, b *corev1.Service) bool {
	return slices.Equal(a.Spec.IPFamilies, b.Spec.IPFamilies)
}

// nodePorts are the node ports of the ports, without zeros.
func nodePorts(svc *corev1.Service) []int {
	var ports []int
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			ports = append(ports, int(p.NodePort))
		}
	}
	return ports
}

func set[T any](v T) *T { return &v }
