package resource

import (
	"fmt"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func networkColumns(resource string) *columns {
	switch resource {
	case "ingresses":
		return ingressColumns()
	case "ingressclasses":
		return ingressClassColumns()
	case "endpointslices":
		return endpointSliceColumns()
	case "networkpolicies":
		return rowsOf(func(p *networkingv1.NetworkPolicy) []any {
			return []any{p.Name, metav1.FormatLabelSelector(&p.Spec.PodSelector), ageOf(p)}
		}, nameColumn(), textColumn("Pod-Selector", documented(networkingv1.NetworkPolicySpec{}, "podSelector")), ageColumn())
	case "servicecidrs":
		return rowsOf(func(c *networkingv1.ServiceCIDR) []any {
			return []any{c.Name, strings.Join(c.Spec.CIDRs, ","), ageOf(c)}
		}, nameColumn(), textColumn("CIDRs", documented(networkingv1.ServiceCIDRSpec{}, "cidrs")), ageColumn())
	case "ipaddresses":
		// The reference sends the age without a column for it.
		return rowsOf(func(a *networkingv1.IPAddress) []any {
			return []any{a.Name, parentName(a.Spec.ParentRef), ageOf(a)}
		}, nameColumn(), textColumn("ParentRef", documented(networkingv1.IPAddressSpec{}, "parentRef")))
	default:
		return nil
	}
}

// parentName is resource, namespace and name of what an address belongs to.
func parentName(ref *networkingv1.ParentReference) string {
	if ref == nil {
		return none
	}
	name := strings.ToLower(schema.GroupResource{Group: ref.Group, Resource: ref.Resource}.String())
	if ref.Namespace != "" {
		name += "/" + ref.Namespace
	}
	return name + "/" + ref.Name
}

func ingressColumns() *columns {
	return rowsOf(func(in *networkingv1.Ingress) []any {
		var addresses []string
		for _, a := range in.Status.LoadBalancer.Ingress {
			addresses = append(addresses, orText(a.IP, a.Hostname))
		}
		ports := "80"
		if len(in.Spec.TLS) > 0 {
			ports = "80, 443"
		}
		return []any{
			in.Name, orElse(in.Spec.IngressClassName, none), ingressHosts(in.Spec.Rules), strings.Join(distinct(addresses), ","), ports, ageOf(in),
		}
	},
		nameColumn(),
		textColumn("Class", "The name of the IngressClass resource that should be used for additional configuration"),
		textColumn("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
		textColumn("Address", "Address is a list containing ingress points for the load-balancer"),
		textColumn("Ports", "Ports of TLS configurations that open"),
		ageColumn(),
	)
}

// ingressHosts spells out the first hosts. Once some are left out, the rest is counted in rules, with or without a host.
func ingressHosts(rules []networkingv1.IngressRule) string {
	var hosts []string
	more := false
	for _, r := range rules {
		if len(hosts) == maxListed {
			more = true
			break
		}
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	switch list := strings.Join(hosts, ","); {
	case len(hosts) == 0:
		return "*"
	case more:
		return fmt.Sprintf("%s + %d more...", list, len(rules)-maxListed)
	default:
		return list
	}
}

func ingressClassColumns() *columns {
	return rowsOf(func(c *networkingv1.IngressClass) []any {
		parameters := none
		if p := c.Spec.Parameters; p != nil {
			parameters = p.Kind
			if p.APIGroup != nil {
				parameters += "." + *p.APIGroup
			}
			parameters += "/" + p.Name
		}
		return []any{c.Name + defaultMark(c, networkingv1.AnnotationIsDefaultIngressClass), c.Spec.Controller, parameters, ageOf(c)}
	},
		nameColumn(),
		textColumn("Controller", "Controller that is responsible for handling this class"),
		textColumn("Parameters", "A reference to a resource with additional parameters"),
		ageColumn(),
	)
}

func endpointSliceColumns() *columns {
	return rowsOf(func(s *discoveryv1.EndpointSlice) []any {
		var ports, addresses []string
		for _, p := range s.Ports {
			port := orElse(p.Name, "*")
			if p.Port != nil {
				port = strconv.Itoa(int(*p.Port))
			}
			ports = append(ports, port)
		}
		for _, e := range s.Endpoints {
			addresses = append(addresses, e.Addresses...)
		}
		return []any{
			s.Name, string(s.AddressType), orText(firstOf(ports, maxListed, ","), unset), orText(firstOf(addresses, maxListed, ","), unset), ageOf(s),
		}
	},
		nameColumn(),
		textColumn("AddressType", documented(discoveryv1.EndpointSlice{}, "addressType")),
		textColumn("Ports", documented(discoveryv1.EndpointSlice{}, "ports")),
		textColumn("Endpoints", documented(discoveryv1.EndpointSlice{}, "endpoints")),
		ageColumn(),
	)
}
