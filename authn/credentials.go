package authn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	// Header is the request's own, in which a front proxy states whom it speaks for. It is not to be changed.
	Header http.Header
}

// FromRequest reads the credentials of a request. An Authorization header that is repeated, empty, over
// [MaxTokenBytes], of another scheme than Bearer, or whose token is not one run of visible ASCII is a 401
// [api.Error] that wraps [ErrMalformed]: ignoring it would let a failed login pass as no login.
func FromRequest(r *http.Request) (Credentials, error) {
	c := Credentials{Header: r.Header}
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

// IdentityHeaders names the headers in which a front proxy of this server states an identity, beside the X-Remote-* that
// are always taken for such. The zero value names none.
type IdentityHeaders struct {
	// Names are whole names.
	Names []string
	// Prefixes are what names begin with.
	Prefixes []string
}

// Strip removes from h every header that states or proves an identity: Authorization, Proxy-Authorization, X-Remote-*,
// Impersonate-* and those that i names, in any capitalisation and with underscores for hyphens, which some backends take for
// the same. It is called once the user is known, so that no later stage, log or backend can use them.
func (i IdentityHeaders) Strip(h http.Header) {
	for key := range h {
		if i.has(key) {
			delete(h, key)
		}
	}
}

func (i IdentityHeaders) has(key string) bool {
	for _, name := range [...]string{"Authorization", "Proxy-Authorization"} {
		if sameHeader(key, name) {
			return true
		}
	}
	for _, prefix := range [...]string{"X-Remote-", impersonatePrefix} {
		if hasHeaderPrefix(key, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(i.Names, func(name string) bool { return sameHeader(key, name) }) ||
		slices.ContainsFunc(i.Prefixes, func(prefix string) bool { return hasHeaderPrefix(key, prefix) })
}

func sameHeader(a, b string) bool { return len(a) == len(b) && hasHeaderPrefix(a, b) }

// hasHeaderPrefix compares without regard to case and takes an underscore for a hyphen.
func hasHeaderPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if foldHeader(name[i]) != foldHeader(prefix[i]) {
			return false
		}
	}
	return true
}

func foldHeader(b byte) byte {
	switch {
	case 'A' <= b && b <= 'Z':
		return b + 'a' - 'A'
	case b == '_':
		return '-'
	}
	return b
}
