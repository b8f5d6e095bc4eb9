package main

import "crypto/x509"

// hintAuthorities makes what the server tells clients during the handshake about the certificates it takes: the names of the authorities of
// client certificates and of front proxies. A client that has several certificates chooses by it. It is a hint and decides nothing:
// certificates are verified with each request.
func (p *parts) hintAuthorities() {
	pool := x509.NewCertPool()
	for _, a := range p.clientCAs {
		addAll(pool, a.Authorities())
	}
	if p.proxies != nil {
		addAll(pool, p.proxies.authorities.Authorities())
	}
	p.hint.Store(pool)
}

func addAll(pool *x509.CertPool, authorities []*x509.Certificate) {
	for _, a := range authorities {
		pool.AddCert(a)
	}
}
