package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/bootstrap"
	"github.com/gatehouse/gatehouse/authn/clientcert"
	"github.com/gatehouse/gatehouse/authn/oidc"
	"github.com/gatehouse/gatehouse/authn/requestheader"
	"github.com/gatehouse/gatehouse/authn/revocation"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
	"github.com/gatehouse/gatehouse/authn/tokencache"
	"github.com/gatehouse/gatehouse/authn/tokenfile"
	tokenwebhook "github.com/gatehouse/gatehouse/authn/webhook"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/webhook"
)

// authentication is what the authenticators are made of and what other parts need of them.
type authentication struct {
	accountKeys     *serviceaccount.Keys
	identityHeaders authn.IdentityHeaders
	clientCAs       []*clientcert.Authenticator
	proxies         *frontProxies // nil if none is believed
	tokenUse        tokenUse
	oidc            *oidc.Authenticator // nil if there are no issuers
	revocation      *revocation.Lists   // nil if nothing is revoked
	hint            atomic.Pointer[x509.CertPool]
}

// makeAuthentication fills the chain in the order of kube-apiserver: front proxies, client certificates, then tokens, those that are
// judged here before those that somebody else is asked about.
func (p *parts) makeAuthentication(ctx context.Context) error {
	for _, make := range []func(context.Context) error{
		p.openClientCAs, p.makeRequestHeader, p.addClientCAs, p.makeTokenFile, p.makeAccountTokens, p.makeBootstrapTokens,
		p.makeOIDC, p.makeTokenWebhook, p.makeRevocation,
	} {
		if err := make(ctx); err != nil {
			return err
		}
	}
	p.hintAuthorities()
	return nil
}

func (p *parts) openClientCAs(context.Context) error {
	for _, file := range p.authorities() {
		a, err := clientcert.Open(file, time.Now)
		if err != nil {
			return fmt.Errorf("--client-ca-file: %w", err)
		}
		p.clientCAs = append(p.clientCAs, a)
		p.reload = append(p.reload, reloader{file, p.reloadAuthorities(a)})
	}
	return nil
}

func (p *parts) addClientCAs(context.Context) error {
	for _, a := range p.clientCAs {
		p.authn.Certificates = append(p.authn.Certificates, a)
	}
	return nil
}

