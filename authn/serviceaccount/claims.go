package serviceaccount

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	kjson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/authn"
)

// maxNumericDate is the end of the year 9999, beyond which no date in a token is taken for one.
const maxNumericDate = 253402300799

// claims are the whole payload of a token. Dates are whole seconds since 1970.
type claims struct {
	Issuer     string     `json:"iss"`
	Subject    string     `json:"sub"`
	Audience   audience   `json:"aud"`
	Expires    *int64     `json:"exp,omitempty"`
	NotBefore  *int64     `json:"nbf,omitempty"`
	IssuedAt   *int64     `json:"iat,omitempty"`
	ID         string     `json:"jti,omitempty"`
	Kubernetes kubernetes `json:"kubernetes.io"`
}

// kubernetes are the private claims.
type kubernetes struct {
	Namespace      string `json:"namespace"`
	ServiceAccount ref    `json:"serviceaccount"`
	Pod            *ref   `json:"pod,omitempty"`
	Secret         *ref   `json:"secret,omitempty"`
	Node           *ref   `json:"node,omitempty"`
	WarnAfter      *int64 `json:"warnafter,omitempty"`
}

// ref names an object that a token is bound to.
type ref struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

// audience is written as a list and may be read from a single string too (RFC 7519, 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return errors.New("aud is neither a string nor a list of strings")
	}
	*a = many
	return nil
}

// UnmarshalJSON reads member names by their exact case and refuses one that is repeated: what two readers of one
// token understand must not differ.
func (c *claims) UnmarshalJSON(data []byte) error {
	type plain claims
	repeated, err := kjson.UnmarshalStrict(data, (*plain)(c), kjson.DisallowDuplicateFields)
	if err != nil {
		return err
	}
	return errors.Join(repeated...)
}

// check holds the claims against each other, without looking at a clock.
func (c *claims) check() error {
	k := c.Kubernetes
	namespace, name, ok := authn.ServiceAccountName(c.Subject)
	if !ok || namespace != k.Namespace || name != k.ServiceAccount.Name {
		return errors.New("the subject is not the service account in the private claims")
	}
	if k.ServiceAccount.UID == "" {
		return errors.New("the token names no uid of its service account")
	}
	if k.Secret != nil && (k.Pod != nil || k.Node != nil) {
		return errors.New("the token is bound to a secret and to something else")
	}
	for _, bound := range []*ref{k.Pod, k.Secret} {
		if bound != nil && (bound.Name == "" || bound.UID == "") {
			return errors.New("the token is bound to an object without a name or uid")
		}
	}
	if k.Node != nil && (k.Node.Name == "" || (k.Node.UID == "" && k.Pod == nil)) {
		return errors.New("the token is bound to a node without a name or uid")
	}
	return nil
}

// expired reports whether the token's time is over; without an end it always is.
func (c *claims) expired(now time.Time) bool {
	return c.Expires == nil || !now.Before(time.Unix(*c.Expires, 0))
}

// GetExpirationTime implements [jwt.Claims], as do the other getters.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date("exp", c.Expires) }

// GetNotBefore returns nbf.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return date("nbf", c.NotBefore) }

// GetIssuedAt returns iat.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return date("iat", c.IssuedAt) }

// GetIssuer returns iss.
func (c *claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject returns sub.
func (c *claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience returns aud.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings(c.Audience), nil }

func date(name string, seconds *int64) (*jwt.NumericDate, error) {
	if seconds == nil {
		return nil, nil
	}
	if *seconds < 0 || *seconds > maxNumericDate {
		return nil, fmt.Errorf("%s is not a date between the years 1970 and 9999", name)
	}
	return jwt.NewNumericDate(time.Unix(*seconds, 0)), nil
}

// header is the whole of a token's header; other members (jku, x5u, jwk, crit, zip) have no place in one of ours.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

func parseHeader(data []byte) (header, error) {
	var h header
	strict, err := kjson.UnmarshalStrict(data, &h, kjson.DisallowDuplicateFields, kjson.DisallowUnknownFields)
	if err != nil || len(strict) > 0 {
		return header{}, errors.New("the token's header is not an object of alg, kid and typ, once each")
	}
	if h.Type != "" && h.Type != "JWT" {
		return header{}, errors.New("the token's typ is not JWT")
	}
	return h, nil
}
