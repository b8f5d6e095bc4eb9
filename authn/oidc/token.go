package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	kjson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// notBeforeSkew is how far the clock of an issuer may be ahead.
const notBeforeSkew = time.Minute

// issuer judges the tokens of one issuer.
type issuer struct {
	config  *JWT
	mapping *mapping
	methods []string
	keys    *keySource
	clock   func() time.Time
}

// header is what matters of a token's header.
type header struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
}

func (i *issuer) authenticate(ctx context.Context, token string) (*authn.Result, error) {
	payload, err := i.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	c := claims{}
	repeated, err := kjson.UnmarshalStrict(payload, (*map[string]json.RawMessage)(&c), kjson.DisallowDuplicateFields)
	if err != nil || len(repeated) > 0 {
		return nil, errors.New("the payload is not an object of claims, once each")
	}
	expires, err := i.checkStandard(c)
	if err != nil {
		return nil, err
	}
	if err := i.refuseDistributed(c); err != nil {
		return nil, err
	}
	user, err := i.user(ctx, c)
	if err != nil {
		return nil, err
	}
	res := &authn.Result{User: user, Method: "oidc", Expires: expires}
	if ids := user.Extra[api.ExtraCredentialID]; len(ids) > 0 {
		res.CredentialID = ids[0]
	}
	return res, nil
}

// verify returns the payload of a token whose signature is good.
func (i *issuer) verify(ctx context.Context, token string) ([]byte, error) {
	segments := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(segments[0])
	if err != nil {
		return nil, errors.New("the header is not canonical base64url")
	}
	var h header
	if repeated, err := kjson.UnmarshalStrict(raw, &h, kjson.DisallowDuplicateFields); err != nil || len(repeated) > 0 {
		return nil, errors.New("the header is not an object of members, once each")
	}
	if h.Critical != nil {
		return nil, errors.New("the header has critical members, none of which is understood")
	}
	if !slices.Contains(i.methods, h.Algorithm) {
		return nil, fmt.Errorf("the algorithm %.16q is not allowed", h.Algorithm)
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(segments[2])
	if err != nil {
		return nil, errors.New("the signature is not canonical base64url")
	}
	signed := token[:len(segments[0])+1+len(segments[1])]
	if err := i.checkSignature(ctx, &h, signed, signature); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(segments[1])
	if err != nil {
		return nil, errors.New("the payload is not canonical base64url")
	}
	return payload, nil
}

// checkSignature tries the keys that fit, and once more if they were read again meanwhile.
func (i *issuer) checkSignature(ctx context.Context, h *header, signed string, signature []byte) error {
	for first := true; ; first = false {
		keys, err := i.keys.usable()
		if err != nil {
			return api.Unavailable("the token could not be judged").Wrap(err) // which is not the fault of who sent it
		}
		method, known := jwt.GetSigningMethod(h.Algorithm), false
		for n := range keys {
			if !fits(&keys[n], h) {
				continue
			}
			if known = true; method.Verify(signed, signature, keys[n].Key) == nil {
				return nil
			}
		}
		if !first || !i.keys.refreshForToken(ctx) {
			if !known {
				return errors.New("no key of the issuer fits the token")
			}
			return errors.New("the signature is not good")
		}
	}
}

// checkStandard checks iss, aud, exp and nbf.
func (i *issuer) checkStandard(c claims) (expires time.Time, err error) {
	var iss string
	if err := c.read("iss", &iss); err != nil || canonicalIssuer(iss) != i.config.Issuer.URL {
		return expires, errors.New("the token is of another issuer")
	}
	var audience jwt.ClaimStrings
	if err := c.read("aud", &audience); err != nil || !slices.ContainsFunc(i.config.Issuer.Audiences, func(a string) bool { return slices.Contains(audience, a) }) {
		return expires, errors.New("the token is for another audience")
	}
	now := i.clock()
	if expires, err = c.time("exp"); err != nil {
		return expires, err
	}
	if !now.Before(expires) {
		return expires, authn.ErrExpired
	}
	if _, has := c["nbf"]; has {
		switch from, err := c.time("nbf"); {
		case err != nil:
			return expires, err
		case now.Add(notBeforeSkew).Before(from):
			return expires, errors.New("the token is not good yet")
		}
	}
	return expires, nil
}

func (c claims) time(name string) (time.Time, error) {
	var d jwt.NumericDate
	if err := c.read(name, &d); err != nil {
		return time.Time{}, fmt.Errorf("the claim %s is missing or no date", name)
	}
	return d.Time, nil
}

// refuseDistributed refuses a token whose groups would have to be fetched from somewhere: without them the user would be another.
// Groups in a token inside this one are passed over, as in Kubernetes.
func (i *issuer) refuseDistributed(c claims) error {
	groups := i.config.ClaimMappings.Groups.Claim
	if _, has := c[groups]; groups == "" || has || c["_claim_names"] == nil {
		return nil
	}
	var names map[string]string
	if err := c.read("_claim_names", &names); err != nil {
		return errors.New("_claim_names is no object of strings")
	}
	source, elsewhere := names[groups]
	if !elsewhere {
		return nil
	}
	var sources map[string]struct {
		Endpoint string `json:"endpoint"`
	}
	if err := c.read("_claim_sources", &sources); err != nil {
		return errors.New("_claim_sources is missing or no object of sources")
	}
	if at, has := sources[source]; has && at.Endpoint == "" {
		return nil
	}
	return fmt.Errorf("the claim %q is distributed, which is not supported: have the issuer put it into the token", groups)
}

// canonicalIssuer is the issuer by the name that its discovery document has: Google's tokens may lack the scheme.
func canonicalIssuer(iss string) string {
	if iss == "accounts.google.com" {
		return "https://accounts.google.com"
	}
	return iss
}

// foreign finds what no token has. The base64 decoder would skip line breaks, so that one token had many forms.
func foreign(r rune) bool {
	return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}

// unverifiedIssuer tells whose token it is; nothing else is believed before the signature is verified.
func unverifiedIssuer(token string) string {
	segments := strings.Split(token, ".")
	if len(segments) != 3 || strings.ContainsFunc(token, foreign) {
		return ""
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(segments[1])
	if err != nil {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &c); err != nil {
		return ""
	}
	return canonicalIssuer(c.Issuer)
}
