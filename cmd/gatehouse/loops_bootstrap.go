package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz/rbac"
	"github.com/gatehouse/gatehouse/resource"
)

// What every cluster has from its first start on.

// bootstrapAtOnce is how many objects are created at once at the first start; etcd commits them together.
const bootstrapAtOnce = 16

// systemNamespaces always exist.
func systemNamespaces() []resource.Object {
	var list []resource.Object
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		list = append(list, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return list
}

// systemClassBase is the priority above which only the classes of the system are.
const systemClassBase = 2_000_000_000

// systemClasses are the priorities of pods that the cluster itself is made of.
func systemClasses() []resource.Object {
	class := func(name string, value int32, description string) resource.Object {
		preempt := corev1.PreemptLowerPriority
		return &schedulingv1.PriorityClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, PreemptionPolicy: &preempt,
			Description: "Used for system critical pods that must " + description,
		}
	}
	return []resource.Object{
		class("system-node-critical", systemClassBase+1000, "not be moved from their current node."),
		class("system-cluster-critical", systemClassBase, "run in the cluster, but can be moved to another node if necessary."),
	}
}

// bootstrap creates what every cluster has, and checks the allocations of services. It retries until it succeeds or ctx ends, since
// etcd may come later than this server.
func (p *parts) bootstrap(ctx context.Context) error {
	select {
	case <-p.mirror.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		err := p.bootstrapOnce(ctx)
		if err == nil {
			return nil
		}
		p.logger.Warn("the default objects could not be created; trying again", "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *parts) bootstrapOnce(ctx context.Context) error {
	if err := p.ensureAll(ctx, because("system namespaces"), systemNamespaces(), asIs); err != nil {
		return err
	}
	p.progress[namespacesMade].set()
	group, all := errgroup.WithContext(ctx)
	group.Go(p.reaching(rolesMade, func() error {
		var roles []resource.Object
		for _, o := range rbac.Defaults() {
			roles = append(roles, o.(resource.Object))
		}
		return p.ensureAll(all, because("default roles"), roles, reconcileRole)
	}))
	group.Go(p.reaching(classesMade, func() error {
		return p.ensureAll(all, because("system priority classes"), systemClasses(), asIs)
	}))
	group.Go(p.reaching(flowMade, func() error { return p.ensureFlow(all) }))
	// The repair of a new cluster has nothing to do but to make the value of the node ports; of an old one it finds the ranges there.
	group.Go(p.reaching(allocationsChecked, func() error {
		if err := p.keepDefaultCIDR(all); err != nil {
			return err
		}
		p.progress[rangesMade].set()
		// An object that cannot be decoded keeps the repair from being done, now and later, but not the server from serving the others.
		err := p.repairAllocations(all)
		if errors.Is(err, errUndecodable) {
			p.logger.Warn("service addresses and node ports are not repaired", "err", err)
			return nil
		}
		return err
	}))
	return group.Wait()
}

// reaching does something and notes the step once it has succeeded.
func (p *parts) reaching(s step, do func() error) func() error {
	return func() error {
		err := do()
		if err == nil {
			p.progress[s].set()
		}
		return err
	}
}

// reconcile says what an existing object is to become, and whether it has to change at all.
type reconcile func(existing, wanted resource.Object) (update resource.Object, changed bool)

// asIs leaves alone what exists.
func asIs(resource.Object, resource.Object) (resource.Object, bool) { return nil, false }

func reconcileRole(existing, wanted resource.Object) (resource.Object, bool) {
	update, changed := rbac.Reconcile(existing, wanted)
	if !changed {
		return nil, false
	}
	return update.(resource.Object), true
}

func (p *parts) ensureAll(ctx context.Context, c cause, objects []resource.Object, how reconcile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(bootstrapAtOnce)
	for _, o := range objects {
		group.Go(func() error {
			if err := p.ensure(ctx, c, o, how); err != nil {
				return fmt.Errorf("%s %s: %w", c.why, o.GetName(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// ensure creates the object, or brings one that exists up to what is wanted of it. That another server is doing the same is no error.
func (p *parts) ensure(ctx context.Context, c cause, wanted resource.Object, how reconcile) error {
	info, err := p.infoOf(wanted)
	if err != nil {
		return err
	}
	existing, found, err := p.read(ctx, c.why, info, "0")
	if err == nil && !found {
		if err = p.write(ctx, c, "create", info, wanted); !api.IsReason(err, metav1.StatusReasonAlreadyExists) {
			return err
		}
		existing, found, err = p.read(ctx, c.why, info, "")
	}
	if err != nil || !found {
		return err
	}
	update, changed := how(existing, wanted)
	if !changed {
		return nil
	}
	if sameRole(existing, update) {
		return p.write(ctx, c, "update", info, update)
	}
	// The role of a binding cannot be exchanged: the binding is made anew.
	if err := p.remove(ctx, c, info, metav1.DeleteOptions{}); err != nil {
		return err
	}
	update.SetResourceVersion("")
	return p.write(ctx, c, "create", info, update)
}

func sameRole(a, b resource.Object) bool {
	role := func(o resource.Object) rbacv1.RoleRef {
		switch x := o.(type) {
		case *rbacv1.RoleBinding:
			return x.RoleRef
		case *rbacv1.ClusterRoleBinding:
			return x.RoleRef
		}
		return rbacv1.RoleRef{}
	}
	return role(a) == role(b)
}
