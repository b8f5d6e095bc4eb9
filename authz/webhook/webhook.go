// Package webhook decides requests by asking a service: a SubjectAccessReview of authorization.k8s.io v1 or v1beta1 is posted to it, as
// kube-apiserver's Webhook authorizer does.
//
// The service can allow, deny or have no opinion. Where it cannot be asked, or its answer is no answer, the decision is the failure
// policy's, together with an error: with [FailurePolicy] Deny nothing further is asked, with NoOpinion a later authorizer may still
// allow. Answers are kept for a while, at most [CacheSize] of them.
//
// Match conditions, in CEL, say which requests the service is asked about. One that is false leaves a request to the other
// authorizers; one that fails, where none is false, is a failure of the service.
package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Versions of the review that a service may speak.
const (
	V1      = "v1"
	V1beta1 = "v1beta1"
)

// Bounds of the cache.
const (
	// CacheSize is how many answers are kept.
	CacheSize = 8192
	// MaxCachedBytes is how much of a request its sender may choose for the answer to be kept: who sends many different
	// requests should not push out the answers of others with few large ones.
	MaxCachedBytes = 10_000
	// maxReason bounds what is kept, and told to the client, of the service's reason.
	maxReason = 4096
)

// Poster sends a question as JSON and decodes the answer, with a bound of time and of tries.
type Poster interface {
	Post(ctx context.Context, question, answer any) error
}

// FailurePolicy is the decision where the service cannot be asked.
type FailurePolicy string

// Failure policies.
const (
	NoOpinion FailurePolicy = "NoOpinion"
	Deny      FailurePolicy = "Deny"
)

// Options say whom to ask, and how.
type Options struct {
	// Name appears in the log.
	Name string
	// Service is asked. Required.
	Service Poster
	// Version is [V1] or [V1beta1].
	Version string
	// FailurePolicy is [NoOpinion] or [Deny].
	FailurePolicy FailurePolicy
	// AuthorizedTTL and UnauthorizedTTL are how long an answer is kept that allows, and one that does not. 0 keeps none.
	AuthorizedTTL, UnauthorizedTTL time.Duration
	// Conditions say about which requests the service is asked. Nil is all.
	Conditions *Conditions
	// Clock tells the time. Required.
	Clock func() time.Time
	// Logger is told of failures. Required.
	Logger *slog.Logger
}

// Authorizer asks a service. It is safe for concurrent use.
type Authorizer struct {
	Options
	answers *lru.Cache[[sha256.Size]byte, answer]
}

// answer is what the service has said, and until when that counts.
type answer struct {
	status authorizationv1.SubjectAccessReviewStatus
	until  time.Time
}

// New refuses options that are incomplete, and a version or a policy that does not exist.
func New(o Options) (*Authorizer, error) {
	switch {
	case o.Service == nil || o.Clock == nil || o.Logger == nil:
		return nil, errors.New("authorization webhook: the service, the clock or the logger is missing")
	case o.Version != V1 && o.Version != V1beta1:
		return nil, fmt.Errorf("unsupported webhook authorizer version %q, supported versions are %q, %q", o.Version, V1, V1beta1)
	case o.FailurePolicy != NoOpinion && o.FailurePolicy != Deny:
		return nil, fmt.Errorf("unknown failurePolicy %q", o.FailurePolicy)
	}
	answers, err := lru.New[[sha256.Size]byte, answer](CacheSize)
	return &Authorizer{o, answers}, err
}

// Authorize returns the service's decision with its reason. An error comes with the decision of the failure policy.
func (a *Authorizer) Authorize(ctx context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	spec := question(user, info)
	asked, err := a.Conditions.match(ctx, spec)
	switch {
	case err != nil:
		return a.failed(fmt.Errorf("match conditions: %w", err))
	case !asked:
		return authz.NoOpinion, "", nil
	}
	status, err := a.status(ctx, spec, cacheable(info))
	if err != nil {
		return a.failed(err)
	}
	switch {
	case status.Denied && status.Allowed:
		return authz.Deny, status.Reason, errors.New("webhook subject access review returned both allow and deny response")
	case status.Denied:
		return authz.Deny, status.Reason, nil
	case status.Allowed:
		return authz.Allow, status.Reason, nil
	}
	return authz.NoOpinion, status.Reason, nil
}

var errNoRules = errors.New("webhook authorizer does not support user rule resolution")

// RulesFor returns no rules and an error: a service is asked about requests, not about users.
func (a *Authorizer) RulesFor(api.User, string) ([]rbacv1.PolicyRule, error) { return nil, errNoRules }

// failed is the decision where there is none.
func (a *Authorizer) failed(err error) (authz.Decision, string, error) {
	err = fmt.Errorf("authorization webhook %s: %w", a.Name, err)
	a.Logger.Error("a webhook could not decide", "failurePolicy", a.FailurePolicy, "err", err)
	if a.FailurePolicy == Deny {
		return authz.Deny, "", err
	}
	return authz.NoOpinion, "", err
}

// status is the service's answer, or one that it has given before.
func (a *Authorizer) status(ctx context.Context, spec *authorizationv1.SubjectAccessReviewSpec, cache bool) (authorizationv1.SubjectAccessReviewStatus, error) {
	var none authorizationv1.SubjectAccessReviewStatus
	// JSON keeps apart what differs in any part: no name can look like a list of two.
	text, err := json.Marshal(spec)
	if err != nil {
		return none, err
	}
	key := sha256.Sum256(text)
	if known, ok := a.answers.Get(key); ok {
		if a.Clock().Before(known.until) {
			return known.status, nil
		}
		a.answers.Remove(key)
	}
	status, err := a.ask(ctx, spec)
	if err != nil {
		return none, err
	}
	status.Reason = api.Cut(status.Reason, maxReason)
	ttl := a.UnauthorizedTTL
	if status.Allowed {
		ttl = a.AuthorizedTTL
	}
	if cache && ttl > 0 {
		a.answers.Add(key, answer{status, a.Clock().Add(ttl)})
	}
	return status, nil
}

func cacheable(info api.RequestInfo) bool {
	return len(info.Namespace)+len(info.Verb)+len(info.Group)+len(info.Version)+len(info.Resource)+len(info.Subresource)+
		len(info.Name)+len(info.Path)+len(info.FieldSelector)+len(info.LabelSelector) < MaxCachedBytes
}
