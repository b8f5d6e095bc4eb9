package main

import (
	"context"

	"github.com/gatehouse/gatehouse/server"
)

// What the health paths report, under kube-apiserver's names: probes exclude checks by name, and scripts look for them.

// step is something that the start brings about once.
type step int

const (
	namespacesMade step = iota
	rolesMade
	classesMade
	flowMade
	rangesMade
	allocationsChecked
	tendingBegun // what the server looks after is being looked after: the last step

	steps
)

// progress is how far the start has come.
type progress [steps]readiness

// check fails until the step is done.
func (p *progress) check(s step) func(context.Context) error {
	return func(context.Context) error {
		if !p[s].done.Load() {
			return errStarting
		}
		return nil
	}
}

// checks are what the health paths report, in kube-apiserver's order.
func (p *parts) checks() []server.Check {
	checks := append([]server.Check{
		{Name: "log", Run: holds},
		{Name: "loopback-serving-certificate", LiveOnly: true, Run: holds},
		{Name: "etcd", Run: p.checkEtcd},
		{Name: "etcd-readiness", ReadyOnly: true, Run: p.checkEtcd},
		{Name: "informer-sync", ReadyOnly: true, Run: func(ctx context.Context) error {
			if err := p.cached(ctx); err != nil {
				return err
			}
			return p.nodes.check()
		}},
	}, p.hooks()...)
	if p.log != nil {
		checks = append(checks, server.Check{Name: "audit", ReadyOnly: true, Run: func(context.Context) error { return p.log.Healthy() }})
	}
	return checks
}

// hooks are the checks that kube-apiserver has for what it does once it has started. Each fails until what it is named after has been done, and
// holds from then on. Some are of what this server has no part for, or has before it answers at all.
func (p *parts) hooks() []server.Check {
	hook := func(name string, run func(context.Context) error) server.Check {
		return server.Check{Name: "poststarthook/" + name, Start: true, Run: run}
	}
	tending := p.progress.check(tendingBegun)
	return []server.Check{
		hook("start-apiserver-admission-initializer", p.cached),
		hook("generic-apiserver-start-informers", p.cached),
		hook("priority-and-fairness-config-consumer", p.cached),
		hook("priority-and-fairness-filter", holds),
		hook("storage-object-count-tracker-hook", p.cached),
		hook("start-apiextensions-informers", p.cached),
		hook("start-apiextensions-controllers", holds),
		hook("crd-informer-synced", p.cached),
		hook("start-system-namespaces-controller", p.progress.check(namespacesMade)),
		hook("peer-endpoint-reconciler-controller", tending),
		hook("start-cluster-authentication-info-controller", tending),
		hook("start-kube-apiserver-identity-lease-controller", tending),
		hook("start-kube-apiserver-identity-lease-garbage-collector", tending),
		hook("storage-readiness", p.cached),
		hook("start-legacy-token-tracking-controller", tending),
		hook("start-service-ip-repair-controllers", p.progress.check(allocationsChecked)),
		hook("rbac/bootstrap-roles", p.progress.check(rolesMade)),
		hook("scheduling/bootstrap-system-priority-classes", p.progress.check(classesMade)),
		hook("priority-and-fairness-config-producer", p.progress.check(flowMade)),
		hook("bootstrap-controller", tending),
		hook("start-kubernetes-service-cidr-controller", p.progress.check(rangesMade)),
		hook("start-kube-aggregator-informers", p.cached),
		hook("apiservice-status-local-available-controller", holds),
		hook("apiservice-status-remote-available-controller", holds),
		hook("apiservice-registration-controller", holds),
		hook("apiservice-discovery-controller", holds),
		hook("kube-apiserver-autoregistration", holds),
		{Name: "autoregister-completion", Run: holds},
		hook("apiservice-openapi-controller", holds),
		hook("apiservice-openapiv3-controller", holds),
	}
}

// holds is the check of what cannot fail here. Log lines are not buffered; there is no connection of the server to itself; limits, discovery and
// OpenAPI documents are made before the first request is answered; and what other servers serve is not aggregated.
func holds(context.Context) error { return nil }

// cached fails until every object has been read into the cache, on which admission, limits and lists rely.
func (p *parts) cached(context.Context) error {
	select {
	case <-p.mirror.Ready():
		return nil
	default:
		return errStarting
	}
}

// checkEtcd asks etcd for its revision and waits for the caches to have reached it.
func (p *parts) checkEtcd(ctx context.Context) error {
	_, err := p.mirror.Fresh(ctx)
	return err
}
