package oidc

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxIssuers = 64

const matchAny = "MatchAny"

// Validate reports everything that is wrong. disallowed are issuers whose tokens are judged by somebody else: those of service accounts.
func (c *Config) Validate(disallowed []string) error {
	_, errs := c.compile(disallowed)
	return errs.ToAggregate()
}

// compile validates the configuration and compiles its expressions.
func (c *Config) compile(disallowed []string) ([]*mapping, field.ErrorList) {
	root := field.NewPath("jwt")
	if len(c.JWT) > maxIssuers {
		return nil, field.ErrorList{field.TooMany(root, len(c.JWT), maxIssuers)}
	}
	var errs field.ErrorList
	compiler := &lazyCompiler{}
	urls, discoveries := map[string]bool{}, map[string]bool{}
	mappings := make([]*mapping, 0, len(c.JWT))
	for i := range c.JWT {
		j, path := &c.JWT[i], root.Index(i)
		errs = append(errs, j.Issuer.validate(path.Child("issuer"), disallowed)...)
		m, e := compileMapping(compiler, j, path)
		mappings, errs = append(mappings, m), append(errs, e...)
		if urls[j.Issuer.URL] {
			errs = append(errs, field.Duplicate(path.Child("issuer", "url"), j.Issuer.URL))
		}
		if d := j.Issuer.DiscoveryURL; d != "" && discoveries[d] {
			errs = append(errs, field.Duplicate(path.Child("issuer", "discoveryURL"), d))
		}
		urls[j.Issuer.URL], discoveries[j.Issuer.DiscoveryURL] = true, true
	}
	if a := c.Anonymous; a != nil && !a.Enabled && len(a.Conditions) > 0 {
		errs = append(errs, field.Invalid(field.NewPath("anonymous", "conditions"), a.Conditions, "enabled should be set to true when conditions are defined"))
	}
	return mappings, errs
}

func (i *Issuer) validate(path *field.Path, disallowed []string) (errs field.ErrorList) {
	if i.URL == "" {
		errs = append(errs, field.Required(path.Child("url"), ""))
	} else {
		errs = append(errs, validateURL(i.URL, disallowed, path.Child("url"))...)
	}
	if d := i.DiscoveryURL; d != "" {
		if i.URL != "" && strings.TrimRight(i.URL, "/") == strings.TrimRight(d, "/") {
			errs = append(errs, field.Invalid(path.Child("discoveryURL"), d, "discoveryURL must be different from URL"))
		}
		errs = append(errs, validateURL(d, nil, path.Child("discoveryURL"))...)
	}
	errs = append(errs, i.validateAudiences(path)...)
	if ca := i.CertificateAuthority; ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		errs = append(errs, field.Invalid(path.Child("certificateAuthority"), "<omitted>", "data does not contain any valid RSA or ECDSA certificates"))
	}
	if e := i.EgressSelectorType; e != "" {
		errs = append(errs, field.Invalid(path.Child("egressSelectorType"), e, "egress selectors are not implemented here"))
	}
	return errs
}

func validateURL(text string, disallowed []string, path *field.Path) (errs field.ErrorList) {
	if slices.Contains(disallowed, text) {
		errs = append(errs, field.Invalid(path, text, fmt.Sprintf("URL must not overlap with disallowed issuers: %s", slices.Sorted(slices.Values(disallowed)))))
	}
	u, err := url.Parse(text)
	if err != nil {
		return append(errs, field.Invalid(path, text, err.Error()))
	}
	for _, v := range []struct {
		bad bool
		msg string
	}{
		{u.Scheme != "https", "URL scheme must be https"},
		{u.User != nil, "URL must not contain a username or password"},
		{u.RawQuery != "", "URL must not contain a query"},
		{u.Fragment != "", "URL must not contain a fragment"},
	} {
		if v.bad {
			errs = append(errs, field.Invalid(path, u.Redacted(), v.msg))
		}
	}
	return errs
}

func (i *Issuer) validateAudiences(path *field.Path) (errs field.ErrorList) {
	list, policy := path.Child("audiences"), path.Child("audienceMatchPolicy")
	if len(i.Audiences) == 0 {
		return field.ErrorList{field.Required(list, fmt.Sprintf("at least one %s is required", list))}
	}
	for n, a := range i.Audiences {
		if a == "" {
			errs = append(errs, field.Required(list.Index(n), ""))
		}
		if slices.Contains(i.Audiences[:n], a) {
			errs = append(errs, field.Duplicate(list.Index(n), a))
		}
	}
	switch {
	case len(i.Audiences) > 1 && i.AudienceMatchPolicy != matchAny:
		errs = append(errs, field.Invalid(policy, i.AudienceMatchPolicy, "audienceMatchPolicy must be MatchAny for multiple audiences"))
	case i.AudienceMatchPolicy != "" && i.AudienceMatchPolicy != matchAny:
		errs = append(errs, field.Invalid(policy, i.AudienceMatchPolicy, "audienceMatchPolicy must be empty or MatchAny for single audience"))
	}
	return errs
}

// validateExtraKey wants a path below a domain that is not Kubernetes' own.
func validateExtraKey(key string, path *field.Path) field.ErrorList {
	errs := validation.IsDomainPrefixedPath(path, key)
	if key != strings.ToLower(key) {
		errs = append(errs, field.Invalid(path, key, "must be lowercase"))
	}
	domain, _, below := strings.Cut(key, "/")
	for _, reserved := range []string{"kubernetes.io", "k8s.io"} {
		if below && (domain == reserved || strings.HasSuffix(domain, "."+reserved)) {
			errs = append(errs, field.Invalid(path, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"))
		}
	}
	return errs
}
