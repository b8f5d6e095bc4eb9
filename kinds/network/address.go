package network

import (
	"net"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// IPAddressName says what is wrong with the name of an IPAddress, which is the address in its canonical form.
func IPAddressName(name string, _ bool) (messages []string) {
	for _, err := range utilvalidation.IsValidIP(nil, name) {
		messages = append(messages, err.Detail)
	}
	return messages
}

// IPAddress are the rules of networking.k8s.io/v1 IPAddress.
func IPAddress() *rules.Kind {
	return rules.For(rules.Spec[networkingv1.IPAddress]{Fields: []rules.Entry{
		rules.At("spec.parentRef", rules.Required()),
		rules.At("spec.parentRef.group", rules.Optional(), rules.Format(utilvalidation.IsDNS1123Subdomain)),
		rules.At("spec.parentRef.resource", rules.Required(), rules.Format(content.IsPathSegmentName)),
		rules.At("spec.parentRef.name", rules.Required(), rules.Format(content.IsPathSegmentName)),
		rules.At("spec.parentRef.namespace", rules.Optional(), rules.Format(content.IsPathSegmentName)),
		// An address is not handed on: it is deleted with its parent, and taken anew.
		rules.At("spec.parentRef", rules.Immutable()),
	}})
}

// ServiceCIDR are the rules of networking.k8s.io/v1 ServiceCIDR.
func ServiceCIDR() *rules.Kind {
	return rules.For(rules.Spec[networkingv1.ServiceCIDR]{
		Fields: []rules.Entry{rules.At("spec", rules.Check(checkCIDRs))},
		Parts: map[string]rules.Part[networkingv1.ServiceCIDR]{"status": {Update: func(o, old *networkingv1.ServiceCIDR) {
			metav1.ResetObjectMetaForStatus(&o.ObjectMeta, &old.ObjectMeta)
		}}},
	})
}

// checkCIDRs lets a range be created, and be made dual-stack later. Nothing else about it changes.
func checkCIDRs(c *rules.Checker, v, old *networkingv1.ServiceCIDRSpec) {
	switch {
	case old == nil:
		checkNewCIDRs(c, v)
	case len(old.CIDRs) == len(v.CIDRs):
		for i := range v.CIDRs {
			keepCIDR(c, v, old, i)
		}
	case len(old.CIDRs) == 1 && len(v.CIDRs) == 2:
		keepCIDR(c, v, old, 0)
		checkNewCIDRs(c, v)
	default:
		c.Add(field.Invalid(c.At("cidrs"), v.CIDRs, validation.FieldImmutableErrorMsg))
	}
}

func keepCIDR(c *rules.Checker, v, old *networkingv1.ServiceCIDRSpec, i int) {
	if v.CIDRs[i] != old.CIDRs[i] {
		c.Add(field.Invalid(c.At("cidrs").Index(i), v.CIDRs[i], validation.FieldImmutableErrorMsg))
	}
}

func checkNewCIDRs(c *rules.Checker, v *networkingv1.ServiceCIDRSpec) {
	if len(v.CIDRs) == 0 {
		c.Add(field.Required(c.At("cidrs"), "at least one CIDR required"))
		return
	}
	if len(v.CIDRs) > 2 {
		c.Add(field.Invalid(c.At("cidrs"), rules.Shown(v), "may only hold up to 2 values"))
		return
	}
	for i, cidr := range v.CIDRs {
		c.Add(utilvalidation.IsValidCIDR(c.At("cidrs").Index(i), cidr)...)
	}
	if len(v.CIDRs) == 2 && familyOfCIDR(v.CIDRs[0]) != 0 && familyOfCIDR(v.CIDRs[0]) == familyOfCIDR(v.CIDRs[1]) {
		c.Add(field.Invalid(c.At("cidrs"), v.CIDRs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
	}
}

// familyOfCIDR is 4 or 6, or 0 for what is no CIDR.
func familyOfCIDR(s string) int {
	ip, _, err := net.ParseCIDR(s)
	switch {
	case err != nil:
		return 0
	case ip.To4() != nil:
		return 4
	}
	return 6
}
