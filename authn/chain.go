package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/api"
)

// Reasons for a 401 that are not any authenticator's own. They are causes for the log, never sent.
var (
	// ErrNoCredential says that the request presented nothing and may not be anonymous.
	ErrNoCredential = errors.New("no credential was presented and anonymous requests are not allowed here")
	// ErrUnknownToken says that no authenticator knew the bearer token.
	ErrUnknownToken = errors.New("the bearer token is not known to any authenticator")

	// ErrRevoked says that the credential is good but for having been revoked.
	ErrRevoked = errors.New("the credential has been revoked")
	// ErrExpired says of a credential that was in order that its time is over. [Chain.Recheck] lets open requests go on with
	// one; authenticators whose credentials must end them do not use it.
	ErrExpired = errors.New("the credential has expired")

	errNamelessUser = errors.New("an authenticator returned a user without a name")
)

// AnnotatedError is a refusal with something to say for the audit record.
type AnnotatedError struct {
	// Err is why the credential was refused.
	Err error
	// Annotations are for the audit record. They hold no secret.
	Annotations map[string]string
}

// Error is that of Err.
func (e *AnnotatedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *AnnotatedError) Unwrap() error { return e.Err }

// Result is a successful authentication. It may be shared between requests: its slices and maps are read only.
type Result struct {
	// User is who was recognised. [Chain] has added system:authenticated to it.
	User api.User
	// Method names the authenticator: x509, serviceaccount, tokenfile or anonymous.
	Method string
	// CredentialID names the credential for the audit record (X509SHA256=<hex> or JTI=<id>); empty where
	// the kind of credential has no identifier that is safe to record.
	CredentialID string
	// Audiences are those of the token that were accepted. Empty means the credential has no audiences.
	Audiences []string
	// Expires is when the credential ceases to be good; zero means never, or that nobody knows.
	Expires time.Time
	// Remote says that somebody else was asked, which is not repeated for requests that are open.
	Remote bool
	// Warnings are for the client.
	Warnings []string
	// Annotations are for the audit record.
	Annotations map[string]string
}

// Authenticator recognises one kind of credential. It is safe for concurrent use.
type Authenticator interface {
	// Authenticate returns nil, nil if the credentials hold nothing of its kind. An error means that they do and
	// that it is not valid, or could not be checked; its text holds no secret.
	Authenticate(ctx context.Context, c Credentials) (*Result, error)
}

// Revocation knows credentials that are not to be used any more. It is safe for concurrent use.
type Revocation interface {
	// Revoked returns an error with [ErrRevoked] in its chain for a credential that was recognised as res but has been revoked.
	// c may hold a certificate beside the token that was recognised.
	Revoked(c Credentials, res *Result) error
}

// Anonymous says which requests may do without a credential. The zero value allows none.
type Anonymous struct {
	// Enabled allows anonymous requests at all.
	Enabled bool
	// Paths limits them to requests for exactly these paths. Nil means any path; a list that is empty but not nil
	// means none.
	Paths []string
}

func (a Anonymous) allows(info api.RequestInfo) bool {
	return a.Enabled && (a.Paths == nil || slices.Contains(a.Paths, info.Path))
}

// Chain asks authenticators in order; the first that recognises the request decides who it is. Errors do not stop
// it, but a request with an error and no success is refused. The zero Chain refuses everybody.
type Chain struct {
	// Certificates are asked first, if the client sent a certificate.
	Certificates []Authenticator
	// Tokens are asked next, if an Authorization header was sent.
	Tokens []Authenticator
	// Anonymous applies only to requests that no authenticator recognised or refused and that have no token.
	Anonymous Anonymous
	// Revocation is asked about every credential that was recognised; what it refuses ends the request, whatever else was presented.
	// Nil means that nothing is revoked.
	Revocation Revocation
	// APIAudiences are the names this server goes by. They are what a token that has no audiences of its
	// own is good for.
	APIAudiences []string
}

