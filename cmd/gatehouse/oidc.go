package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/oidc"
	"github.com/gatehouse/gatehouse/authn/tokencache"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// tokenCacheTTL is how long a token of an issuer is not verified again.
const tokenCacheTTL = 10 * time.Second

// makeOIDC takes the issuers of --authentication-config, or the one of --oidc-*.
func (p *parts) makeOIDC(context.Context) error {
	o, flag, algorithms := p.options, "--oidc-issuer-url", p.options.OIDC.SigningAlgs
	config, err := configOfFlags(o.OIDC)
	if err != nil {
		return err
	}
	if o.AuthenticationConfigFile != "" {
		flag, algorithms = "--authentication-config", oidc.Algorithms()
		if config, err = oidc.Load(o.AuthenticationConfigFile); err != nil {
			return fmt.Errorf("--authentication-config: failed to load authentication configuration from file: %w", err)
		}
	}
	if config == nil {
		return nil
	}
	if err := p.setAnonymous(config.Anonymous); err != nil {
		return err
	}
	if p.oidc, err = oidc.New(config, oidc.Options{Algorithms: algorithms, Disallowed: p.issuers(), Clock: time.Now, Logger: p.logger}); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	cache, err := tokencache.New(tokencache.Options{Next: p.oidc, Success: tokenCacheTTL, Clock: time.Now})
	if err != nil {
		return err
	}
	p.authn.Tokens = append(p.authn.Tokens, cache)
	if file := o.AuthenticationConfigFile; file != "" {
		p.reload = append(p.reload, reloader{file, whenChanged([]string{file}, func() error {
			config, err := oidc.Load(file)
			if err != nil {
				return err
			}
			return p.oidc.Replace(config)
		})})
	}
	return nil
}

// setAnonymous lets the configuration say who may be anonymous.
func (p *parts) setAnonymous(a *oidc.Anonymous) error {
	if a == nil {
		return nil
	}
	if p.options.AnonymousGiven {
		return fmt.Errorf("--authentication-config: anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in " +
			"authentication configuration file")
	}
	p.authn.Anonymous = authn.Anonymous{Enabled: a.Enabled}
	for _, c := range a.Conditions {
		p.authn.Anonymous.Paths = append(p.authn.Anonymous.Paths, c.Path)
	}
	if a.Enabled && slices.Contains(p.options.AuthorizationModes, flags.AlwaysAllow) {
		p.authn.Anonymous = authn.Anonymous{}
		p.logger.Warn("anonymous requests are off: --authorization-mode=" + flags.AlwaysAllow + " would let everybody do everything")
	}
	if p.authn.Anonymous.Enabled && len(a.Conditions) == 0 && p.options.Profile == flags.Hardened {
		p.logger.Warn("--authentication-config lets requests without credentials reach authorization")
	}
	return nil
}

// configOfFlags is the configuration that the flags of an issuer stand for; nil if they name none.
func configOfFlags(o flags.OIDC) (*oidc.Config, error) {
	if o.IssuerURL == "" {
		return nil, nil
	}
	prefix := o.UsernamePrefix
	switch {
	case prefix == "-":
		prefix = ""
	case prefix == "" && o.UsernameClaim != "email":
		prefix = o.IssuerURL + "#"
	}
	j := oidc.JWT{
		Issuer:        oidc.Issuer{URL: o.IssuerURL, Audiences: []string{o.ClientID}},
		ClaimMappings: oidc.ClaimMappings{Username: oidc.PrefixedClaim{Claim: o.UsernameClaim, Prefix: &prefix}},
	}
	if o.GroupsClaim != "" {
		j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: o.GroupsClaim, Prefix: &o.GroupsPrefix}
	}
	for _, claim := range slices.Sorted(maps.Keys(o.RequiredClaims)) {
		j.ClaimValidationRules = append(j.ClaimValidationRules, oidc.ClaimValidationRule{Claim: claim, RequiredValue: o.RequiredClaims[claim]})
	}
	if o.CAFile != "" {
		ca, err := pki.ReadPublic(o.CAFile, maxReloadBytes)
		if err != nil {
			return nil, fmt.Errorf("--oidc-ca-file: %w", err)
		}
		j.Issuer.CertificateAuthority = string(ca)
	}
	return &oidc.Config{JWT: []oidc.JWT{j}}, nil
}

// followIssuers reads the keys of issuers as long as the server runs.
func (p *parts) followIssuers(ctx context.Context) error {
	if p.oidc == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.oidc.Run(ctx)
}
