package oidc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/authn/oidc"
)

const configHead = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"

func load(t testing.TB, text string) (*oidc.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return oidc.Load(file)
}

// TestConfigIsValidated holds what is wrong with a configuration against the words of kube-apiserver.
func TestConfigIsValidated(t *testing.T) {
	issuer := func(more string) string {
		return configHead + "jwt:\n- issuer: {url: 'https://a', audiences: [x]" + more + "}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n"
	}
	mapped := func(mappings, more string) string {
		return configHead + "jwt:\n- issuer: {url: 'https://a', audiences: [x]}\n  claimMappings: " + mappings + "\n" + more
	}
	tests := map[string]struct {
		text string
		says string // empty: valid
	}{
		"the least":                {issuer(""), ""},
		"no issuers":               {configHead + "jwt: []\n", ""},
		"an older version":         {strings.Replace(issuer(""), "k8s.io/v1", "k8s.io/v1beta1", 1), ""},
		"an address by expression": {mapped("{username: {expression: 'claims.email_verified ? claims.email : \"\"'}}", ""), ""},
		"verified in a rule": {
			mapped("{username: {expression: 'claims.email'}}", "  claimValidationRules: [{expression: 'claims.?email_verified.orValue(true) == true'}]\n"), "",
		},
		"of the server itself":                {strings.Replace(issuer(""), "https://a", "https://own", 1), `jwt[0].issuer.url: Invalid value: "https://own": URL must not overlap with disallowed issuers: [https://own]`},
		"in clear":                            {strings.Replace(issuer(""), "https://a", "http://a", 1), "URL scheme must be https"},
		"with a query":                        {strings.Replace(issuer(""), "https://a", "https://a?b", 1), "URL must not contain a query"},
		"without a URL":                       {strings.Replace(issuer(""), "https://a", "", 1), "jwt[0].issuer.url: Required value"},
		"discovery as the issuer":             {issuer(", discoveryURL: 'https://a/'"), "discoveryURL must be different from URL"},
		"no authority":                        {issuer(", certificateAuthority: x"), "jwt[0].issuer.certificateAuthority: Invalid value: \"<omitted>\""},
		"an egress selector":                  {issuer(", egressSelectorType: cluster"), "egressSelectorType"},
		"two audiences":                       {strings.Replace(issuer(""), "[x]", "[x, y]", 1), "audienceMatchPolicy must be MatchAny for multiple audiences"},
		"an audience twice":                   {strings.Replace(issuer(", audienceMatchPolicy: MatchAny"), "[x]", "[x, x]", 1), `jwt[0].issuer.audiences[1]: Duplicate value: "x"`},
		"no audience":                         {strings.Replace(issuer(""), "[x]", "[]", 1), "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required"},
		"an issuer twice":                     {issuer("") + strings.TrimPrefix(issuer(""), configHead+"jwt:\n"), `jwt[1].issuer.url: Duplicate value: "https://a"`},
		"no name":                             {mapped("{username: {}}", ""), "jwt[0].claimMappings.username: Required value: claim or expression is required"},
		"a name without a prefix":             {mapped("{username: {claim: sub}}", ""), "prefix is required when claim is set. It can be set to an empty string to disable prefixing"},
		"a name in two ways":                  {mapped("{username: {claim: sub, prefix: '', expression: 'claims.sub'}}", ""), "claim and expression can't both be set"},
		"a prefix for an expression":          {mapped("{username: {prefix: '', expression: 'claims.sub'}}", ""), "may not be specified when expression is set"},
		"an expression that does not compile": {mapped("{username: {expression: 'claims.'}}", ""), "jwt[0].claimMappings.username.expression: Invalid value: \"claims.\": compilation failed"},
		"an address that may not be verified": {mapped("{username: {expression: 'claims.email'}}", ""), "claims.email_verified must be used in claimMappings.username.expression"},
		"an extra of Kubernetes":              {mapped("{username: {claim: sub, prefix: ''}, extra: [{key: authentication.kubernetes.io/x, valueExpression: \"'a'\"}]}", ""), "reserved for Kubernetes use"},
		"an extra without a domain":           {mapped("{username: {claim: sub, prefix: ''}, extra: [{key: x, valueExpression: \"'a'\"}]}", ""), "must be a domain-prefixed path"},
		"an extra in capitals":                {mapped("{username: {claim: sub, prefix: ''}, extra: [{key: a.b/X, valueExpression: \"'a'\"}]}", ""), "must be lowercase"},
		"a rule of nothing":                   {mapped("{username: {claim: sub, prefix: ''}}", "  claimValidationRules: [{message: x}]\n"), "jwt[0].claimValidationRules[0]: Required value: claim or expression is required"},
		"a rule that is no bool":              {mapped("{username: {claim: sub, prefix: ''}}", "  claimValidationRules: [{expression: '1'}]\n"), "must evaluate to bool"},
		"a user rule about claims":            {mapped("{username: {claim: sub, prefix: ''}}", "  userValidationRules: [{expression: 'claims.sub == \"\"'}]\n"), "undeclared reference to 'claims'"},
		"conditions of nobody":                {configHead + "jwt: []\nanonymous: {enabled: false, conditions: [{path: /a}]}\n", "enabled should be set to true when conditions are defined"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := load(t, tc.text)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Validate([]string{"https://own"})
			if (err != nil) != (tc.says != "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("error = %v, want %q", err, tc.says)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"another kind":     "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n",
		"another version":  "apiVersion: apiserver.config.k8s.io/v2\nkind: AuthenticationConfiguration\n",
		"an unknown field": configHead + "jwts: []\n",
		"a repeated field": configHead + "jwt: []\njwt: []\n",
		"no YAML":          "{",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), "config.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(configHead + "jwt: [{issuer: {url: 'https://a', audiences: [x]}, claimMappings: {username: {claim: sub, prefix: ''}}}]")
	f.Add("{")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := load(t, text); err == nil {
			_ = c.Validate(nil)
		}
	})
}
