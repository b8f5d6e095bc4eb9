package celpolicy

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// begin returns the policies that may be about the request. It refuses a request of which that cannot be told.
func begin[P, B, E any](ctx context.Context, c *Config, h *holder[P, B, E], a *admission.Attributes) (*request, []*bound[E], error) {
	if exempt(a.Resource) || a.Permit.IsSystem() {
		return nil, nil, nil
	}
	s, err := h.get()
	if err != nil {
		return nil, nil, a.Forbidden(errNotReady).Wrap(err)
	}
	if s.empty() {
		return nil, nil, nil
	}
	equivalents := c.Kinds.Equivalents(a.Resource, a.Subresource)
	policies := s.about(a.Resource.GroupResource(), equivalents)
	if len(policies) == 0 {
		return nil, nil, nil
	}
	return &request{Attributes: a, ctx: ctx, config: c, equivalents: equivalents}, policies, nil
}

func ignores(p *admissionregistrationv1.FailurePolicyType) bool {
	return p != nil && *p == admissionregistrationv1.Ignore
}

// clientText is an error as a client may read it: the answer that it stands for, or its own text.
func clientText(err error) string {
	if e, ok := err.(*api.Error); ok { //nolint:errorlint // What is wrapped is not for clients.
		return e.Status.Message
	}
	return err.Error()
}
