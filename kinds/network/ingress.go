package network

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// classAnnotation is how the class of an Ingress was named before there was a field.
const classAnnotation = "kubernetes.io/ingress.class"

// Ingress are the rules of networking.k8s.io/v1 Ingress.
func Ingress() *rules.Kind {
	backend := ingressBackend()
	path := rules.Of[networkingv1.HTTPIngressPath](rules.At("", rules.Check(func(c *rules.Checker, v, _ *networkingv1.HTTPIngressPath) {
		if v.PathType == nil {
			c.Add(field.Required(c.At("pathType"), "pathType must be specified"))
			return
		}
		checkHTTPPath(c, v)
		rules.In(c, backend, &v.Backend, nil, "backend")
	})))
	http := rules.Of[networkingv1.HTTPIngressRuleValue](rules.At("paths", rules.Required(), rules.Each(path)))
	return rules.For(rules.Spec[networkingv1.Ingress]{
		Fields: []rules.Entry{
			rules.At("spec", rules.Check(func(c *rules.Checker, v, _ *networkingv1.IngressSpec) {
				if len(v.Rules) == 0 && v.DefaultBackend == nil {
					c.Add(field.Invalid(c.Path(), rules.Shown(v.Rules), "either `defaultBackend` or `rules` must be specified"))
				}
			})),
			rules.At("spec.defaultBackend", backend),
			rules.At("spec.rules", rules.Each(rules.Check(func(c *rules.Checker, v, _ *networkingv1.IngressRule) {
				checkIngressHost(c, v.Host)
				if v.HTTP != nil && !(strings.Contains(v.Host, "*") && hadInvalidWildcard(c, http)) {
					rules.In(c, http, v.HTTP, nil, "http")
				}
			}))),
			rules.At("spec.tls", rules.Each(rules.Check(checkIngressTLS))),
			rules.At("spec.ingressClassName", rules.Format(func(s string) []string { return validation.NameIsDNSSubdomain(s, false) })),
			rules.At("", rules.Check(checkClassAnnotation)),
		},
		Parts: map[string]rules.Part[networkingv1.Ingress]{"status": {Fields: []rules.Entry{
			rules.At("status.loadBalancer", rules.Check(checkIngressStatus)),
		}}},
	})
}

// ingressBackend are the rules of where traffic goes: to a service or to another resource.
func ingressBackend() *rules.Set {
	resource := rules.Of[corev1.TypedLocalObjectReference](
		rules.At("apiGroup", rules.Format(utilvalidation.IsDNS1123Subdomain)),
		rules.At("kind", rules.Required(), rules.Format(content.IsPathSegmentName)),
		rules.At("name", rules.Required(), rules.Format(content.IsPathSegmentName)),
	)
	service := rules.Of[networkingv1.IngressServiceBackend](
		rules.At("name", rules.Required(), rules.Format(func(s string) []string { return validation.NameIsDNSLabel(s, false) })),
	)
	return rules.Of[networkingv1.IngressBackend](rules.At("", rules.Check(func(c *rules.Checker, v, _ *networkingv1.IngressBackend) {
		switch {
		case v.Resource != nil && v.Service != nil:
			c.Add(field.Invalid(c.Path(), "", "cannot set both resource and service backends"))
		case v.Resource != nil:
			rules.In(c, resource, v.Resource, nil, "resource")
		case v.Service != nil:
			rules.In(c, service, v.Service, nil, "service")
			checkBackendPort(c, v.Service.Port)
		default:
			c.Add(field.Invalid(c.Path(), "", "resource or service backend is required"))
		}
	})))
}

func checkBackendPort(c *rules.Checker, port networkingv1.ServiceBackendPort) {
	switch {
	case port.Name != "" && port.Number != 0:
		c.Add(field.Invalid(c.Path(), "", "cannot set both port name & port number"))
	case port.Name != "":
		for _, msg := range utilvalidation.IsValidPortName(port.Name) {
			c.Add(field.Invalid(c.At("service", "port", "name"), port.Name, msg))
		}
	case port.Number != 0:
		for _, msg := range utilvalidation.IsValidPortNum(int(port.Number)) {
			c.Add(field.Invalid(c.At("service", "port", "number"), port.Number, msg))
		}
	default:
		c.Add(field.Required(c.Path(), "port name or number is required"))
	}
}

