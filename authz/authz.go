// Package authz decides whether a user may do what a request asks, and proves the decision.
//
// The proof is a [Permit]. Only this package can make one that is valid, and no verb of package
// resource runs without one, so code that forgets to authorize does not compile. The zero Permit,
// the zero Decision and an empty [Chain] all refuse.
package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse/gatehouse/api"
)

// Decision is the answer of one authorizer.
type Decision int

const (
	// NoOpinion leaves the decision to the next authorizer; if none has an opinion the
	// request is refused.
	NoOpinion Decision = iota
	// Deny refuses the request whatever later authorizers would say.
	Deny
	// Allow permits the request.
	Allow
)

// String returns "allow", "deny" or "no opinion".
func (d Decision) String() string {
	switch d {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return "no opinion"
}

// Authorizer has an opinion on requests. It is safe for concurrent use.
type Authorizer interface {
	// Authorize returns its decision and a reason fit for the client and the audit record. An
	// error means that no sound decision was possible; together with Deny or NoOpinion it never
	// becomes an Allow by this authorizer.
	Authorize(ctx context.Context, user api.User, info api.RequestInfo) (Decision, string, error)
}

// Permit proves that a user was allowed to make one particular request. It can be copied; it
// cannot be widened: the request it is good for is inside.
type Permit struct {
	user   api.User
	info   api.RequestInfo
	reason string
	system bool
	valid  bool
}

// System permits an in-process loop, named by reason, to make one request with nobody's rights but
// the server's own. The reason appears in the audit trail.
func System(reason string, info api.RequestInfo) Permit {
	return Permit{
		user:   api.User{Name: "system:apiserver", Groups: []string{api.GroupMasters, api.GroupAuthenticated}},
		info:   detached(info),
		reason: reason,
		system: true,
		valid:  reason != "",
	}
}

// Valid reports whether the permit was given; the zero value was not.
func (p Permit) Valid() bool { return p.valid }

// IsSystem reports whether the permit was made by [System] and not by a decision on a client's request.
func (p Permit) IsSystem() bool { return p.system }

// User is who was allowed.
func (p Permit) User() api.User { return p.user }

// Info is what was allowed.
func (p Permit) Info() api.RequestInfo { return detached(p.info) }

// detached returns info without memory in common, so that changing one does not change the other.
func detached(info api.RequestInfo) api.RequestInfo {
	info.Tail = slices.Clone(info.Tail)
	return info
}

// Reason says why it was allowed.
func (p Permit) Reason() string { return p.reason }

// ErrDenied is in the chain of the error that a refusal returns.
var ErrDenied = errors.New("not authorized")

// Chain asks deniers first, all of them, and then allowers in order. A single Deny wins; the first
// Allow grants; silence refuses. The zero Chain refuses everybody outside system:masters.
type Chain struct {
	// Deniers can only deny: an Allow from one of them counts as no opinion. They are asked for every
	// request, that of system:masters included.
	Deniers []Authorizer
	// Allowers are asked in order until one allows or denies.
	Allowers []Authorizer
}

// Authorize returns the chain's decision with its reason. An error without an Allow is a refusal. A review may ask about groups
// without a user; nobody gets a [Permit] for that.
func (c Chain) Authorize(ctx context.Context, user api.User, info api.RequestInfo) (Decision, string, error) {
	for _, d := range c.Deniers {
		decision, reason, err := d.Authorize(ctx, user, info)
		if err != nil {
			return Deny, reason, err
		}
		if decision == Deny {
			return Deny, reason, nil
		}
	}
	if user.InGroup(api.GroupMasters) {
		return Allow, "group " + api.GroupMasters + " is allowed everything", nil
	}
	return Sequence(c.Allowers).Authorize(ctx, user, info)
}

// Permit authorizes one request. A refusal is a 403 [api.Error] that wraps [ErrDenied]; a failure to
// decide is a 500.
func (c Chain) Permit(ctx context.Context, user api.User, info api.RequestInfo) (Permit, error) {
	decision, reason, err := c.Authorize(ctx, user, info)
	switch {
	case decision == Allow && user.Name != "":
		return Permit{user: user, info: detached(info), reason: reason, valid: true}, nil
	case decision == Allow:
		return Permit{}, Refusal(user, info, "a user without a name is nobody")
	case err != nil:
		return Permit{}, api.Internal(err)
	}
	return Permit{}, Refusal(user, info, reason)
}

// Refusal is the 403 that tells user why info was not allowed.
func Refusal(user api.User, info api.RequestInfo, reason string) *api.Error {
	if !info.IsResource {
		return api.ForbiddenPath(user.Name, info.Verb, info.Path, reason).Wrap(ErrDenied)
	}
	why := fmt.Sprintf("User %q cannot %s resource %q in API group %q", user.Name, info.Verb, info.ResourceWithSub(), info.Group)
	if info.Namespace != "" {
		why += fmt.Sprintf(" in the namespace %q", info.Namespace)
	} else {
		why += " at the cluster scope"
	}
	if reason != "" {
		why += ": " + reason
	}
	return api.Forbidden(info.GroupResource(), info.Name, errors.New(why)).Wrap(ErrDenied)
}
