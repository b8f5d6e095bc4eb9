package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
)

// Named is a serving certificate for some names only.
type Named struct {
	*KeyPair
	// Names are host names or *.domain. Empty means those in the certificate.
	Names []string
}

// Choose returns a [tls.Config.GetCertificate] that shows the certificate for the name that the client asks for, or else that of others. A client that
// asks for no name, because it connected to an address, is one that asks for the address. An exact name comes before a wildcard, names that were
// given before those in a certificate, and earlier certificates before later ones.
func Choose(named []Named, others *KeyPair) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(named) == 0 {
		return others.GetCertificate
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := strings.ToLower(hello.ServerName)
		if name == "" && hello.Conn != nil {
			if host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String()); err == nil {
				name = host
			}
		}
		for _, matches := range []func(Named, string) bool{Named.given, Named.certified, Named.givenWildcard, Named.certifiedWildcard} {
			for _, n := range named {
				if matches(n, name) {
					return n.GetCertificate(hello)
				}
			}
		}
		return others.GetCertificate(hello)
	}
}

func (n Named) given(name string) bool { return contains(n.Names, name) }

func (n Named) givenWildcard(name string) bool { return contains(n.Names, wildcard(name)) }

func (n Named) certified(name string) bool {
	leaf := n.leaf()
	if leaf == nil {
		return false
	}
	if ip := net.ParseIP(name); ip != nil {
		for _, have := range leaf.IPAddresses {
			if have.Equal(ip) {
				return true
			}
		}
		return false
	}
	return contains(leaf.DNSNames, name)
}

func (n Named) certifiedWildcard(name string) bool {
	leaf := n.leaf()
	return leaf != nil && contains(leaf.DNSNames, wildcard(name))
}

// leaf is the certificate whose names count; nil where names were given.
func (n Named) leaf() *x509.Certificate {
	if len(n.Names) > 0 {
		return nil
	}
	return n.current.Load().certificate.Leaf
}

// wildcard is the pattern that stands for the name and its siblings; empty if there is none.
func wildcard(name string) string {
	_, domain, found := strings.Cut(name, ".")
	if !found || net.ParseIP(name) != nil {
		return ""
	}
	return "*." + domain
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if name != "" && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
