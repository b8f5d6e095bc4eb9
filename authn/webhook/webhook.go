// Package webhook authenticates bearer tokens by asking a service: a TokenReview of authentication.k8s.io v1 or v1beta1 is posted to it.
//
// The review asks for the audiences of the request, or the server's own. An answer without audiences is for those of the
// server. An answer that is not authenticated gets no opinion, unless it gives a reason. A service that cannot be asked refuses the
// token, and the peer is not held to have failed.
//
// It belongs behind a cache (authn/tokencache).
package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// Versions of the review that a service may speak.
const (
	V1      = "v1"
	V1beta1 = "v1beta1"
)

// maxReason bounds what of a service's reason is kept, in bytes.
const maxReason = 256

// Poster sends a question as JSON and decodes the answer.
type Poster interface {
	Post(ctx context.Context, question, answer any) error
}

// Options are all required.
type Options struct {
	// Service is asked.
	Service Poster
	// Version is [V1] or [V1beta1].
	Version string
	// Audiences are those of the server.
	Audiences []string
}

// Authenticator asks a service. It is safe for concurrent use.
type Authenticator struct{ opts Options }

// New refuses a version that is not one of the two.
func New(opts Options) (*Authenticator, error) {
	if opts.Service == nil {
		return nil, errors.New("token webhook: the service is missing")
	}
	if opts.Version != V1 && opts.Version != V1beta1 {
		return nil, fmt.Errorf("unsupported authentication webhook version %q, supported versions are %q, %q", opts.Version, V1, V1beta1)
	}
	return &Authenticator{opts}, nil
}

// Authenticate implements [authn.Authenticator].
func (a *Authenticator) Authenticate(ctx context.Context, c authn.Credentials) (*authn.Result, error) {
	if !c.HasBearer {
		return nil, nil
	}
	wanted := c.Audiences
	if len(wanted) == 0 {
		wanted = a.opts.Audiences
	}
	status, err := a.review(ctx, authenticationv1.TokenReviewSpec{Token: c.BearerToken, Audiences: wanted})
	if err != nil {
		// 503 inside the refusal says that the token was not judged.
		return nil, api.Unavailable("the token could not be reviewed").Wrap(fmt.Errorf("token webhook: %w", err))
	}
	if !status.Authenticated {
		if status.Error == "" {
			return nil, nil
		}
		return nil, fmt.Errorf("token webhook: %.*q", maxReason, status.Error)
	}
	audiences, ok := a.audiences(wanted, status.Audiences)
	if !ok {
		return nil, nil
	}
	return &authn.Result{User: userOf(status.User), Method: "webhook", Audiences: audiences, Remote: true}, nil
}

func (a *Authenticator) review(ctx context.Context, spec authenticationv1.TokenReviewSpec) (*authenticationv1.TokenReviewStatus, error) {
	if a.opts.Version == V1 {
		question := &authenticationv1.TokenReview{TypeMeta: typeOf(authenticationv1.SchemeGroupVersion.String()), Spec: spec}
		var answer authenticationv1.TokenReview
		err := a.opts.Service.Post(ctx, question, &answer)
		return &answer.Status, errors.Join(err, checkType(err, question.TypeMeta, answer.TypeMeta))
	}
	question := &authenticationv1beta1.TokenReview{
		TypeMeta: typeOf(authenticationv1beta1.SchemeGroupVersion.String()),
		Spec:     authenticationv1beta1.TokenReviewSpec{Token: spec.Token, Audiences: spec.Audiences},
	}
	var answer authenticationv1beta1.TokenReview
	err := a.opts.Service.Post(ctx, question, &answer)
	s := answer.Status
	user := authenticationv1.UserInfo{Username: s.User.Username, UID: s.User.UID, Groups: s.User.Groups}
	if s.User.Extra != nil {
		user.Extra = make(map[string]authenticationv1.ExtraValue, len(s.User.Extra))
		for key, values := range s.User.Extra {
			user.Extra[key] = authenticationv1.ExtraValue(values)
		}
	}
	status := &authenticationv1.TokenReviewStatus{Authenticated: s.Authenticated, User: user, Audiences: s.Audiences, Error: s.Error}
	return status, errors.Join(err, checkType(err, question.TypeMeta, answer.TypeMeta))
}

func typeOf(version string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: "TokenReview"}
}

// checkType makes sure that what came back is an answer to what was asked.
func checkType(err error, asked, got metav1.TypeMeta) error {
	if err == nil && got != asked {
		return fmt.Errorf("the answer is %.64q of %.64q, want %s of %s", got.Kind, got.APIVersion, asked.Kind, asked.APIVersion)
	}
	return nil
}

// audiences are those wanted that the token is for.
func (a *Authenticator) audiences(wanted, got []string) ([]string, bool) {
	if len(wanted) == 0 {
		return nil, true
	}
	if len(got) == 0 {
		got = a.opts.Audiences
	}
	var both []string
	for _, w := range wanted {
		if slices.Contains(got, w) && !slices.Contains(both, w) {
			both = append(both, w)
		}
	}
	return both, len(both) > 0
}

func userOf(u authenticationv1.UserInfo) api.User {
	user := api.User{Name: u.Username, UID: u.UID, Groups: u.Groups}
	if len(u.Extra) > 0 {
		user.Extra = make(map[string][]string, len(u.Extra))
		for key, values := range u.Extra {
			user.Extra[key] = values
		}
	}
	return user
}