func checkHTTPPath(c *rules.Checker, v *networkingv1.HTTPIngressPath) {
	invalid := func(detail string) { c.Add(field.Invalid(c.At("path"), v.Path, detail)) }
	switch *v.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		if !strings.HasPrefix(v.Path, "/") {
			invalid("must be an absolute path")
		}
		for _, part := range []string{"//", "/./", "/../", "%2f", "%2F"} {
			if strings.Contains(v.Path, part) {
				invalid("must not contain '" + part + "'")
			}
		}
		for _, end := range []string{"/..", "/."} {
			if strings.HasSuffix(v.Path, end) {
				invalid("cannot end with '" + end + "'")
			}
		}
	case networkingv1.PathTypeImplementationSpecific:
		if v.Path != "" && !strings.HasPrefix(v.Path, "/") {
			invalid("must be an absolute path")
		}
	default:
		c.Add(field.NotSupported(c.At("pathType"), *v.PathType, []networkingv1.PathType{
			networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix,
		}))
	}
}

func checkIngressHost(c *rules.Checker, host string) {
	if host == "" {
		return
	}
	if isIP(host) {
		c.Add(field.Invalid(c.At("host"), host, "must be a DNS name, not an IP address"))
	}
	for _, msg := range wildcardOrName(host) {
		c.Add(field.Invalid(c.At("host"), host, msg))
	}
}

func wildcardOrName(host string) []string {
	if strings.Contains(host, "*") {
		return utilvalidation.IsWildcardDNS1123Subdomain(host)
	}
	return utilvalidation.IsDNS1123Subdomain(host)
}

// checkIngressTLS checks hosts and secret names. An Ingress that was stored with a bad secret name may go on having one.
func checkIngressTLS(c *rules.Checker, v, _ *networkingv1.IngressTLS) {
	for i, host := range v.Hosts {
		for _, msg := range wildcardOrName(host) {
			c.Add(field.Invalid(c.At("hosts").Index(i), host, msg))
		}
	}
	if msgs := secretName(v.SecretName); len(msgs) > 0 && !hadInvalidSecretName(c) {
		for _, msg := range msgs {
			c.Add(field.Invalid(c.At("secretName"), v.SecretName, msg))
		}
	}
}

func secretName(s string) []string {
	if s == "" {
		return nil
	}
	return validation.NameIsDNSSubdomain(s, false)
}

func hadInvalidSecretName(c *rules.Checker) bool {
	old, ok := c.Before().(*networkingv1.Ingress)
	for i := 0; ok && i < len(old.Spec.TLS); i++ {
		if len(secretName(old.Spec.TLS[i].SecretName)) > 0 {
			return true
		}
	}
	return false
}

// hadInvalidWildcard reports whether the stored Ingress has a rule for a wildcard host whose paths would be refused today.
func hadInvalidWildcard(c *rules.Checker, http *rules.Set) bool {
	old, ok := c.Before().(*networkingv1.Ingress)
	for i := 0; ok && i < len(old.Spec.Rules); i++ {
		if r := old.Spec.Rules[i]; strings.Contains(r.Host, "*") && r.HTTP != nil {
			var judge rules.Checker
			if rules.In(&judge, http, r.HTTP, nil); judge.Failed() > 0 {
				return true
			}
		}
	}
	return false
}

// checkClassAnnotation keeps a new Ingress from naming two classes.
func checkClassAnnotation(c *rules.Checker, v, _ *networkingv1.Ingress) {
	class, named := v.Annotations[classAnnotation]
	switch {
	case !named || c.Updating():
	case v.Spec.IngressClassName == nil:
		c.Warn(`annotation "` + classAnnotation + `" is deprecated, please use 'spec.ingressClassName' instead`)
	case class != *v.Spec.IngressClassName:
		c.Add(field.Invalid(field.NewPath("annotations", classAnnotation), class, "must match `ingressClassName` when both are specified"))
	}
}

func checkIngressStatus(c *rules.Checker, v, old *networkingv1.IngressLoadBalancerStatus) {
	var before []string
	if old != nil {
		for _, entry := range old.Ingress {
			before = append(before, entry.IP)
		}
	}
	for i, entry := range v.Ingress {
		at := func(name string) func() *field.Path {
			return func() *field.Path { return c.At("ingress").Index(i).Child(name) }
		}
		if entry.IP != "" {
			validIP(c, entry.IP, before, at("ip"))
			warnIP(c, entry.IP, func() *field.Path { return c.At("ingress").Index(i) })
		}
		checkEntryHost(c, entry.Hostname, at("hostname"))
	}
}

// checkEntryHost checks the name of a load balancer, which must be a name.
func checkEntryHost(c *rules.Checker, host string, at func() *field.Path) {
	if host == "" {
		return
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(host) {
		c.Add(field.Invalid(at(), host, msg))
	}
	if isIP(host) {
		c.Add(field.Invalid(at(), host, "must be a DNS name, not an IP address"))
	}
}
