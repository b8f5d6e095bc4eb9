package oidc_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/oidc"
)

// TestTokens shows tokens that differ in one thing each.
func TestTokens(t *testing.T) {
	ec, ec2, rs, weak := ecKey(t, "ec"), ecKey(t, "ec2"), rsaKey(t, "rs", 2048), rsaKey(t, "weak", 1024)
	encryption := rsaKey(t, "enc", 2048).public()
	encryption.Use = "enc"
	p := newProvider(t, ec.public(), rs.public(), weak.public(), encryption)
	now := &clock{now: start}
	a := newAuthenticator(t, p.config(), now)
	run(t, a)
	good := p.token(t, ec, jwt.SigningMethodES256, nil)
	until(t, "a good token", func() bool { res, _ := present(t, a, good); return res != nil })
	hour := func(d time.Duration) int64 { return start.Add(d).Unix() }
	segments := strings.Split(good, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	tests := map[string]struct {
		token string
		says  string // of the error; empty: alice
		quiet bool   // nobody's token: no opinion
	}{
		"as it has to be":                 {token: good},
		"RSA":                             {token: p.token(t, rs, jwt.SigningMethodRS256, nil)},
		"RSA-PSS":                         {token: p.token(t, rs, jwt.SigningMethodPS384, nil)},
		"no kid":                          {token: p.token(t, signer{"", ec.key}, jwt.SigningMethodES256, nil)},
		"several audiences":               {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"aud": []string{"x", "kubernetes"}})},
		"good in fifty seconds":           {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"nbf": hour(50 * time.Second)})},
		"another issuer":                  {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"iss": "https://x"}), quiet: true},
		"no JWT":                          {token: "abc", quiet: true},
		"four segments":                   {token: good + ".x", quiet: true},
		"another audience":                {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"aud": "x"}), says: "another audience"},
		"no audience":                     {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"aud": nil}), says: "another audience"},
		"an audience that begins so":      {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"aud": "kubernetes2"}), says: "another audience"},
		"expired":                         {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"exp": hour(0)}), says: authn.ErrExpired.Error()},
		"without an end":                  {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"exp": nil}), says: "claim exp"},
		"an end that is no number":        {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"exp": "never"}), says: "claim exp"},
		"good in two minutes":             {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"nbf": hour(2 * time.Minute)}), says: "not good yet"},
		"no name":                         {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"sub": nil}), says: "username"},
		"an empty name":                   {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"sub": ""}), says: "username"},
		"a name that is a list":           {token: p.token(t, ec, jwt.SigningMethodES256, map[string]any{"sub": []string{"a"}}), says: "username"},
		"a key that is not the issuer's":  {token: p.token(t, ec2, jwt.SigningMethodES256, nil), says: "no key"},
		"a key under another's name":      {token: p.token(t, signer{"ec", ec2.key}, jwt.SigningMethodES256, nil), says: "signature"},
		"a key that is too short":         {token: p.token(t, weak, jwt.SigningMethodRS256, nil), says: "no key"},
		"a symmetric algorithm":           {token: encode(`{"alg":"HS256","kid":"ec"}`) + "." + segments[1] + ".AAAA", says: "not allowed"},
		"no algorithm":                    {token: encode(`{"alg":"none"}`) + "." + segments[1] + ".", says: "not allowed"},
		"the algorithm of another kind":   {token: encode(`{"alg":"RS256","kid":"ec"}`) + "." + segments[1] + "." + segments[2], says: "no key"},
		"the algorithm of another curve":  {token: encode(`{"alg":"ES384","kid":"ec"}`) + "." + segments[1] + "." + segments[2], says: "no key"},
		"a critical header":               {token: encode(`{"alg":"ES256","kid":"ec","crit":["b64"]}`) + "." + segments[1] + "." + segments[2], says: "critical"},
		"a header twice":                  {token: encode(`{"alg":"ES256","alg":"none"}`) + "." + segments[1] + "." + segments[2], says: "header"},
		"a header with a key of its own":  {token: p.token(t, ec2, jwt.SigningMethodES256, nil, "jku", "https://evil/keys", "kid", "evil"), says: "no key"},
		"claims that were changed":        {token: segments[0] + "." + encode(`{"iss":"`+p.URL+`","sub":"root"}`) + "." + segments[2], says: "signature"},
		"a signature that is cut off":     {token: good[:len(good)-4], says: "signature"},
		"a payload that is not canonical": {token: segments[0] + "." + segments[1] + "=." + segments[2], quiet: true},
		"a claim twice, signed all right": {token: twice(t, p, ec), says: "once each"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := present(t, a, tc.token)
			switch {
			case tc.says != "":
				if res != nil || err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), segments[2]) {
					t.Errorf("answer %v, %v; want %q", res, err, tc.says)
				}
			case tc.quiet:
				if res != nil || err != nil {
					t.Errorf("answer %v, %v; want none", res, err)
				}
			case err != nil || res.User.Name != "alice" || res.CredentialID != "JTI=j1" || !res.Expires.Equal(start.Add(time.Hour)):
				t.Errorf("answer %v, %v", res, err)
			}
		})
	}
	for _, asked := range p.asked {
		if asked != "/keys" && asked != "/.well-known/openid-configuration" {
			t.Errorf("the issuer was asked for %s", asked)
		}
	}
}

