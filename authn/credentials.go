package authn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse/gatehouse/api"
)

// MaxTokenBytes bounds a bearer token, in bytes as sent. Longer ones are refused before anything looks at them.
const MaxTokenBytes = 16 << 10

const bearerScheme = "bearer"

// ErrMalformed is in the chain of the error for an Authorization header that is not exactly one bearer token.
var ErrMalformed = errors.New("malformed Authorization header")

// Credentials are what a request presented, nothing of it verified. The zero value is a request without any.
type Credentials struct {
	// PeerCertificates is the client's chain as sent in the TLS handshake, leaf first. The handshake proves that
	// the client holds the leaf's key and nothing else.
	PeerCertificates []*x509.Certificate
	// BearerToken is the token of the Authorization header, without the scheme.
	BearerToken string
	// HasBearer reports that an Authorization header was present, so that a request whose token is refused is not
	// mistaken for one without a token.
	HasBearer bool
	// Audiences are those that the token must be for, at least one of them. Empty means the server's own.
	Audiences []string
}

// FromRequest reads the credentials of a request. An Authorization header that is repeated, empty, over
// [MaxTokenBytes], of another scheme than Bearer, or whose token is not one run of visible ASCII is a 401
// [api.Error] that wraps [ErrMalformed]: ignoring it would let a failed login pass as no login.
func FromRequest(r *http.Request) (Credentials, error) {
	var c Credentials
	if r.TLS != nil {
		c.PeerCertificates = r.TLS.PeerCertificates
	}
	values, present := r.Header["Authorization"]
	if !present {
		return c, nil
	}
	if len(values) != 1 {
		return Credentials{}, malformed("it was sent %d times", len(values))
	}
	token, err := parseBearer(values[0])
	if err != nil {
		return Credentials{}, err
	}
	c.BearerToken, c.HasBearer = token, true
	return c, nil
}

func parseBearer(value string) (string, error) {
	if len(value) > len(bearerScheme)+1+MaxTokenBytes {
		return "", malformed("it is %d bytes long", len(value))
	}
	scheme, token, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, bearerScheme) {
		return "", malformed("its scheme is not Bearer")
	}
	if token == "" {
		return "", malformed("the token is empty")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", malformed("the token holds a space, a control or a non-ASCII character")
	}
	return token, nil
}

// malformed must not be given any part of the header: the cause is logged.
func malformed(format string, args ...any) error {
	return api.Unauthorized(fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...)))
}

// StripIdentity removes from h every header that states or proves an identity: Authorization,
// Proxy-Authorization, X-Remote-* and Impersonate-*, in any capitalisation. It is called once the user is known, so
// that no later stage, log or backend can use them.
func StripIdentity(h http.Header) {
	for key := range h {
		if isIdentityHeader(key) {
			delete(h, key)
		}
	}
}

func isIdentityHeader(key string) bool {
	return strings.EqualFold(key, "Authorization") || strings.EqualFold(key, "Proxy-Authorization") ||
		hasPrefixFold(key, "X-Remote-") || hasPrefixFold(key, impersonatePrefix)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
