package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/gatehouse/gatehouse/backend"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// makeBackends makes what connects clients to kubelets, pods and services.
func (p *parts) makeBackends() (*backend.Proxy, error) {
	k := p.options.Kubelets
	config := backend.Config{
		Verify:        p.options.Profile == flags.Hardened,
		AllowLoopback: k.AllowLoopback, ConnectTimeout: k.Timeout,
		Own: p.listensAt,
	}
	if k.ClientCertificate != "" {
		pair, err := pki.OpenKeyPair(k.ClientCertificate, k.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("--kubelet-client-certificate: %w", err)
		}
		p.reload = append(p.reload, reloader{k.ClientCertificate, pair.Reload})
		config.Certificate = func() (*tls.Certificate, error) { return pair.GetCertificate(nil) }
	}
	file := k.CertificateAuthority
	if file == "" && p.material != nil && config.Verify {
		file = p.material.CACert
	}
	if file == "" {
		p.logger.Warn("the certificates of kubelets are not verified: name their authority with --kubelet-certificate-authority")
		return backend.New(config), nil
	}
	var err error
	if config.Authorities, err = p.watchedPool(file); err != nil {
		return nil, fmt.Errorf("--kubelet-certificate-authority: %w", err)
	}
	return backend.New(config), nil
}

// watchedPool reads authorities from a file, again when it changes.
func (p *parts) watchedPool(file string) (func() *x509.CertPool, error) {
	var current atomic.Pointer[x509.CertPool]
	load := func() error {
		text, err := pki.ReadPublic(file, maxReloadBytes)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s holds no certificate", file)
		}
		current.Store(pool)
		return nil
	}
	if err := load(); err != nil {
		return nil, err
	}
	p.reload = append(p.reload, reloader{file, whenChanged([]string{file}, load)})
	return current.Load, nil
}

// listensAt reports whether this server can be reached at the address. If the machine's addresses cannot be read, everything on its port
// counts as its own.
func (p *parts) listensAt(at netip.AddrPort) bool {
	listening, ok := p.listener.Addr().(*net.TCPAddr)
	if !ok || int(at.Port()) != listening.Port {
		return false
	}
	addr := at.Addr().Unmap().WithZone("")
	if advertised, _ := p.advertised(); addr.IsLoopback() || addr == advertised {
		return true
	}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range local {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == addr {
			return true
		}
	}
	return false
}
