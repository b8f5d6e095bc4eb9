package main

import (
	"context"
	"errors"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/config"
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

// makeAuthorization makes the authorizers that the flags or the configuration ask for.
func (p *parts) makeAuthorization(context.Context) error {
	p.index = rbac.New()
	p.nodes.graph = node.NewGraph()
	p.modes = &authorizers{}
	flag, list := "--authorization-webhook-config-file", fromFlags(p.options) // what else can fail has been checked
	if file := p.options.Authorization.ConfigFile; file != "" {
		var err error
		flag = "--authorization-config"
		if list, err = p.readAuthorizers(); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		p.reload = append(p.reload, reloader{file, whenChanged([]string{file}, p.reloadAuthorizers)})
	}
	set, err := p.authorizerSet(list)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	p.modes.current.Store(set)
	p.close = append(p.close, p.modes.close)
	p.reload = append(p.reload, reloader{"kubeconfigs of authorization webhooks", p.modes.reload})
	p.chain = authz.Chain{Deniers: []authz.Authorizer{policyDenier{p.engine}}, Allowers: []authz.Authorizer{p.modes}}
	return nil
}

// mode makes one authorizer.
func (p *parts) mode(a config.Authorizer, set *authorizerSet) (mode, error) {
	switch a.Type {
	case config.RBAC:
		return p.index, nil
	case config.Node:
		p.nodes.want()
		return node.New(p.nodes.graph), nil
	case config.Webhook:
		return webhookMode(a, set, p.logger)
	case config.AlwaysAllow:
		return alwaysAllow{}, nil
	case config.AlwaysDeny:
		return alwaysDeny{}, nil
	}
	return nil, fmt.Errorf("%s is not implemented", a.Type)
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