func (p *parts) makeRequestHeader(context.Context) error {
	r := p.options.RequestHeader
	if r.ClientCAFile == "" {
		return nil
	}
	authorities, err := clientcert.Open(r.ClientCAFile, time.Now)
	if err != nil {
		return fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	p.proxies = &frontProxies{authorities: authorities}
	if err := p.checkOverlap(); err != nil {
		return err
	}
	a, err := requestheader.New(requestheader.Options{
		Proxies: p.proxies, AllowedNames: r.AllowedNames, UsernameHeaders: r.UsernameHeaders, UIDHeaders: r.UIDHeaders,
		GroupHeaders: r.GroupHeaders, ExtraHeaderPrefixes: r.ExtraHeaderPrefixes, JudgeAll: len(p.clientCAs) == 0,
	})
	if err != nil {
		return err
	}
	p.identityHeaders = a.IdentityHeaders()
	p.authn.Certificates = append(p.authn.Certificates, a)
	p.reload = append(p.reload, reloader{r.ClientCAFile, p.reloadAuthorities(authorities)})
	return nil
}

// frontProxies verifies the certificates of front proxies, unless their authorities are also those of clients.
type frontProxies struct {
	authorities *clientcert.Authenticator
	overlap     atomic.Bool
}

var errOverlap = errors.New("no front proxy is believed: its authorities are those of client certificates too")

// Verify implements requestheader.Verifier.
func (f *frontProxies) Verify(presented []*x509.Certificate) error {
	if f.overlap.Load() {
		return errOverlap
	}
	return f.authorities.Verify(presented)
}

// reloadAuthorities reads a bundle again. Nobody is believed from when a change makes the bundles overlap.
func (p *parts) reloadAuthorities(a *clientcert.Authenticator) func() (bool, error) {
	return func() (bool, error) {
		changed, err := a.Reload()
		if err == nil && changed {
			p.hintAuthorities()
			err = p.checkOverlap()
		}
		return changed, err
	}
}

// checkOverlap refuses that whoever has a client certificate could speak for everybody. With names of proxies that takes a certificate
// with such a name, which the hardened profile does not rely on either.
func (p *parts) checkOverlap() (err error) {
	if p.proxies == nil {
		return nil
	}
	defer func() { p.proxies.overlap.Store(err != nil) }()
	for _, clients := range p.clientCAs {
		if !overlap(p.proxies.authorities.Authorities(), clients.Authorities()) {
			continue
		}
		switch {
		case p.options.Profile == flags.Hardened:
			return errors.New("--requestheader-client-ca-file and --client-ca-file contain overlapping certificates: the hardened profile " +
				"needs an authority of its own for front proxies")
		case len(p.options.RequestHeader.AllowedNames) == 0:
			return errors.New("--requestheader-client-ca-file and --client-ca-file contain overlapping certificates; --requestheader-allowed-names " +
				"must be specified to ensure regular client certificates cannot set authenticating proxy headers for arbitrary users")
		}
		p.logger.Warn("--requestheader-client-ca-file and --client-ca-file contain overlapping certificates: whoever gets a client certificate " +
			"with a name of --requestheader-allowed-names may speak for everybody")
	}
	return nil
}

func overlap(a, b []*x509.Certificate) bool {
	for _, one := range a {
		for _, other := range b {
			if one.Equal(other) {
				return true
			}
		}
	}
	return false
}

func (p *parts) makeTokenFile(context.Context) error {
	if p.options.TokenAuthFile == "" {
		return nil
	}
	a, err := tokenfile.Open(tokenfile.Options{
		Path: p.options.TokenAuthFile, AllowReadableByOthers: p.options.Profile == flags.Compatible,
	})
	if err != nil {
		return fmt.Errorf("--token-auth-file: %w", err)
	}
	p.authn.Tokens = append(p.authn.Tokens, a)
	p.reload = append(p.reload, reloader{p.options.TokenAuthFile, a.Reload})
	return nil
}

func (p *parts) makeAccountTokens(context.Context) error {
	p.tokenUse = newTokenUse()
	legacy, err := serviceaccount.NewLegacy(serviceaccount.LegacyOptions{
		Audiences: p.audiences(), Keys: p.accountKeys, Objects: p.find, Clock: time.Now, Used: p.tokenUse.tell,
	})
	if err != nil {
		return err
	}
	bound, err := serviceaccount.NewAuthenticator(serviceaccount.AuthenticatorOptions{
		Issuers: p.issuers(), Audiences: p.audiences(), Keys: p.accountKeys, Objects: p.find, Clock: time.Now,
	})
	if err != nil {
		return err
	}
	p.authn.Tokens = append(p.authn.Tokens, legacy, bound)
	return nil
}

func (p *parts) makeBootstrapTokens(context.Context) error {
	if p.options.BootstrapTokenAuth {
		p.authn.Tokens = append(p.authn.Tokens, bootstrap.New(p.find, time.Now))
	}
	return nil
}

// makeTokenWebhook comes last: whoever else knows a token keeps it from being sent elsewhere.
func (p *parts) makeTokenWebhook(context.Context) error {
	o := p.options.TokenWebhook
	if o.ConfigFile == "" {
		return nil
	}
	service, err := webhook.Open(o.ConfigFile, 0)
	if err != nil {
		return fmt.Errorf("--authentication-token-webhook-config-file: %w", err)
	}
	p.close = append(p.close, service.Close)
	p.reload = append(p.reload, reloader{o.ConfigFile, service.Reload})
	reviewer, err := tokenwebhook.New(tokenwebhook.Options{Service: service, Version: o.Version, Audiences: p.audiences()})
	if err != nil {
		return fmt.Errorf("--authentication-token-webhook-version: %w", err)
	}
	cache, err := tokencache.New(tokencache.Options{Next: reviewer, Success: o.CacheTTL, Failure: o.CacheTTL, Clock: time.Now})
	if err != nil {
		return err
	}
	p.authn.Tokens = append(p.authn.Tokens, cache)
	return nil
}
