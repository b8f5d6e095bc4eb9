package serviceaccount

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
	kjson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/authn"
)

const (
	// clockSkew is allowed for nbf and iat, so that a token works at once on a server whose clock is behind.
	clockSkew = time.Minute
	// deletionLeeway is how long a token outlives the moment its object was marked for deletion, so that a pod
	// can finish what it does on the way out.
	deletionLeeway = time.Minute

	cacheTTL  = 10 * time.Second
	cacheSize = 16 << 10
)

// Keys of [authn.Result.User]'s Extra, beside that of the credential's identifier.
const (
	ExtraPodName  = "authentication.kubernetes.io/pod-name"
	ExtraPodUID   = "authentication.kubernetes.io/pod-uid"
	ExtraNodeName = "authentication.kubernetes.io/node-name"
	ExtraNodeUID  = "authentication.kubernetes.io/node-uid"
)

// AnnotationStaleToken is the audit annotation of a request whose token is past the time its client asked for.
const AnnotationStaleToken = "authentication.k8s.io/stale-token"

// Objects finds what a token may be bound to. An implementation that reads from a cache must not answer for a
// revision older than that of the last TokenRequest it has answered, or fresh tokens would be refused.
type Objects interface {
	// Lookup returns the uid of an object and when its deletion was asked for, if it was. kind is ServiceAccount, Pod,
	// Secret or Node; namespace is empty for a Node. An error means that the answer is not known and refuses the token.
	Lookup(ctx context.Context, kind, namespace, name string) (uid string, deletion *time.Time, found bool, err error)
}

// AuthenticatorOptions are all required.
type AuthenticatorOptions struct {
	// Issuers that tokens may be from.
	Issuers []string
	// Audiences of this server; a token must be for one of them.
	Audiences []string
	// Keys verify signatures.
	Keys *Keys
	// Objects are asked for every request.
	Objects Objects
	// Clock is what expiry is judged by.
	Clock func() time.Time
}

// Authenticator verifies tokens. It is safe for concurrent use.
type Authenticator struct {
	opts   AuthenticatorOptions
	parser *jwt.Parser
	cache  *lru.Cache[[sha256.Size]byte, verified]
}

// verified is what follows from a token's bytes under one set of keys.
type verified struct {
	claims *claims
	keys   *keySet
	since  time.Time
}

// NewAuthenticator refuses options that would leave a check out: no issuers, no audiences, an empty one among them,
// or one of the others missing.
func NewAuthenticator(opts AuthenticatorOptions) (*Authenticator, error) {
	switch {
	case len(opts.Issuers) == 0 || slices.Contains(opts.Issuers, ""):
		return nil, errors.New("service-account tokens: the issuers are missing or one is empty")
	case len(opts.Audiences) == 0 || slices.Contains(opts.Audiences, ""):
		return nil, errors.New("service-account tokens: the audiences are missing or one is empty")
	case opts.Keys == nil || opts.Objects == nil || opts.Clock == nil:
		return nil, errors.New("service-account tokens: keys, objects or clock are missing")
	}
	cache, err := lru.New[[sha256.Size]byte, verified](cacheSize)
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods(allMethods()), jwt.WithStrictDecoding(), jwt.WithTimeFunc(opts.Clock), jwt.WithLeeway(clockSkew),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt())
	return &Authenticator{opts: opts, parser: parser, cache: cache}, nil
}

// Authenticate implements [authn.Authenticator]. A token that is not a JWT, or not of one of our issuers, gets no
// opinion; nothing else about it is believed before its signature is verified.
func (a *Authenticator) Authenticate(ctx context.Context, c authn.Credentials) (*authn.Result, error) {
	if !c.HasBearer || len(c.BearerToken) > authn.MaxTokenBytes {
		return nil, nil
	}
	claims, err := a.verify(c.BearerToken)
	if err != nil {
		return nil, fmt.Errorf("service-account token: %w", err)
	}
	if claims == nil {
		return nil, nil
	}
	now := a.opts.Clock()
	if claims.expired(now) {
		return nil, fmt.Errorf("service-account token of %q: %w", claims.Subject, jwt.ErrTokenExpired)
	}
	wanted := c.Audiences
	if len(wanted) == 0 {
		wanted = a.opts.Audiences
	}
	audiences := common(wanted, claims.Audience)
	if len(audiences) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(claims.Audience), wanted)
	}
	if err := a.checkObjects(ctx, claims, now); err != nil {
		return nil, fmt.Errorf("service-account token of %q: %w", claims.Subject, err)
	}
	return result(claims, audiences, now), nil
}

