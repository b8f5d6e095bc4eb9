package services

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ManagedBy is the value of the label ipaddress.kubernetes.io/managed-by of the addresses that are taken here.
const ManagedBy = "ipallocator.k8s.io"

// parseAddress reads an address of a Service. Objects of earlier releases hold addresses with leading zeros, and IPv4 addresses
// in the form of IPv6, which name the same address.
func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil && !strings.Contains(s, ":") {
		parts := strings.Split(s, ".")
		for i, p := range parts {
			if parts[i] = strings.TrimLeft(p, "0"); parts[i] == "" {
				parts[i] = "0"
			}
		}
		a, err = netip.ParseAddr(strings.Join(parts, "."))
	}
	return a.Unmap(), err == nil
}

// isIPv6 reports whether the text is an address of IPv6.
func isIPv6(s string) bool {
	a, ok := parseAddress(s)
	return ok && a.Is6()
}

// textFamily is the family of the address that the text holds; "unknown" for one that is none.
func textFamily(s string) corev1.IPFamily {
	if a, ok := parseAddress(s); ok {
		return familyOf(a)
	}
	return corev1.IPFamilyUnknown
}

// newIPAddress is the object that says whose an address is.
func newIPAddress(a netip.Addr, svc *corev1.Service) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name: a.String(),
			Labels: map[string]string{
				networkingv1.LabelIPAddressFamily: string(familyOf(a)),
				networkingv1.LabelManagedBy:       ManagedBy,
			},
		},
		Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name},
		},
	}
}

// managed reports whether the object was made by a server for a Service.
func managed(ip *networkingv1.IPAddress) bool {
	return ip.Labels[networkingv1.LabelManagedBy] == ManagedBy
}

// ofService reports whether the object refers to a Service.
func ofService(ip *networkingv1.IPAddress) bool {
	ref := ip.Spec.ParentRef
	return ref != nil && ref.Group == "" && ref.Resource == "services"
}
