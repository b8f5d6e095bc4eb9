package network

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Bounds of an EndpointSlice, and of each of its endpoints.
const (
	maxSliceEndpoints = 1000
	maxSlicePorts     = 20000
	maxEndpointIPs    = 100
	maxTopologyLabels = 16
	maxHints          = 8
)

// EndpointSlice are the rules of discovery.k8s.io/v1 EndpointSlice.
func EndpointSlice() *rules.Kind {
	port := rules.Of[discoveryv1.EndpointPort](
		rules.At("name", rules.Default(""), rules.Format(emptyOr(utilvalidation.IsDNS1123Label))),
		rules.At("protocol", rules.Default("TCP"), rules.Required(), rules.Enum(corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)),
		rules.At("appProtocol", rules.Format(utilvalidation.IsQualifiedName)),
	)
	return rules.For(rules.Spec[discoveryv1.EndpointSlice]{
		Fields: []rules.Entry{
			rules.At("addressType", rules.Required(),
				rules.Enum(discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)),
			rules.At("ports", rules.MaxItems(maxSlicePorts),
				rules.Unique(portName, "name"), rules.Each(port)),
			endpointsOf(discoveryv1.AddressTypeIPv4, checkIPv4),
			endpointsOf(discoveryv1.AddressTypeIPv6, checkIPv6),
			endpointsOf(discoveryv1.AddressTypeFQDN, func(c *rules.Checker, s string, at func() *field.Path) {
				if len(utilvalidation.IsFullyQualifiedDomainName(nil, s)) > 0 {
					c.Add(utilvalidation.IsFullyQualifiedDomainName(at(), s)...)
				}
			}),
			rules.At("addressType", rules.Immutable()),
			rules.At("", rules.Check(warnSlice)),
		},
		Create: func(o *discoveryv1.EndpointSlice) {
			dropTopology(o, nil)
			noEmptyLists(o)
		},
		Update: updateSlice,
	})
}

// portName is empty where defaults have been taken away again.
func portName(p *discoveryv1.EndpointPort) string {
	if p.Name == nil {
		return ""
	}
	return *p.Name
}

// endpointsOf are the rules of the endpoints of a slice whose addresses are of one type. What was stored may stay, since it was checked by
// older rules.
func endpointsOf(addressType discoveryv1.AddressType, check func(c *rules.Checker, s string, at func() *field.Path)) rules.Entry {
	addresses := rules.Check(func(c *rules.Checker, v, _ *[]string) {
		for i, s := range *v {
			check(c, s, func() *field.Path { return c.Path().Index(i) })
		}
	})
	zone := rules.Of[discoveryv1.ForZone](rules.At("name", rules.Format(utilvalidation.IsValidLabelValue)))
	node := rules.Of[discoveryv1.ForNode](rules.At("name", rules.Format(nodeName)))
	endpoint := rules.Of[discoveryv1.Endpoint](
		rules.At("addresses", rules.Required("must contain at least 1 address"), rules.MaxItems(maxEndpointIPs), addresses),
		rules.At("nodeName", rules.Format(nodeName)),
		rules.At("deprecatedTopology", rules.Optional(), rules.MaxItems(maxTopologyLabels), labels()),
		rules.At("hostname", rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("hints.forZones", rules.MaxItems(maxHints),
			rules.Unique(func(z *discoveryv1.ForZone) string { return z.Name }, "name"), rules.Each(zone)),
		rules.At("hints.forNodes", rules.MaxItems(maxHints),
			rules.Unique(func(n *discoveryv1.ForNode) string { return n.Name }, "name"), rules.Each(node)),
	)
	slice := rules.Of[discoveryv1.EndpointSlice](
		rules.At("endpoints", rules.Unchanged(), rules.MaxItems(maxSliceEndpoints), rules.Each(endpoint)),
	)
	return rules.At("", rules.If(func(v *discoveryv1.EndpointSlice) bool { return v.AddressType == addressType }, slice))
}

func checkIPv4(c *rules.Checker, s string, at func() *field.Path) {
	if !validIP(c, s, nil, at) {
		return
	}
	if !isIPv4(s) {
		c.Add(field.Invalid(c.Path(), s, "must be an IPv4 address"))
	}
	usableIP(c, s, at)
}

func checkIPv6(c *rules.Checker, s string, at func() *field.Path) {
	if len(utilvalidation.IsValidIP(nil, s)) > 0 {
		c.Add(utilvalidation.IsValidIP(at(), s)...)
		return
	}
	if !isIPv6(s) {
		c.Add(field.Invalid(c.Path(), s, "must be an IPv6 address"))
	}
	usableIP(c, s, at)
}

// emptyOr lets a format function accept the empty string.
func emptyOr(messages func(string) []string) func(string) []string {
	return func(s string) []string {
		if s == "" {
			return nil
		}
		return messages(s)
	}
}

// labels asks that the keys and values of a map be those of labels.
func labels() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *map[string]string) {
		if len(*v) > 0 && len(metav1validation.ValidateLabels(*v, nil)) > 0 {
			c.Add(metav1validation.ValidateLabels(*v, c.Path())...)
		}
	})
}

// updateSlice counts a change of labels as a change of the slice, since consumers find slices by their labels. A field that is dropped
// counts too.
func updateSlice(o, old *discoveryv1.EndpointSlice) {
	if !maps.Equal(o.Labels, old.Labels) || !apiequality.Semantic.DeepEqual(o.Endpoints, old.Endpoints) {
		o.Generation = old.Generation + 1
	}
	dropTopology(o, old)
	noEmptyLists(o)
}

func noEmptyLists(o *discoveryv1.EndpointSlice) {
	rules.NullIfEmpty(&o.Endpoints)
	rules.NullIfEmpty(&o.Ports)
}

// dropTopology clears the field that v1 does not write. A node that the stored slice named in it goes to the field for nodes, where a
// partial update would lose it.
func dropTopology(o, old *discoveryv1.EndpointSlice) {
	known := map[string]bool{}
	if old != nil {
		if apiequality.Semantic.DeepEqual(o.Endpoints, old.Endpoints) {
			return
		}
		for i := range old.Endpoints {
			known[old.Endpoints[i].DeprecatedTopology[corev1.LabelHostname]] = true
		}
	}
	for i := range o.Endpoints {
		e := &o.Endpoints[i]
		if node := e.DeprecatedTopology[corev1.LabelHostname]; e.NodeName == nil && node != "" && known[node] && len(nodeName(node)) == 0 {
			e.NodeName = &node
		}
		e.DeprecatedTopology = nil
	}
}

func warnSlice(c *rules.Checker, v, _ *discoveryv1.EndpointSlice) {
	if v.AddressType == discoveryv1.AddressTypeFQDN && !c.Updating() {
		c.Warn("spec.addressType: FQDN endpoints are deprecated")
	}
	switch v.Labels[discoveryv1.LabelManagedBy] {
	case "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io":
		return // They write addresses in canonical form.
	}
	for i := range v.Endpoints {
		for j, s := range v.Endpoints[i].Addresses {
			warnIP(c, s, func() *field.Path { return field.NewPath("endpoints").Index(i).Child("addresses").Index(j) })
		}
	}
}
