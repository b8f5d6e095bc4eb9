package main

import (
	"crypto/tls"
	"fmt"

	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
	"github.com/gatehouse/gatehouse/server"
)

// edgeOf is what the flags tell browsers and load balancers.
func edgeOf(t flags.Transport) (server.Edge, error) {
	origins, err := server.CompileOrigins(t.AllowedOrigins)
	if err != nil {
		return server.Edge{}, fmt.Errorf("--cors-allowed-origins: %w", err)
	}
	return server.Edge{
		AllowedOrigins: origins, StrictTransportSecurity: server.JoinDirectives(t.StrictTransportSecurity), GoAwayChance: t.GoAwayChance,
	}, nil
}

// certificates shows the certificates of --tls-sni-cert-key to those who ask for their names, and pair to all others. Their files are read
// again as pair's are.
func (p *parts) certificates(pair *pki.KeyPair) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	named := make([]pki.Named, 0, len(p.options.Transport.NamedCertificates))
	for _, c := range p.options.Transport.NamedCertificates {
		k, err := pki.OpenKeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--tls-sni-cert-key: %w", err)
		}
		p.reload = append(p.reload, reloader{c.CertFile, k.Reload})
		named = append(named, pki.Named{KeyPair: k, Names: c.Names})
	}
	return pki.Choose(named, pair), nil
}
