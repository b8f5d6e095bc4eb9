package serviceaccount

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"
	kjson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/authn"
)

// legacyClaims are the payload of a token that is kept in a Secret.
type legacyClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud,omitempty"`
	Expires   *int64   `json:"exp,omitempty"`
	NotBefore *int64   `json:"nbf,omitempty"`
	IssuedAt  *int64   `json:"iat,omitempty"`
	Namespace string   `json:"kubernetes.io/serviceaccount/namespace"`
	Secret    string   `json:"kubernetes.io/serviceaccount/secret.name"`
	Account   string   `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID       string   `json:"kubernetes.io/serviceaccount/service-account.uid"`
}

// UnmarshalJSON is as strict as that of the claims of bound tokens.
func (c *legacyClaims) UnmarshalJSON(data []byte) error {
	type plain legacyClaims
	repeated, err := kjson.UnmarshalStrict(data, (*plain)(c), kjson.DisallowDuplicateFields)
	if err != nil {
		return err
	}
	return errors.Join(repeated...)
}

// check holds the claims against each other.
func (c *legacyClaims) check() error {
	namespace, name, ok := authn.ServiceAccountName(c.Subject)
	switch {
	case c.Issuer != LegacyIssuer:
		return jwt.ErrTokenInvalidIssuer
	case c.Namespace == "" || c.Secret == "" || c.Account == "" || c.UID == "":
		return errors.New("a claim about the account or its secret is missing")
	case !ok || namespace != c.Namespace || name != c.Account:
		return errors.New("sub claim is invalid")
	}
	return nil
}

// GetExpirationTime implements [jwt.Claims], as do the other getters.
func (c *legacyClaims) GetExpirationTime() (*jwt.NumericDate, error) { return date("exp", c.Expires) }

// GetNotBefore returns nbf.
func (c *legacyClaims) GetNotBefore() (*jwt.NumericDate, error) { return date("nbf", c.NotBefore) }

// GetIssuedAt returns iat.
func (c *legacyClaims) GetIssuedAt() (*jwt.NumericDate, error) { return date("iat", c.IssuedAt) }

// GetIssuer returns iss.
func (c *legacyClaims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject returns sub.
func (c *legacyClaims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience returns aud.
func (c *legacyClaims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings(c.Audience), nil
}
