package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/config"
	authzwebhook "github.com/gatehouse/gatehouse/authz/webhook"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
	"github.com/gatehouse/gatehouse/internal/webhook"
)

// authorizers are those that allow, in their order. They can be replaced while requests are decided; each request is decided by the ones
// that it found.
type authorizers struct{ current atomic.Pointer[authorizerSet] }

// authorizerSet is one version of the authorizers.
type authorizerSet struct {
	configured []config.Authorizer
	sequence   authz.Sequence
	modes      []mode
	services   []*webhook.Client
}

// Authorize asks the present authorizers in order.
func (a *authorizers) Authorize(ctx context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	return a.current.Load().sequence.Authorize(ctx, user, info)
}

// RulesFor implements resource.Rules with what all authorizers tell. The error is for the client.
func (a *authorizers) RulesFor(user api.User, namespace string) (rules []rbacv1.PolicyRule, err error) {
	var errs []error
	for _, one := range a.current.Load().modes {
		some, err := one.RulesFor(user, namespace)
		rules = append(rules, some...)
		errs = append(errs, err)
	}
	return rules, utilerrors.NewAggregate(errs)
}

// reload reads the kubeconfigs of the webhooks again.
func (a *authorizers) reload() (changed bool, err error) {
	var errs []error
	for _, s := range a.current.Load().services {
		one, err := s.Reload()
		changed, errs = changed || one, append(errs, err)
	}
	return changed, errors.Join(errs...)
}

// close closes the connections of the webhooks.
func (a *authorizers) close() error { return a.current.Load().close() }

func (s *authorizerSet) close() error {
	var errs []error
	for _, service := range s.services {
		errs = append(errs, service.Close())
	}
	return errors.Join(errs...)
}

// fromFlags are the authorizers that flags name. Their webhook is asked as kube-apiserver asks it: without an answer the next one
// decides.
func fromFlags(o *flags.Options) (list []config.Authorizer) {
	for _, name := range o.AuthorizationModes {
		a := config.Authorizer{Type: config.Type(name), Name: strings.ToLower(name)}
		if a.Type == config.Webhook {
			w := o.Authorization
			a.Name = "default"
			a.Webhook = &config.Service{
				KubeConfigFile: w.WebhookConfigFile, Version: w.WebhookVersion, FailurePolicy: string(authzwebhook.NoOpinion),
				Timeout: webhook.Timeout, AuthorizedTTL: w.WebhookAuthorizedTTL, UnauthorizedTTL: w.WebhookUnauthorizedTTL,
			}
		}
		list = append(list, a)
	}
	return list
}

// readAuthorizers reads the configuration. What the hardened profile refuses as a flag it refuses here.
func (p *parts) readAuthorizers() ([]config.Authorizer, error) {
	data, err := pki.ReadPublic(p.options.Authorization.ConfigFile, config.MaxBytes)
	if err != nil {
		return nil, err
	}
	list, err := config.Load(data, func(path *field.Path, expressions []string) field.ErrorList {
		_, errs := authzwebhook.Compile(path, expressions)
		return errs
	})
	if err != nil {
		return nil, err
	}
	always := slices.ContainsFunc(list, func(a config.Authorizer) bool { return a.Type == config.AlwaysAllow })
	if always && p.options.Profile == flags.Hardened {
		return nil, fmt.Errorf("the hardened profile refuses the type %s", config.AlwaysAllow)
	}
	return list, nil
}

// reloadAuthorizers puts what the file says now in the place of what it said. Answers that webhooks have given are forgotten.
func (p *parts) reloadAuthorizers() error {
	list, err := p.readAuthorizers()
	if err != nil {
		return err
	}
	last := p.modes.current.Load()
	if err := config.Succeeds(list, last.configured); err != nil {
		return err
	}
	next, err := p.authorizerSet(list)
	if err != nil {
		return err
	}
	p.modes.current.Store(next)
	return last.close()
}

// authorizerSet makes the authorizers of a list.
func (p *parts) authorizerSet(list []config.Authorizer) (*authorizerSet, error) {
	set := &authorizerSet{configured: list}
	for _, a := range list {
		m, err := p.mode(a, set)
		if err != nil {
			return nil, errors.Join(err, set.close())
		}
		set.modes, set.sequence = append(set.modes, m), append(set.sequence, m)
	}
	return set, nil
}

// webhookMode makes an authorizer that asks a service.
func webhookMode(a config.Authorizer, set *authorizerSet, logger *slog.Logger) (mode, error) {
	w := a.Webhook
	service, err := webhook.Open(w.KubeConfigFile, w.Timeout)
	if err != nil {
		return nil, err
	}
	set.services = append(set.services, service)
	conditions, errs := authzwebhook.Compile(field.NewPath("matchConditions"), w.Conditions)
	if err := errs.ToAggregate(); err != nil {
		return nil, err
	}
	return authzwebhook.New(authzwebhook.Options{
		Name: a.Name, Service: service, Version: w.Version, FailurePolicy: authzwebhook.FailurePolicy(w.FailurePolicy),
		AuthorizedTTL: w.AuthorizedTTL, UnauthorizedTTL: w.UnauthorizedTTL, Conditions: conditions, Clock: time.Now, Logger: logger,
	})
}
