//lint:file-ignore SA1019 Endpoints are deprecated for clients; a server has to check them.

package network

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Endpoints are the rules of v1 Endpoints.
func Endpoints() *rules.Kind {
	address := rules.Of[corev1.EndpointAddress](
		rules.At("ip", rules.FormatAt(legacyIP)),
		rules.At("hostname", rules.Optional(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("nodeName", rules.Format(nodeName)),
		rules.At("ip", rules.Check(func(c *rules.Checker, v, _ *string) { usableIP(c, *v, c.Path) })),
	)
	port := rules.Of[corev1.EndpointPort](
		rules.At("name", rules.Optional(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("port", rules.Port()),
		rules.At("protocol", rules.Default("TCP"), rules.Required(), rules.Enum(corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)),
		rules.At("appProtocol", rules.Format(utilvalidation.IsQualifiedName)),
	)
	subset := rules.Of[corev1.EndpointSubset](
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.EndpointSubset) {
			if len(v.Addresses) == 0 && len(v.NotReadyAddresses) == 0 {
				c.Add(field.Required(c.Path(), "must specify `addresses` or `notReadyAddresses`"))
			}
		})),
		rules.At("addresses", rules.Each(address)),
		rules.At("notReadyAddresses", rules.Each(address)),
		rules.At("ports", namedIfSeveral(func(p *corev1.EndpointPort) string { return p.Name }), rules.Each(port)),
	)
	return rules.For(rules.Spec[corev1.Endpoints]{Fields: []rules.Entry{
		rules.At("subsets", rules.Unchanged(), rules.Each(subset)),
		rules.At("", rules.Check(warnEndpoints)),
	}})
}

func legacyIP(at *field.Path, s string) field.ErrorList {
	return utilvalidation.IsValidIPForLegacyField(at, s, true, nil)
}

func nodeName(s string) []string { return validation.NameIsDNSSubdomain(s, false) }

// namedIfSeveral asks the ports of a list for names where there is more than one.
func namedIfSeveral[T any](name func(*T) string) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *[]T) {
		for i := range *v {
			if len(*v) > 1 && name(&(*v)[i]) == "" {
				c.Add(field.Required(c.Path().Index(i).Child("name"), ""))
			}
		}
	})
}

func warnEndpoints(c *rules.Checker, v, _ *corev1.Endpoints) {
	if v.Labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
		// It writes addresses in canonical form.
		return
	}
	for i := range v.Subsets {
		warnAddresses(c, v.Subsets[i].Addresses, i, "addresses")
		warnAddresses(c, v.Subsets[i].NotReadyAddresses, i, "notReadyAddresses")
	}
}

func warnAddresses(c *rules.Checker, addresses []corev1.EndpointAddress, subset int, name string) {
	for j := range addresses {
		warnIP(c, addresses[j].IP, func() *field.Path {
			return field.NewPath("subsets").Index(subset).Child(name).Index(j).Child("ip")
		})
	}
}
