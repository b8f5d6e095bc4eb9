package main

import (
	"context"
	"errors"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/node"
	"github.com/gatehouse/gatehouse/authz/rbac"
	"github.com/gatehouse/gatehouse/internal/flags"
)

// mode is one of the authorizers that are asked in order: it decides, and tells what it can of what a user may do.
type mode interface {
	authz.Authorizer
	// RulesFor returns rules that the user has in the namespace. The error says why they are not all.
	RulesFor(user api.User, namespace string) ([]rbacv1.PolicyRule, error)
}

// modes are the authorizers that allow, in their order.
type modes []mode

// makeAuthorization makes the authorizers that the flags ask for.
func (p *parts) makeAuthorization(context.Context) error {
	p.index = rbac.New()
	p.nodes.graph = node.NewGraph()
	p.chain.Deniers = []authz.Authorizer{policyDenier{p.engine}}
	for _, name := range p.options.AuthorizationModes {
		m, err := p.mode(name)
		if err != nil {
			return fmt.Errorf("--authorization-mode: %w", err)
		}
		p.modes = append(p.modes, m)
		p.chain.Allowers = append(p.chain.Allowers, m)
	}
	return nil
}

// mode makes an authorizer that needs nothing but its name.
func (p *parts) mode(name string) (mode, error) {
	switch name {
	case flags.RBAC:
		return p.index, nil
	case flags.Node:
		p.nodes.want()
		return node.New(p.nodes.graph), nil
	case flags.AlwaysAllow:
		return alwaysAllow{}, nil
	case flags.AlwaysDeny:
		return alwaysDeny{}, nil
	}
	return nil, fmt.Errorf("%s is not implemented", name)
}

// RulesFor implements resource.Rules with what all authorizers tell. The error is for the client.
func (m modes) RulesFor(user api.User, namespace string) (rules []rbacv1.PolicyRule, err error) {
	var errs []error
	for _, one := range m {
		some, err := one.RulesFor(user, namespace)
		rules = append(rules, some...)
		errs = append(errs, err)
	}
	return rules, utilerrors.NewAggregate(errs)
}

// alwaysAllow is --authorization-mode=AlwaysAllow.
type alwaysAllow struct{}

// Authorize allows everything.
func (alwaysAllow) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "everything is allowed by --" + "authorization-mode=" + flags.AlwaysAllow, nil
}

// RulesFor returns the rules that allow everything.
func (alwaysAllow) RulesFor(api.User, string) ([]rbacv1.PolicyRule, error) {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}, nil
}

// alwaysDeny is --authorization-mode=AlwaysDeny, which has no opinion on anything: what no other authorizer allows is refused.
type alwaysDeny struct{}

// Authorize allows nothing.
func (alwaysDeny) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.NoOpinion, "Everything is forbidden.", nil
}

// RulesFor returns no rules.
func (alwaysDeny) RulesFor(api.User, string) ([]rbacv1.PolicyRule, error) { return nil, nil }

var errNodesNotRead = errors.New("what nodes may read is not known yet")
