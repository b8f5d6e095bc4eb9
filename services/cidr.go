package services

import (
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// DefaultCIDR is the name of the ServiceCIDR that is made of the configured ranges.
	DefaultCIDR = "kubernetes"
	// CIDRFinalizer holds a ServiceCIDR as long as Services have addresses that only it covers.
	CIDRFinalizer = "networking.k8s.io/service-cidr-finalizer"
	// deletionGrace is how long a ServiceCIDR that nothing holds is kept after its deletion began, so that every server has heard that
	// it gives no more addresses.
	deletionGrace = 10 * time.Second
)

// usable reports whether addresses are taken from a ServiceCIDR: one that is being deleted, or was said not to be ready, gives none.
func usable(c *networkingv1.ServiceCIDR) bool {
	if c.DeletionTimestamp != nil {
		return false
	}
	ready := apimeta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	return ready == nil || ready.Status == metav1.ConditionTrue
}

// prefixes are the ranges of a ServiceCIDR.
func prefixes(c *networkingv1.ServiceCIDR) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range c.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// covering returns the names of the ServiceCIDRs that an address can be from.
func covering(cidrs []*networkingv1.ServiceCIDR, a netip.Addr) []string {
	var names []string
	for _, c := range cidrs {
		if slices.ContainsFunc(prefixes(c), func(p netip.Prefix) bool { return prefixHolds(p, a) }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// DefaultReady marks the default ServiceCIDR as ready if it has the configured ranges and nobody has said anything of it yet. It reports
// whether c was changed.
func DefaultReady(c *networkingv1.ServiceCIDR, configured []string, now time.Time) bool {
	if c.DeletionTimestamp != nil || !slices.Equal(c.Spec.CIDRs, configured) {
		return false
	}
	ready := apimeta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	if ready != nil && ready.Status != metav1.ConditionUnknown {
		return false
	}
	return apimeta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue,
		Message: "Kubernetes default Service CIDR is ready", LastTransitionTime: metav1.NewTime(now),
	})
}

// Removable reports whether the finalizer of a ServiceCIDR that is being deleted can go, and whether it is held by addresses that no
// other ServiceCIDR covers. Both are false during the time that servers are given to hear of the deletion.
func Removable(c *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, ips []*networkingv1.IPAddress, now time.Time) (removable, held bool) {
	if c.DeletionTimestamp == nil {
		return false, false
	}
	if !hasParents(c, all) && holdsAny(c, all, ips) {
		return false, true
	}
	return now.Sub(c.DeletionTimestamp.Time) >= deletionGrace, false
}

// hasParents reports whether every range of c is within one of another ServiceCIDR.
func hasParents(c *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR) bool {
	for _, p := range prefixes(c) {
		if !slices.ContainsFunc(all, func(other *networkingv1.ServiceCIDR) bool {
			return other.Name != c.Name && slices.ContainsFunc(prefixes(other), func(q netip.Prefix) bool {
				return q.Overlaps(p) && q.Bits() <= p.Bits()
			})
		}) {
			return false
		}
	}
	return true
}

// holdsAny reports whether an address is covered by c alone.
func holdsAny(c *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, ips []*networkingv1.IPAddress) bool {
	return slices.ContainsFunc(ips, func(ip *networkingv1.IPAddress) bool {
		a, ok := parseAddress(ip.Name)
		if !ok || !managed(ip) {
			return false
		}
		names := covering(all, a)
		return len(names) == 1 && names[0] == c.Name
	})
}
