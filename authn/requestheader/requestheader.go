// Package requestheader believes a front proxy, such as an aggregating API server, whom it has authenticated.
//
// The proxy shows a client certificate that one of the authorities in [Options.Proxies] signed and whose common name is among
// [Options.AllowedNames], and states the user in headers. Without such a certificate the headers mean nothing.
//
// The first header of [Options.UsernameHeaders] that is not empty is the user; without one the request is the
// proxy's own, and others judge its certificate. A header of the user or uid that is sent twice is refused: a proxy that adds its own behind
// the client's would let the client choose. All values of the group headers are groups. What follows an
// extra prefix, in lower case and percent-decoded, is the key of an extra.
package requestheader

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// Verifier judges whether a chain of certificates, leaf first, is that of a proxy.
type Verifier interface {
	Verify(presented []*x509.Certificate) error
}

// Options say whom to believe and where it is stated. Proxies is required.
type Options struct {
	// Proxies verifies the certificate of a proxy.
	Proxies Verifier
	// AllowedNames are the common names that a proxy may have. Empty allows every certificate that verifies.
	AllowedNames []string
	// UsernameHeaders, UIDHeaders and GroupHeaders are names of headers, in any capitalisation. Without UsernameHeaders nobody is
	// recognised.
	UsernameHeaders []string
	UIDHeaders      []string
	GroupHeaders    []string
	// ExtraHeaderPrefixes are what the names of headers begin with whose rest is the key of an extra.
	ExtraHeaderPrefixes []string
	// JudgeAll refuses certificates that are not a proxy's also where the headers are missing. It is for a server
	// on which nobody else judges certificates.
	JudgeAll bool
}

// Authenticator recognises requests of a front proxy. It is safe for concurrent use.
type Authenticator struct{ opts Options }

// New returns an error for options without a verifier, with which everybody would be believed.
func New(opts Options) (*Authenticator, error) {
	if opts.Proxies == nil {
		return nil, errors.New("request headers: nobody verifies the certificate of the proxy")
	}
	return &Authenticator{opts}, nil
}

// IdentityHeaders are those that the options name, to be taken off every request.
func (a *Authenticator) IdentityHeaders() authn.IdentityHeaders {
	return authn.IdentityHeaders{
		Names:    slices.Concat(a.opts.UsernameHeaders, a.opts.UIDHeaders, a.opts.GroupHeaders),
		Prefixes: a.opts.ExtraHeaderPrefixes,
	}
}

// Authenticate implements [authn.Authenticator].
func (a *Authenticator) Authenticate(_ context.Context, c authn.Credentials) (*authn.Result, error) {
	if len(c.PeerCertificates) == 0 {
		return nil, nil
	}
	named := slices.ContainsFunc(a.opts.UsernameHeaders, func(name string) bool { return c.Header.Get(name) != "" })
	if !named && !a.opts.JudgeAll {
		return nil, nil
	}
	if err := a.checkProxy(c.PeerCertificates); err != nil {
		return nil, fmt.Errorf("front proxy: %w", err)
	}
	if !named {
		return nil, nil
	}
	user, err := a.user(c.Header)
	if err != nil {
		return nil, fmt.Errorf("front proxy: %w", err)
	}
	sum := sha256.Sum256(c.PeerCertificates[0].Raw)
	return &authn.Result{User: user, Method: "requestheader", CredentialID: "X509SHA256=" + hex.EncodeToString(sum[:])}, nil
}

func (a *Authenticator) checkProxy(presented []*x509.Certificate) error {
	if err := a.opts.Proxies.Verify(presented); err != nil {
		return err
	}
	if name := presented[0].Subject.CommonName; len(a.opts.AllowedNames) > 0 && !slices.Contains(a.opts.AllowedNames, name) {
		return fmt.Errorf("x509: subject with cn=%.64q is not in the allowed list", name)
	}
	return nil
}

func (a *Authenticator) user(h http.Header) (user api.User, err error) {
	if user.Name, err = single(h, a.opts.UsernameHeaders); err != nil {
		return api.User{}, err
	}
	if user.UID, err = single(h, a.opts.UIDHeaders); err != nil {
		return api.User{}, err
	}
	for _, name := range a.opts.GroupHeaders {
		for _, value := range h.Values(name) {
			if value != "" {
				user.Groups = append(user.Groups, value)
			}
		}
	}
	user.Extra = a.extra(h)
	return user, nil
}

// single is the value of the first of the headers that has one.
func single(h http.Header, names []string) (string, error) {
	for _, name := range names {
		switch values := h.Values(name); {
		case len(values) > 1:
			return "", fmt.Errorf("the header %s was sent %d times", name, len(values))
		case len(values) == 1 && values[0] != "":
			return values[0], nil
		}
	}
	return "", nil
}

// extra goes through the headers in a fixed order: two of them may be spellings of one key.
func (a *Authenticator) extra(h http.Header) map[string][]string {
	var extra map[string][]string
	for _, prefix := range a.opts.ExtraHeaderPrefixes {
		var names []string
		for name := range h {
			if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if extra == nil {
				extra = map[string][]string{}
			}
			key := decoded(strings.ToLower(name[len(prefix):]))
			extra[key] = append(extra[key], h[name]...)
		}
	}
	return extra
}

// decoded is the key as it stands if it is not well encoded, as in Kubernetes: an extra is not to be lost.
func decoded(key string) string {
	if plain, err := url.PathUnescape(key); err == nil {
		return plain
	}
	return key
}
