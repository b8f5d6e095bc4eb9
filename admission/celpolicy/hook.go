package celpolicy

import (
	"context"
	"sync"

	celgo "github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/cel"
)

// Hook tells which requests a webhook is about, by the rules, selectors and match conditions that it has in common with policies. It is safe for
// concurrent use.
type Hook struct {
	config     *Config
	match      *criteria
	conditions func() common
	ignore     bool
}

// NewHook takes what a webhook is about, with selectors. Its conditions are compiled when a request first comes to them. With ignore, requests of
// which they cannot tell are none that the webhook is about.
func NewHook(c *Config, about *admissionregistrationv1.MatchResources, conditions []admissionregistrationv1.MatchCondition, ignore bool) *Hook {
	return &Hook{config: c, match: newCriteria(about), ignore: ignore, conditions: sync.OnceValue(func() common {
		made := common{variables: cel.NewVariables(0)}
		scope := c.Scopes.Scope(cel.Has{Authorizer: true})
		for _, m := range conditions {
			made.conditions = append(made.conditions, compile(scope, m.Expression, celgo.BoolType))
		}
		return made
	})}
}

// Match reports whether the webhook is about the request, and as which resource and kind. The error is an [*api.Error] that refuses the request.
func (h *Hook) Match(ctx context.Context, a *admission.Attributes) (schema.GroupVersionResource, schema.GroupVersionKind, bool, error) {
	if h.match.err == nil && len(h.match.rules) == 0 {
		return schema.GroupVersionResource{}, schema.GroupVersionKind{}, false, nil
	}
	r := &request{Attributes: a, ctx: ctx, config: h.config, equivalents: h.config.Kinds.Equivalents(a.Resource, a.Subresource)}
	as, matches, err := h.match.matches(r)
	if err != nil {
		return as.Resource, as.Kind, false, api.ToError(err)
	}
	if !matches {
		return as.Resource, as.Kind, false, nil
	}
	c := h.conditions()
	if len(c.conditions) == 0 {
		return as.Resource, as.Kind, true, nil
	}
	values, err := r.allInputs(as, nil, false)
	if err != nil {
		return as.Resource, as.Kind, false, api.Internal(err)
	}
	matches, err = c.applies(ctx, r.authorized(values))
	switch {
	case ctx.Err() != nil:
		return as.Resource, as.Kind, false, api.ToError(over(ctx))
	case err != nil && !h.ignore:
		return as.Resource, as.Kind, false, api.Forbidden(a.Resource.GroupResource(), a.Name, err)
	}
	return as.Resource, as.Kind, matches && err == nil, nil
}
