package authz

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse/gatehouse/api"
)

// Sequence asks its members in order until one allows or denies. The empty Sequence has no opinion.
type Sequence []Authorizer

// Authorize returns the first decision with its reason. Without one, the reason has a line for each member that gave one, and the
// error joins those of the members.
func (s Sequence) Authorize(ctx context.Context, user api.User, info api.RequestInfo) (Decision, string, error) {
	var reasons []string
	var errs []error
	for _, a := range s {
		decision, reason, err := a.Authorize(ctx, user, info)
		if err != nil {
			errs = append(errs, err)
		}
		switch {
		case decision == Deny:
			return Deny, reason, err
		case decision == Allow:
			return Allow, reason, nil
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return NoOpinion, strings.Join(reasons, "\n"), errors.Join(errs...)
}
