package flags

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// patient keeps the error of a value for later instead of ending the parse.
type patient struct {
	pflag.Value
	name   string
	faults *[]error
}

// Set always succeeds; what is wrong with the text becomes one of the set's faults and the value stays what it was, so
// that it does not cause a second one.
func (v *patient) Set(text string) error {
	old := v.Value.String()
	err := v.Value.Set(text)
	if err == nil {
		return nil
	}
	*v.faults = append(*v.faults, fmt.Errorf("--%s=%s: %w", v.name, text, reason(err)))
	if _, list := v.Value.(pflag.SliceValue); list {
		return nil // a list that cannot be read was not changed, and setting it would append
	}
	return v.Value.Set(old)
}

// reason cuts what the standard library puts before the cause: the function's name and the text again.
func reason(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// parsed is a flag whose text has its own parser. Each occurrence replaces the one before.
type parsed[T any] struct {
	value  *T
	parse  func(string) (T, error)
	format func(T) string
	kind   string
}

// Set parses the text.
func (v parsed[T]) Set(text string) error {
	value, err := v.parse(text)
	if err != nil {
		return err
	}
	*v.value = value
	return nil
}

// String formats the value; pflag calls it on the zero parsed too.
func (v parsed[T]) String() string {
	if v.value == nil {
		return ""
	}
	return v.format(*v.value)
}

// Type is what the help text shows for the value.
func (v parsed[T]) Type() string { return v.kind }

func parseAddress(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errors.New("want an IP address")
	}
	return a.Unmap(), nil
}

func formatAddress(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func parsePrefixes(s string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q is not an IP range such as 10.0.0.0/24", part)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

func formatPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// parsePortRange reads a range of ports: a-b, or a+n for n ports more, or a single one.
func parsePortRange(s string) (utilnet.PortRange, error) {
	r, err := utilnet.ParsePortRange(s)
	if err != nil || r.Size == 0 {
		return utilnet.PortRange{}, fmt.Errorf("%q is not a range of ports such as 30000-32767", s)
	}
	return *r, nil
}

// tlsVersions are kube-apiserver's names, lowest first.
func tlsVersions() []string {
	return []string{"VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"}
}

func parseTLSVersion(s string) (uint16, error) {
	for i, name := range tlsVersions() {
		if s == name {
			return tls.VersionTLS10 + uint16(i), nil
		}
	}
	return 0, fmt.Errorf("want one of %s", strings.Join(tlsVersions(), ", "))
}

func formatTLSVersion(v uint16) string {
	if i := int(v) - tls.VersionTLS10; i >= 0 && i < len(tlsVersions()) {
		return tlsVersions()[i]
	}
	return ""
}