// verify returns the claims of a token whose signature is good, or nil for a token that is not for us to judge.
func (a *Authenticator) verify(token string) (*claims, error) {
	sum, keys, now := sha256.Sum256([]byte(token)), a.opts.Keys.current.Load(), a.opts.Clock()
	if known, ok := a.cache.Get(sum); ok && known.keys == keys {
		if age := now.Sub(known.since); age >= 0 && age < cacheTTL {
			return known.claims, nil
		}
	}
	segments, ok := split(token)
	if !ok || !slices.Contains(a.opts.Issuers, unverifiedIssuer(segments[1])) {
		return nil, nil
	}
	claims, err := a.parse(token, segments[0], keys)
	if err != nil {
		return nil, err
	}
	a.cache.Add(sum, verified{claims: claims, keys: keys, since: now})
	return claims, nil
}

func (a *Authenticator) parse(token, headerSegment string, keys *keySet) (*claims, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(headerSegment)
	if err != nil {
		return nil, errors.New("the token's header is not canonical base64url")
	}
	h, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	key := keys.byID[h.KeyID]
	if key == nil {
		return nil, errors.New("the token's kid is none of the keys")
	}
	if !key.accepts(h.Algorithm) {
		return nil, errors.New("the token's alg does not fit its key")
	}
	c := &claims{}
	_, err = a.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if t.Method.Alg() != h.Algorithm {
			return nil, jwt.ErrTokenUnverifiable
		}
		return key.public, nil
	})
	if err != nil {
		return nil, err
	}
	// The issuer was read before the signature was verified, and by another decoder.
	if !slices.Contains(a.opts.Issuers, c.Issuer) {
		return nil, jwt.ErrTokenInvalidIssuer
	}
	return c, c.check()
}

// split cuts a token into its three segments; false means that it is not a JWT. The alphabet is checked because the
// base64 decoder skips line breaks.
func split(token string) (segments [3]string, ok bool) {
	rest := token
	for i := range 2 {
		if segments[i], rest, ok = strings.Cut(rest, "."); !ok {
			return segments, false
		}
	}
	segments[2] = rest
	for _, s := range segments {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isBase64URL(r) }) {
			return segments, false
		}
	}
	return segments, true
}

func isBase64URL(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// unverifiedIssuer is used only to tell our tokens from those of others.
func unverifiedIssuer(payload string) string {
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &c); err != nil {
		return ""
	}
	return c.Issuer
}

// checkObjects makes sure that the account and what the token is bound to are still the same objects.
func (a *Authenticator) checkObjects(ctx context.Context, c *claims, now time.Time) error {
	k := c.Kubernetes
	if err := a.checkObject(ctx, "ServiceAccount", k.Namespace, k.ServiceAccount, now); err != nil {
		return err
	}
	switch {
	case k.Secret != nil:
		return a.checkObject(ctx, "Secret", k.Namespace, *k.Secret, now)
	case k.Pod != nil: // a node beside the pod is for information
		return a.checkObject(ctx, "Pod", k.Namespace, *k.Pod, now)
	case k.Node != nil:
		return a.checkObject(ctx, "Node", "", *k.Node, now)
	}
	return nil
}

func (a *Authenticator) checkObject(ctx context.Context, kind, namespace string, bound ref, now time.Time) error {
	uid, deletion, found, err := a.opts.Objects.Lookup(ctx, kind, namespace, bound.Name)
	switch {
	case err != nil:
		return fmt.Errorf("look up %s %q: %w", kind, bound.Name, err)
	case !found:
		return fmt.Errorf("%s %q does not exist", kind, bound.Name)
	case uid != bound.UID:
		return fmt.Errorf("%s %q has another uid than the token", kind, bound.Name)
	case deletion != nil && deletion.Before(now.Add(-deletionLeeway)):
		return fmt.Errorf("%s %q is being deleted", kind, bound.Name)
	}
	return nil
}

func common(wanted []string, got audience) []string {
	var both []string
	for _, s := range wanted {
		if slices.Contains(got, s) {
			both = append(both, s)
		}
	}
	return both
}
