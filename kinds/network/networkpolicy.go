package network

import (
	"net"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// NetworkPolicy are the rules of networking.k8s.io/v1 NetworkPolicy.
func NetworkPolicy() *rules.Kind {
	port := rules.Of[networkingv1.NetworkPolicyPort](
		rules.At("protocol", rules.Default("TCP"), rules.Enum(corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)),
		rules.At("", rules.Check(checkPolicyPort)),
	)
	peer := rules.Of[networkingv1.NetworkPolicyPeer](
		rules.At("podSelector", core.LabelSelector()),
		rules.At("namespaceSelector", core.LabelSelector()),
		rules.At("ipBlock.cidr", rules.Required()),
		rules.At("ipBlock", rules.Check(checkIPBlock)),
		rules.At("", rules.Check(checkPeer)),
	)
	ingress := rules.Of[networkingv1.NetworkPolicyIngressRule](rules.At("ports", rules.Each(port)), rules.At("from", rules.Each(peer)))
	egress := rules.Of[networkingv1.NetworkPolicyEgressRule](rules.At("ports", rules.Each(port)), rules.At("to", rules.Each(peer)))
	return rules.For(rules.Spec[networkingv1.NetworkPolicy]{
		Fields: []rules.Entry{
			rules.At("spec", rules.Fill(fillPolicyTypes)),
			rules.At("spec.podSelector", core.LabelSelector()),
			rules.At("spec.ingress", rules.Each(ingress)),
			rules.At("spec.egress", rules.Each(egress)),
			rules.At("spec", rules.Check(checkPolicyTypes)),
		},
		Update: func(o, old *networkingv1.NetworkPolicy) {
			// An empty list in place of none counts as a change here, unlike in other kinds.
			if !reflect.DeepEqual(o.Spec, old.Spec) {
				o.Generation = old.Generation + 1
			}
		},
	})
}

// fillPolicyTypes says for a policy that does not what its rules imply: it is about incoming traffic at least.
func fillPolicyTypes(v *networkingv1.NetworkPolicySpec) {
	if len(v.PolicyTypes) > 0 {
		return
	}
	v.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(v.Egress) > 0 {
		v.PolicyTypes = append(v.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

func checkPolicyTypes(c *rules.Checker, v, _ *networkingv1.NetworkPolicySpec) {
	known := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if len(v.PolicyTypes) > len(known) {
		c.Add(field.Invalid(c.At("policyTypes"), v.PolicyTypes, "may not specify more than two policyTypes"))
		return
	}
	for i, t := range v.PolicyTypes {
		if t != known[0] && t != known[1] {
			c.Add(field.NotSupported(c.At("policyTypes").Index(i), t, known))
		}
	}
}

func checkPolicyPort(c *rules.Checker, v, _ *networkingv1.NetworkPolicyPort) {
	switch {
	case v.Port == nil && v.EndPort != nil:
		c.Add(field.Invalid(c.At("endPort"), *v.EndPort, "may not be specified when `port` is not specified"))
	case v.Port == nil:
	case v.Port.Type == intstr.Int:
		for _, msg := range utilvalidation.IsValidPortNum(int(v.Port.IntVal)) {
			c.Add(field.Invalid(c.At("port"), v.Port.IntVal, msg))
		}
		if v.EndPort == nil {
			return
		}
		if *v.EndPort < v.Port.IntVal {
			c.Add(field.Invalid(c.At("endPort"), v.Port.IntVal, "must be greater than or equal to `port`"))
		}
		for _, msg := range utilvalidation.IsValidPortNum(int(*v.EndPort)) {
			c.Add(field.Invalid(c.At("endPort"), *v.EndPort, msg))
		}
	default:
		if v.EndPort != nil {
			c.Add(field.Invalid(c.At("endPort"), *v.EndPort, "may not be specified when `port` is non-numeric"))
		}
		for _, msg := range utilvalidation.IsValidPortName(v.Port.StrVal) {
			c.Add(field.Invalid(c.At("port"), v.Port.StrVal, msg))
		}
	}
}

// checkPeer asks for one kind of peer, where selectors of pods and of namespaces go together.
func checkPeer(c *rules.Checker, v, _ *networkingv1.NetworkPolicyPeer) {
	selects := v.PodSelector != nil || v.NamespaceSelector != nil
	switch {
	case !selects && v.IPBlock == nil:
		c.Add(field.Required(c.Path(), "must specify a peer"))
	case selects && v.IPBlock != nil:
		c.Add(field.Forbidden(c.Path(), "may not specify both ipBlock and another peer"))
	}
}

// checkIPBlock checks the ranges of a block. Ranges that the stored policy has somewhere are accepted as they are, since rules and peers
// have no names by which to tell which of them is new.
func checkIPBlock(c *rules.Checker, v, _ *networkingv1.IPBlock) {
	if v.CIDR == "" {
		return
	}
	known := knownRanges(c)
	at := func() *field.Path { return c.At("cidr") }
	validCIDR(c, v.CIDR, known, at)
	warnCIDR(c, v.CIDR, at)
	_, block, err := net.ParseCIDR(v.CIDR)
	if err != nil {
		return
	}
	for i, except := range v.Except {
		at := func() *field.Path { return c.At("except").Index(i) }
		validCIDR(c, except, known, at)
		warnCIDR(c, except, at)
		if _, hole, err := net.ParseCIDR(except); err == nil && !inside(block, hole) {
			c.Add(field.Invalid(at(), except, "must be a strict subset of `cidr`"))
		}
	}
}

func inside(block, hole *net.IPNet) bool {
	bits, _ := block.Mask.Size()
	holeBits, _ := hole.Mask.Size()
	return block.Contains(hole.IP) && bits < holeBits
}

// knownRanges are all ranges of the stored policy.
func knownRanges(c *rules.Checker) (known []string) {
	old, ok := c.Before().(*networkingv1.NetworkPolicy)
	if !ok {
		return nil
	}
	add := func(peers []networkingv1.NetworkPolicyPeer) {
		for _, p := range peers {
			if p.IPBlock != nil {
				known = append(append(known, p.IPBlock.CIDR), p.IPBlock.Except...)
			}
		}
	}
	for _, r := range old.Spec.Ingress {
		add(r.From)
	}
	for _, r := range old.Spec.Egress {
		add(r.To)
	}
	return known
}
