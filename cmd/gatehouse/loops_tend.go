package main

import (
	"context"
	"errors"
	"sync"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/services"
)

// What the server keeps as it has to be as long as it runs. Each of these runs in every server: what one has done, the others find done.

// How often things are looked after. The two longer times are multiples of the first.
const (
	tendEvery   = 10 * time.Second // what others rely on to be current
	ensureEvery = time.Minute      // what somebody could have deleted
	repairEvery = 3 * time.Minute  // what is found only by looking at everything
	dropEvery   = time.Hour        // what only takes up room
)

// tending runs until ctx ends. No failure ends it.
func (p *parts) tending(ctx context.Context) error {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	p.tend(ctx)
	for n := time.Duration(1); ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		due := func(every time.Duration) bool { return n%(every/tendEvery) == 0 }
		p.tend(ctx)
		p.try(ctx, "default ServiceCIDR", p.keepDefaultCIDR)
		p.try(ctx, "deleted ServiceCIDRs", p.releaseCIDRs)
		if due(ensureEvery) {
			p.try(ctx, "system namespaces", func(ctx context.Context) error {
				return p.ensureAll(ctx, because("system namespaces"), systemNamespaces(), asIs)
			})
			p.try(ctx, "flow control", p.ensureFlow)
			p.try(ctx, "flow schemas", p.judgeFlow)
		}
		if due(repairEvery) {
			p.try(ctx, "service addresses and node ports", p.repairAllocations)
		}
		if due(dropEvery) {
			p.try(ctx, "leases of servers", p.dropIdentities)
		}
	}
}

// tend does what is due most often, at once.
func (p *parts) tend(ctx context.Context) {
	var group sync.WaitGroup
	for what, do := range map[string]func(context.Context) error{
		"service kubernetes": func(ctx context.Context) error {
			return errors.Join(p.keepKubernetesService(ctx), p.keepEndpoints(ctx))
		},
		"server identity":       p.renewIdentity,
		"authentication info":   p.publishAuthentication,
		"legacy token tracking": p.trackTokens,
	} {
		group.Go(func() { p.try(ctx, what, do) })
	}
	group.Wait()
}

// try does something and logs that it failed.
func (p *parts) try(ctx context.Context, what string, do func(context.Context) error) {
	if err := do(ctx); err != nil && ctx.Err() == nil {
		p.logger.Warn("something that the server looks after could not be brought up to date; it is tried again", "what", what, "err", err)
	}
}

// leaveTime bounds the goodbye of a server.
const leaveTime = 2 * time.Second

// leave tells the others that this server ends.
func (p *parts) leave(ctx context.Context) {
	if !p.progress[tendingBegun].done.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	p.try(ctx, "endpoints", p.leaveEndpoints)
	p.try(ctx, "server identity", p.leaveIdentity)
}

// judging keeps the status of flow schemas current.
func (p *parts) judging(ctx context.Context) error {
	select {
	case <-p.mirror.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return watching[*flowcontrolv1.FlowSchema](ctx, p, flowcontrolv1.GroupName, flowSchemaPlural, p.judgeFlow)
	})
	group.Go(func() error {
		return watching[*flowcontrolv1.PriorityLevelConfiguration](ctx, p, flowcontrolv1.GroupName, flowLevelPlural, p.judgeFlow)
	})
	return group.Wait()
}

// watching calls do after every change of a resource, once for changes that come together.
func watching[T resource.Object](ctx context.Context, p *parts, group, plural string, do func(context.Context) error) error {
	nothing := func(T) {}
	return follow(ctx, p.resources, group, plural, func([]T) {}, nothing, nothing, func(map[string]T) { p.try(ctx, plural, do) })
}

// releaseCIDRs lets ServiceCIDRs go that are being deleted and that no address needs, and says of the others why they stay.
func (p *parts) releaseCIDRs(ctx context.Context) error {
	info := resourceOf(networkingv1.GroupName, cidrs)
	var errs []error
	for _, c := range cached[*networkingv1.ServiceCIDR](p.resources, info) {
		if c.DeletionTimestamp != nil {
			errs = append(errs, p.releaseCIDR(ctx, c))
		}
	}
	return errors.Join(errs...)
}

func (p *parts) releaseCIDR(ctx context.Context, c *networkingv1.ServiceCIDR) error {
	why := cause{why: "deleted service CIDR", manager: "service-cidr-controller"}
	objects := &serviceObjects{p: p}
	all, err := objects.CIDRs(ctx, true)
	if err != nil {
		return err
	}
	ips, err := objects.IPAddresses(ctx)
	if err != nil {
		return err
	}
	info := objectOf(networkingv1.GroupName, cidrs, c.Name)
	removable, held := services.Removable(c, all, ips, time.Now())
	switch {
	case removable && removeFinalizer(c):
		return ignoreConflict(p.write(ctx, why, "update", info, c))
	case held && apimeta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse, Reason: networkingv1.ServiceCIDRReasonTerminating,
		Message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
	}):
		ready := apimeta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
		return ignoreConflict(p.applyCondition(ctx, why, info, typeOf(networkingv1.SchemeGroupVersion, "ServiceCIDR"), ready))
	}
	return nil
}

// removeFinalizer takes away the finalizer by which a ServiceCIDR is held, and reports whether it was there.
func removeFinalizer(c *networkingv1.ServiceCIDR) bool {
	var left []string
	for _, f := range c.Finalizers {
		if f != services.CIDRFinalizer {
			left = append(left, f)
		}
	}
	had := len(left) < len(c.Finalizers)
	c.Finalizers = left
	return had
}
