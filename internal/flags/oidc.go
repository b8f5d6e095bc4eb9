package flags

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// OIDC is one issuer of JSON Web Tokens. The zero value has none.
type OIDC struct {
	// IssuerURL is the iss of tokens. It is https; empty means that there is no issuer.
	IssuerURL string
	// ClientID is the audience of tokens, required with IssuerURL.
	ClientID string
	// CAFile verifies the issuer. Empty means the authorities of the system.
	CAFile string
	// UsernameClaim is the claim that the user is named by, and UsernamePrefix what is put before it: "-" nothing, empty the issuer and a #, but
	// for the claim email nothing.
	UsernameClaim  string
	UsernamePrefix string
	// GroupsClaim is the claim with the groups, if there is one, and GroupsPrefix what is put before each.
	GroupsClaim  string
	GroupsPrefix string
	// SigningAlgs are the algorithms that tokens may be signed with.
	SigningAlgs []string
	// RequiredClaims must be in a token with these values.
	RequiredClaims map[string]string
}

func registerOIDC(fs *pflag.FlagSet, c *OIDC) {
	fs.StringVar(&c.IssuerURL, "oidc-issuer-url", "", "https URL of an OpenID Connect issuer whose tokens are accepted")
	fs.StringVar(&c.ClientID, "oidc-client-id", "", "audience of the issuer's tokens; required with --oidc-issuer-url")
	fs.StringVar(&c.CAFile, "oidc-ca-file", "", "authority that verifies the issuer (default those of the system)")
	fs.StringVar(&c.UsernameClaim, "oidc-username-claim", "sub", "claim that the user is named by")
	fs.StringVar(&c.UsernamePrefix, "oidc-username-prefix", "",
		"what is put before the name of the user; - for nothing (default the URL of the issuer and #, but nothing before the claim email)")
	fs.StringVar(&c.GroupsClaim, "oidc-groups-claim", "", "claim with the groups of the user, a string or a list")
	fs.StringVar(&c.GroupsPrefix, "oidc-groups-prefix", "", "what is put before each group")
	fs.StringSliceVar(&c.SigningAlgs, "oidc-signing-algs", []string{"RS256"},
		"algorithms that tokens may be signed with: "+strings.Join(signingAlgs(), ", "))
	fs.Var(parsed[map[string]string]{&c.RequiredClaims, requiredClaim(&c.RequiredClaims), formatClaims, "claim=value"},
		"oidc-required-claim", "claim and value that a token must have, may be repeated")
}

func signingAlgs() []string {
	return []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}
}

// requiredClaim adds one claim to those given before.
func requiredClaim(given *map[string]string) func(string) (map[string]string, error) {
	return func(text string) (map[string]string, error) {
		if text == "" {
			return nil, nil
		}
		claim, value, ok := strings.Cut(text, "=")
		if claim = strings.TrimSpace(claim); !ok || claim == "" {
			return nil, errors.New("want claim=value")
		}
		all := map[string]string{claim: strings.TrimSpace(value)}
		for c, v := range *given {
			if c != claim {
				all[c] = v
			}
		}
		return all, nil
	}
}

func formatClaims(claims map[string]string) string {
	var texts []string
	for c, v := range claims {
		texts = append(texts, c+"="+v)
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

// given reports whether any of the flags was.
func (c *OIDC) given() bool {
	return c.IssuerURL != "" || c.ClientID != "" || c.CAFile != "" || c.UsernameClaim != "sub" || c.UsernamePrefix != "" || c.GroupsClaim != "" ||
		c.GroupsPrefix != "" || !slices.Equal(c.SigningAlgs, []string{"RS256"}) || len(c.RequiredClaims) > 0
}

func (o *Options) validateOIDC(f *faults) {
	c := o.OIDC
	switch {
	case c.UsernameClaim == "" && c.IssuerURL == "" && len(c.SigningAlgs) == 0: // the zero value
	case o.AuthenticationConfigFile != "" && c.given():
		f.add("authentication-config", " file and oidc-* flags are mutually exclusive")
	case c.given() && (c.IssuerURL == "" || c.ClientID == ""):
		f.add("oidc-issuer-url", " and oidc-client-id must be specified together when any oidc-* flags are set")
	case c.IssuerURL == "":
	case !strings.HasPrefix(c.IssuerURL, "https://"):
		f.add("oidc-issuer-url", "=%s: URL scheme must be https", redacted(c.IssuerURL))
	case c.UsernameClaim == "":
		f.add("oidc-username-claim", ": claim or expression is required")
	}
	for _, alg := range c.SigningAlgs {
		if !slices.Contains(signingAlgs(), alg) {
			f.add("oidc-signing-algs", "=%s: want some of %s", alg, strings.Join(signingAlgs(), ", "))
		}
	}
	few(f, "oidc-signing-algs", c.SigningAlgs)
}
