package network

import (
	"net"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// validIP tells what is wrong with an address in a field that is older than the demand for canonical form. What an object had before
// stays accepted.
func validIP(c *rules.Checker, ip string, before []string, at func() *field.Path) bool {
	if len(utilvalidation.IsValidIPForLegacyField(nil, ip, true, before)) == 0 {
		return true
	}
	c.Add(utilvalidation.IsValidIPForLegacyField(at(), ip, true, before)...)
	return false
}

// validCIDR is [validIP] for ranges.
func validCIDR(c *rules.Checker, cidr string, before []string, at func() *field.Path) {
	if len(utilvalidation.IsValidCIDRForLegacyField(nil, cidr, true, before)) > 0 {
		c.Add(utilvalidation.IsValidCIDRForLegacyField(at(), cidr, true, before)...)
	}
}

// warnIP tells the client that an address is not written as it should be.
func warnIP(c *rules.Checker, ip string, at func() *field.Path) {
	if isIP(ip) && len(utilvalidation.GetWarningsForIP(nil, ip)) > 0 {
		warnAll(c, utilvalidation.GetWarningsForIP(at(), ip))
	}
}

func warnCIDR(c *rules.Checker, cidr string, at func() *field.Path) {
	if len(utilvalidation.IsValidCIDRForLegacyField(nil, cidr, false, nil)) == 0 && len(utilvalidation.GetWarningsForCIDR(nil, cidr)) > 0 {
		warnAll(c, utilvalidation.GetWarningsForCIDR(at(), cidr))
	}
}

func warnAll(c *rules.Checker, texts []string) {
	for _, text := range texts {
		c.Warn(text)
	}
}

// isIP reports whether s is an address in any form that was ever accepted, leading zeros included.
func isIP(s string) bool { return len(utilvalidation.IsValidIPForLegacyField(nil, s, false, nil)) == 0 }

// isIPv6 reports whether s is an address of that family.
func isIPv6(s string) bool {
	ip := net.ParseIP(s)
	return ip != nil && ip.To4() == nil
}

// isIPv4 reports whether s is an address of that family, in any form that was ever accepted.
func isIPv4(s string) bool { return isIP(s) && !isIPv6(s) }

// usableIP refuses addresses that traffic cannot be sent to from elsewhere.
func usableIP(c *rules.Checker, s string, at func() *field.Path) {
	ip := net.ParseIP(s)
	switch {
	case !isIP(s):
		c.Add(field.Invalid(at(), s, "must be a valid IP address"))
	case ip.IsUnspecified():
		c.Add(field.Invalid(at(), s, "may not be unspecified ("+s+")"))
	case ip.IsLoopback():
		c.Add(field.Invalid(at(), s, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
	case ip.IsLinkLocalUnicast():
		c.Add(field.Invalid(at(), s, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
	case ip.IsLinkLocalMulticast():
		c.Add(field.Invalid(at(), s, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))
	}
}