// twice signs a payload that names the user twice.
func twice(t *testing.T, p *provider, s signer) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"`+s.id+`"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(
		`{"iss":%q,"aud":"kubernetes","sub":"alice","sub":"root","exp":%d}`, p.URL, start.Add(time.Hour).Unix())))
	signature, err := jwt.SigningMethodES256.Sign(text, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestOnlyAllowedAlgorithms(t *testing.T) {
	ec := ecKey(t, "ec")
	p := newProvider(t, ec.public())
	a := newAuthenticator(t, p.config(), &clock{now: start}, "RS256")
	run(t, a)
	if res, err := present(t, a, p.token(t, ec, jwt.SigningMethodES256, nil)); res != nil || err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("answer %v, %v", res, err)
	}
}

// TestMappings makes users of claims, by names and by expressions.
func TestMappings(t *testing.T) {
	ec := ecKey(t, "ec")
	p := newProvider(t, ec.public())
	prefix, empty := "acme:", ""
	tests := map[string]struct {
		change func(*oidc.JWT)
		claims map[string]any
		want   *api.User
		says   string
	}{
		"claims with prefixes": {
			change: func(j *oidc.JWT) {
				j.ClaimMappings.Username = oidc.PrefixedClaim{Claim: "email", Prefix: &prefix}
				j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "groups", Prefix: &prefix}
				j.ClaimMappings.UID.Claim = "oid"
			},
			claims: map[string]any{"email": "a@b", "email_verified": true, "groups": []string{"x", "y"}, "oid": "7"},
			want:   &api.User{Name: "acme:a@b", UID: "7", Groups: []string{"acme:x", "acme:y"}},
		},
		"one group": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "role", Prefix: &empty} },
			claims: map[string]any{"role": "admin"}, want: &api.User{Name: "alice", Groups: []string{"admin"}},
		},
		"no groups": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "role", Prefix: &empty} }, want: &api.User{Name: "alice"},
		},
		"groups that are numbers": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "role", Prefix: &empty} },
			claims: map[string]any{"role": []int{1}}, says: "groups claim",
		},
		"groups that are somewhere else": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "groups", Prefix: &empty} },
			claims: map[string]any{"_claim_names": map[string]string{"groups": "s"}, "_claim_sources": map[string]any{"s": map[string]string{"endpoint": p.URL + "/groups"}}},
			says:   `the claim "groups" is distributed, which is not supported`,
		},
		"groups in a token inside the token": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "groups", Prefix: &empty} },
			claims: map[string]any{"_claim_names": map[string]string{"groups": "s"}, "_claim_sources": map[string]any{"s": map[string]string{"JWT": "x"}}},
			want:   &api.User{Name: "alice"},
		},
		"groups that are nowhere": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Claim: "groups", Prefix: &empty} },
			claims: map[string]any{"_claim_names": map[string]string{"groups": "s"}}, says: "_claim_sources",
		},
		"an address that is not verified": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Username = oidc.PrefixedClaim{Claim: "email", Prefix: &empty} },
			claims: map[string]any{"email": "a@b", "email_verified": false}, says: "email not verified",
		},
		"no uid": {change: func(j *oidc.JWT) { j.ClaimMappings.UID.Claim = "oid" }, says: "uid claim"},
		"a required claim": {
			change: func(j *oidc.JWT) {
				j.ClaimValidationRules = []oidc.ClaimValidationRule{{Claim: "hd", RequiredValue: "acme"}}
			},
			claims: map[string]any{"hd": "acme"}, want: &api.User{Name: "alice"},
		},
		"a required claim that is missing": {
			change: func(j *oidc.JWT) {
				j.ClaimValidationRules = []oidc.ClaimValidationRule{{Claim: "hd", RequiredValue: "acme"}}
			},
			says: "required claim hd not present",
		},
		"a required claim with another value": {
			change: func(j *oidc.JWT) {
				j.ClaimValidationRules = []oidc.ClaimValidationRule{{Claim: "hd", RequiredValue: "acme"}}
			},
			claims: map[string]any{"hd": "evil"}, says: "does not match",
		},
		"expressions": {
			change: func(j *oidc.JWT) {
				j.ClaimMappings = oidc.ClaimMappings{
					Username: oidc.PrefixedClaim{Expression: `"u:" + claims.sub`},
					Groups:   oidc.PrefixedClaim{Expression: `claims.roles.split(",")`},
					UID:      oidc.Claim{Expression: `claims.acme__dot__io.id`},
					Extra:    []oidc.ExtraMapping{{Key: "acme.io/dept", ValueExpression: `claims.?dept.orValue("none")`}, {Key: "acme.io/none", ValueExpression: `""`}},
				}
				j.ClaimValidationRules = []oidc.ClaimValidationRule{{Expression: `claims.exp - claims.iat <= 7200`, Message: "too long"}}
				j.UserValidationRules = []oidc.UserValidationRule{{Expression: `!user.username.startsWith("system:")`}, {Expression: `user.groups.all(g, g != "root")`}}
			},
			claims: map[string]any{"roles": "a,b", "acme.io": map[string]string{"id": "9"}, "iat": start.Unix()},
			want:   &api.User{Name: "u:alice", UID: "9", Groups: []string{"a", "b"}, Extra: map[string][]string{"acme.io/dept": {"none"}}},
		},
		"a rule about claims that is not met": {
			change: func(j *oidc.JWT) {
				j.ClaimValidationRules = []oidc.ClaimValidationRule{{Expression: `claims.hd == "acme"`, Message: "not ours"}}
			},
			claims: map[string]any{"hd": "evil"}, says: `validation expression 'claims.hd == "acme"' failed: not ours`,
		},
		"a rule about a claim that is missing": {
			change: func(j *oidc.JWT) {
				j.ClaimValidationRules = []oidc.ClaimValidationRule{{Expression: `claims.hd == "acme"`}}
			},
			says: "no such key: hd",
		},
		"a rule about the user that is not met": {
			change: func(j *oidc.JWT) {
				j.UserValidationRules = []oidc.UserValidationRule{{Expression: `user.username != "alice"`, Message: "not her"}}
			},
			says: "failed: not her",
		},
		"a user by an expression that is no text": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Username = oidc.PrefixedClaim{Expression: `claims.exp`} }, says: "must return a string",
		},
		"a user by an expression that is empty": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Username = oidc.PrefixedClaim{Expression: `""`} }, says: "empty username",
		},
		"groups by an expression that is a map": {
			change: func(j *oidc.JWT) { j.ClaimMappings.Groups = oidc.PrefixedClaim{Expression: `claims`} }, says: "must return a string or a list of strings",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthenticator(t, p.config(tc.change), &clock{now: start})
			run(t, a)
			token := p.token(t, ec, jwt.SigningMethodES256, tc.claims)
			var res *authn.Result
			var err error
			until(t, "keys", func() bool {
				res, err = present(t, a, token)
				return err == nil || !strings.Contains(err.Error(), "could not be judged")
			})
			if tc.says != "" {
				if res != nil || err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("answer %v, %v; want %q", res, err, tc.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tc.want.Extra == nil {
				tc.want.Extra = map[string][]string{}
			}
			tc.want.Extra[api.ExtraCredentialID] = []string{"JTI=j1"}
			if diff := cmp.Diff(*tc.want, res.User); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKeysChange lets an issuer change its keys, and strangers ask for keys that do not exist.
func TestKeysChange(t *testing.T) {
	one, two := ecKey(t, "one"), ecKey(t, "two")
	p := newProvider(t, one.public())
	now := &clock{now: start}
	a := newAuthenticator(t, p.config(), now)
	run(t, a)
	good := func(s signer) bool {
		res, _ := present(t, a, p.token(t, s, jwt.SigningMethodES256, nil))
		return res != nil
	}
	until(t, "the first key", func() bool { return good(one) })
	p.set(func() { p.keys = []jose.JSONWebKey{two.public()} })
	for range 50 {
		if good(two) {
			t.Fatal("keys were read again within a minute")
		}
	}
	if n := p.fetches(); n != 1 {
		t.Errorf("keys were read %d times within a minute", n)
	}
	now.add(time.Minute)
	if !good(two) || good(one) {
		t.Error("the new key is not used after a minute, or the old one still is")
	}
	if n := p.fetches(); n != 2 {
		t.Errorf("keys were read %d times", n)
	}
	p.set(func() { p.down = true })
	now.add(10 * time.Minute)
	if !good(two) {
		t.Error("keys are not good while the issuer is down")
	}
	_, err := present(t, a, p.token(t, one, jwt.SigningMethodES256, nil))
	if err == nil {
		t.Error("a key that is not the issuer's is good while it is down")
	}
	now.add(24 * time.Hour)
	_, err = present(t, a, p.token(t, two, jwt.SigningMethodES256, map[string]any{"exp": start.Add(48 * time.Hour).Unix()}))
	var e *api.Error
	if !errors.As(err, &e) || e.Code() != http.StatusServiceUnavailable {
		t.Errorf("after a day without the issuer: %v", err)
	}
}

// TestIssuersThatAreNotBelieved lets a discovery document say what it must not.
func TestIssuersThatAreNotBelieved(t *testing.T) {
	ec := ecKey(t, "ec")
	tests := map[string]struct {
		provider func(*provider)
		config   func(p *provider, j *oidc.JWT)
		says     string
	}{
		"of another issuer": {provider: func(p *provider) { p.issuer = "https://evil" }, says: `it is of issuer "https://evil"`},
		"keys in clear":     {provider: func(p *provider) { p.jwks = "http://127.0.0.1/keys" }, says: "jwks_uri is no https URL"},
		"no keys":           {provider: func(p *provider) { p.keys = nil }, says: "there is none"},
		"too many keys":     {provider: func(p *provider) { p.keys = make([]jose.JSONWebKey, 65); fill(p.keys, ec.public()) }, says: "the limit is 64"},
		"down":              {provider: func(p *provider) { p.down = true }, says: "answered 503"},
		"a redirect":        {config: func(p *provider, j *oidc.JWT) { j.Issuer.DiscoveryURL = p.URL + "/moved" }, says: "not followed"},
		"another authority": {config: func(_ *provider, j *oidc.JWT) { j.Issuer.CertificateAuthority = "" }, says: "certificate"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, ec.public())
			p.Config.ErrorLog = nil
			if tc.provider != nil {
				tc.provider(p)
			}
			a := newAuthenticator(t, p.config(func(j *oidc.JWT) {
				if tc.config != nil {
					tc.config(p, j)
				}
			}), &clock{now: start})
			run(t, a)
			token := p.token(t, ec, jwt.SigningMethodES256, nil)
			var err error
			until(t, tc.says, func() bool {
				var res *authn.Result
				if res, err = present(t, a, token); res != nil {
					t.Fatal("it is believed")
				}
				return strings.Contains(err.Error(), tc.says)
			})
			var e *api.Error
			if !errors.As(err, &e) || e.Code() != http.StatusServiceUnavailable {
				t.Errorf("error = %v, want 503 inside", err)
			}
		})
	}
}

func fill(keys []jose.JSONWebKey, key jose.JSONWebKey) {
	for i := range keys {
		keys[i] = key
	}
}

// TestReplace exchanges the configuration while tokens are judged.
func TestReplace(t *testing.T) {
	ec := ecKey(t, "ec")
	p, q := newProvider(t, ec.public()), newProvider(t, ec.public())
	a := newAuthenticator(t, p.config(), &clock{now: start})
	run(t, a)
	name := func(p *provider) string {
		res, err := present(t, a, p.token(t, ec, jwt.SigningMethodES256, nil))
		if err != nil || res == nil {
			return ""
		}
		return res.User.Name
	}
	until(t, "the first", func() bool { return name(p) == "alice" })
	prefix := "x:"
	bad := p.config(func(j *oidc.JWT) { j.ClaimMappings.Username.Expression = "claims." })
	if err := a.Replace(bad); err == nil || !strings.Contains(err.Error(), "jwt[0].claimMappings.username") {
		t.Errorf("a broken configuration: %v", err)
	}
	anonymous := p.config()
	anonymous.Anonymous = &oidc.Anonymous{Enabled: true}
	if err := a.Replace(anonymous); err == nil || !strings.Contains(err.Error(), "anonymous: Forbidden: changed from initial configuration file") {
		t.Errorf("another anonymous: %v", err)
	}
	if name(p) != "alice" {
		t.Error("a refused configuration ended the one in use")
	}
	q.set(func() { q.down = true })
	if err := a.Replace(q.config()); err != nil {
		t.Fatal(err)
	}
	until(t, "the issuer is asked", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.asked) > 0 })
	if name(p) != "alice" || name(q) != "" {
		t.Error("a configuration whose issuer is down is in use")
	}
	if err := a.Replace(p.config(func(j *oidc.JWT) { j.ClaimMappings.Username.Prefix = &prefix })); err != nil {
		t.Fatal(err)
	}
	until(t, "the newest", func() bool { return name(p) == "x:alice" })
}
