package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// What the resolver of a C library takes.
const (
	maxNameservers     = 3
	maxSearchDomains   = 32
	maxSearchListBytes = 2048
)

// checkDNS are the rules of how names are looked up.
func checkDNS(c *rules.Checker, v, _ *corev1.PodSpec) {
	if v.DNSPolicy == corev1.DNSNone {
		switch {
		case v.DNSConfig == nil:
			c.Add(field.Required(c.At("dnsConfig"), "must provide `dnsConfig` when `dnsPolicy` is None"))
			return
		case len(v.DNSConfig.Nameservers) == 0:
			c.Add(field.Required(c.At("dnsConfig", "nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"))
			return
		}
	}
	if d := v.DNSConfig; d != nil {
		checkDNSConfig(c, d)
	}
}

func checkDNSConfig(c *rules.Checker, d *corev1.PodDNSConfig) {
	at := func(name string) *field.Path { return c.At("dnsConfig", name) }
	if len(d.Nameservers) > maxNameservers {
		c.Add(field.Invalid(at("nameservers"), d.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers)))
	}
	for i, s := range d.Nameservers {
		if len(ipAddress(nil, s)) > 0 {
			c.Add(ipAddress(at("nameservers").Index(i), s)...)
		}
	}
	if len(d.Searches) > maxSearchDomains {
		c.Add(field.Invalid(at("searches"), d.Searches, fmt.Sprintf("must not have more than %v search paths", maxSearchDomains)))
	}
	if len(strings.Join(d.Searches, " ")) > maxSearchListBytes {
		c.Add(field.Invalid(at("searches"), d.Searches,
			fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchListBytes)))
	}
	for i, s := range d.Searches {
		if s == "." {
			continue
		}
		s = strings.TrimSuffix(s, ".")
		for _, m := range utilvalidation.IsDNS1123SubdomainWithUnderscore(s) {
			c.Add(field.Invalid(at("searches").Index(i), s, m))
		}
	}
	for i := range d.Options {
		if d.Options[i].Name == "" {
			c.Add(field.Required(at("options").Index(i), "must not be empty"))
		}
	}
}

const maxHostname = 64 // as Linux bounds it

// checkHostnameOverride asks that a hostname which replaces all others stands alone.
func checkHostnameOverride(c *rules.Checker, v, _ *corev1.PodSpec) {
	if v.HostnameOverride == nil {
		return
	}
	if isTrue(v.SetHostnameAsFQDN) {
		c.Add(field.Forbidden(c.At("hostnameOverride"), "may not be specified when setHostnameAsFQDN is true"))
	}
	if v.HostNetwork {
		c.Add(field.Forbidden(c.At("hostnameOverride"), "may not be specified when hostNetwork is true"))
	}
	if len(*v.HostnameOverride) > maxHostname {
		c.Add(field.TooLong(c.At("hostnameOverride"), "", maxHostname))
	}
	for _, m := range utilvalidation.IsDNS1123Subdomain(*v.HostnameOverride) {
		c.Add(field.Invalid(c.At("hostnameOverride"), *v.HostnameOverride, m))
	}
}