// Authenticate returns who makes the request, or a 401 [api.Error] with the reasons as its cause.
func (c *Chain) Authenticate(ctx context.Context, cred Credentials, info api.RequestInfo) (*Result, error) {
	var errs []error
	if len(cred.PeerCertificates) > 0 {
		res, err := first(ctx, c.Certificates, cred)
		if res != nil {
			return c.approve(cred, res)
		}
		errs = append(errs, err)
	}
	if cred.HasBearer {
		res, err := first(ctx, c.Tokens, cred)
		if res != nil {
			return c.approve(cred, res)
		}
		if err == nil {
			err = ErrUnknownToken
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, api.Unauthorized(err)
	}
	if c.Anonymous.allows(info) {
		return &Result{
			User:   api.User{Name: api.UserAnonymous, Groups: []string{api.GroupUnauthenticated}},
			Method: "anonymous",
		}, nil
	}
	return nil, api.Unauthorized(ErrNoCredential)
}

// Token reviews a token that came in the body of a request (TokenReview) for the given audiences, or the server's own
// where there are none. The result's Audiences are never empty unless the server has none. The error is as
// of [Chain.Authenticate].
func (c *Chain) Token(ctx context.Context, token string, audiences []string) (*Result, error) {
	if token == "" || len(token) > MaxTokenBytes {
		return nil, malformed("the token is empty or longer than %d bytes", MaxTokenBytes)
	}
	cred := Credentials{BearerToken: token, HasBearer: true, Audiences: audiences}
	res, err := first(ctx, c.Tokens, cred)
	if res == nil {
		if err == nil {
			err = ErrUnknownToken
		}
		return nil, api.Unauthorized(err)
	}
	if res, err = c.approve(cred, res); err != nil {
		return nil, err
	}
	if len(res.Audiences) > 0 {
		return res, nil
	}
	res.Audiences = c.APIAudiences
	if len(audiences) > 0 {
		res.Audiences = intersect(audiences, c.APIAudiences)
		if len(res.Audiences) == 0 {
			return nil, api.Unauthorized(fmt.Errorf("%w for any of the audiences asked for", ErrUnknownToken))
		}
	}
	return res, nil
}

// approve completes the user, unless the credential has been revoked.
func (c *Chain) approve(cred Credentials, res *Result) (*Result, error) {
	if c.Revocation != nil {
		if err := c.Revocation.Revoked(cred, res); err != nil {
			return nil, api.Unauthorized(err)
		}
	}
	return authenticated(res), nil
}

// Recheck judges the credential of a request again that is still open and was recognised as was: whether it has been revoked, its
// account deleted, its authority removed, or whether it now means another user. Who was recognised by asking somebody else is
// not asked about again, and a credential that has only expired may be good enough, see [ErrExpired]. The error is as of
// [Chain.Authenticate].
func (c *Chain) Recheck(ctx context.Context, cred Credentials, info api.RequestInfo, was *Result) error {
	if c.Revocation != nil {
		if err := c.Revocation.Revoked(cred, was); err != nil {
			return api.Unauthorized(err)
		}
	}
	if was.Remote {
		return nil
	}
	now, err := c.Authenticate(ctx, cred, info)
	switch {
	case errors.Is(err, ErrExpired):
		return nil
	case err != nil:
		return err
	case now.User.Name != was.User.Name || now.User.UID != was.User.UID:
		return api.Unauthorized(errOtherUser)
	}
	return nil
}

var errOtherUser = errors.New("the credential means another user than before")

// first returns the first success; without one, what the authenticators said against the credentials.
func first(ctx context.Context, list []Authenticator, cred Credentials) (*Result, error) {
	var errs []error
	for _, a := range list {
		res, err := a.Authenticate(ctx, cred)
		switch {
		case err != nil:
			errs = append(errs, err)
		case res != nil && res.User.Name == "":
			errs = append(errs, errNamelessUser)
		case res != nil:
			return res, nil
		}
	}
	return nil, errors.Join(errs...)
}

// authenticated returns a copy of res whose user holds system:authenticated, unless the user claims to be anonymous.
func authenticated(res *Result) *Result {
	own := *res
	if !own.User.IsAnonymous() && !own.User.InGroup(api.GroupUnauthenticated) {
		own.User = own.User.WithGroup(api.GroupAuthenticated)
	}
	return &own
}

func intersect(a, b []string) []string {
	var both []string
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(both, s) {
			both = append(both, s)
		}
	}
	return both
}
