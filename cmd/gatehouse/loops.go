package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/server"
)

// The loops that run beside the requests. Each is safe to run in every replica: all writes are guarded by
// the revision of what they were computed from.

// readiness is a flag that is set once.
type readiness struct{ done atomic.Bool }

func (r *readiness) set() { r.done.Store(true) }

var errStarting = errors.New("not finished yet")

// checks are what the health paths report.
func (p *parts) checks() []server.Check {
	checks := []server.Check{
		{Name: "etcd", Run: p.checkEtcd},
		{Name: "informer-sync", ReadyOnly: true, Run: func(context.Context) error {
			select {
			case <-p.mirror.Ready():
				return nil
			default:
				return errStarting
			}
		}},
		{Name: "poststarthook/rbac/bootstrap-roles", ReadyOnly: true, Run: func(context.Context) error {
			if !p.started.done.Load() {
				return errStarting
			}
			return nil
		}},
	}
	if p.log != nil {
		checks = append(checks, server.Check{Name: "audit", ReadyOnly: true, Run: func(context.Context) error { return p.log.Healthy() }})
	}
	return checks
}

// checkEtcd asks etcd for its revision and waits for the caches to have reached it.
func (p *parts) checkEtcd(ctx context.Context) error {
	_, err := p.mirror.Fresh(ctx)
	return err
}

// reloader reads a file again that may have changed.
type reloader struct {
	file   string
	reload func() (changed bool, err error)
}

// reloadEvery is how often files that hold keys, certificates and tokens are looked at.
const reloadEvery = 10 * time.Second

// reloadFiles keeps what was read from files current. A file that has become unreadable is reported, and what was last
// good stays in use.
func (p *parts) reloadFiles(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, r := range p.reload {
			switch changed, err := r.reload(); {
			case err != nil:
				p.logger.Error("a file could not be read again; what it held before stays in use", "file", r.file, "err", err)
			case changed:
				p.logger.Info("a file has changed and was read again", "file", r.file)
			}
		}
	}
}

// systemNamespaces exist from the first start on.
var systemNamespaces = []string{"default", "kube-system", "kube-public", "kube-node-lease"}

// bootstrapAtOnce is how many objects are created at once at the first start; etcd commits them together.
const bootstrapAtOnce = 16

// bootstrap creates what every cluster has: the system namespaces and the default roles and bindings. It retries until it
// succeeds or ctx ends, since etcd may come later than this server.
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
	var namespaces []resource.Object
	for _, name := range systemNamespaces {
		namespaces = append(namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	if err := p.ensureAll(ctx, "system namespaces", namespaces); err != nil {
		return err
	}
	var defaults []resource.Object
	for _, o := range rbac.Defaults() {
		defaults = append(defaults, o.(resource.Object))
	}
	return p.ensureAll(ctx, "default roles", defaults)
}

func (p *parts) ensureAll(ctx context.Context, why string, objects []resource.Object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(bootstrapAtOnce)
	for _, o := range objects {
		group.Go(func() error {
			if err := p.ensure(ctx, why, o); err != nil {
				return fmt.Errorf("%s %s: %w", why, o.GetName(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// ensure creates the object, or brings one that exists up to what is wanted of it.
func (p *parts) ensure(ctx context.Context, why string, wanted resource.Object) error {
	info, err := p.infoOf(wanted)
	if err != nil {
		return err
	}
	info.Verb = "get"
	result, err := p.resources.Get(ctx, authz.System(why, info), "0")
	if api.IsReason(err, metav1.StatusReasonNotFound) {
		err = p.write(ctx, why, "create", info, wanted)
		if !api.IsReason(err, metav1.StatusReasonAlreadyExists) {
			return err
		}
		result, err = p.resources.Get(ctx, authz.System(why, info), "")
	}
	if err != nil {
		return err
	}
	existing, err := result.Type.Decode(result.Item)
	if err != nil {
		return err
	}
	if _, isNamespace := existing.(*corev1.Namespace); isNamespace {
		return nil
	}
	update, changed := rbac.Reconcile(existing, wanted)
	if !changed {
		return nil
	}
	if !sameRole(existing, update.(resource.Object)) {
		// The role of a binding cannot be exchanged: the binding is made anew.
		info.Verb = "delete"
		err := p.audited(ctx, why, info, func(w resource.Write) error {
			_, err := p.resources.Delete(ctx, authz.System(why, info), metav1.DeleteOptions{}, w)
			return err
		})
		if err != nil {
			return err
		}
		update.(resource.Object).SetResourceVersion("")
		return p.write(ctx, why, "create", info, update.(resource.Object))
	}
	return p.write(ctx, why, "update", info, update.(resource.Object))
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

// infoOf is the request that reads the object.
func (p *parts) infoOf(o resource.Object) (api.RequestInfo, error) {
	for _, t := range p.resources.Table.Types() {
		if fmt.Sprintf("%T", t.New()) == fmt.Sprintf("%T", o) {
			return api.RequestInfo{
				IsResource: true, Group: t.Group, Version: t.Version, Resource: t.Resource, Namespace: o.GetNamespace(), Name: o.GetName(),
			}, nil
		}
	}
	return api.RequestInfo{}, fmt.Errorf("%T is not served", o)
}

func (p *parts) write(ctx context.Context, why, verb string, info api.RequestInfo, o resource.Object) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	info.Verb = verb
	return p.audited(ctx, why, info, func(w resource.Write) error {
		do := p.resources.Update
		if verb == "create" {
			info.Name = ""
			do = p.resources.Create
		}
		_, err := do(ctx, authz.System(why, info), resource.Body{Data: data}, w)
		return err
	})
}

// audited runs one write of the server's own under the same rule as a client's: its record is durable before it is executed.
func (p *parts) audited(ctx context.Context, why string, info api.RequestInfo, do func(resource.Write) error) error {
	w := resource.Write{Options: resource.WriteOptions{Validation: resource.ValidationStrict}}
	if p.log == nil {
		return do(w)
	}
	permit := authz.System(why, info)
	record, err := p.log.Begin(ctx, audit.Request{
		AuditID: uuid.NewString(), User: permit.User(), Info: info, UserAgent: "gatehouse", Received: time.Now(), AuthMethod: "internal",
		RequestURI: "internal:" + why,
	})
	if err != nil {
		return err
	}
	if err := record.Received(ctx); err != nil {
		return err
	}
	record.Annotate(audit.AnnotationDecision, "allow")
	record.Annotate(audit.AnnotationReason, why)
	w.Annotate, w.Named = record.Annotate, record.SetObject
	if err := do(w); err != nil {
		e := api.ToError(err)
		record.Finish(e.Code(), &e.Status)
		return err
	}
	record.Finish(http.StatusOK, nil)
	return nil
}

// followRoles keeps the authorization index current and fills aggregated cluster roles.
func (p *parts) followRoles(ctx context.Context) error {
	select {
	case <-p.mirror.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return follow(ctx, p.resources, "roles", p.index.ReplaceRoles, p.index.ApplyRole,
			func(r *rbacv1.Role) { p.index.DeleteRole(r.Namespace, r.Name) }, nil)
	})
	group.Go(func() error {
		return follow(ctx, p.resources, "rolebindings", p.index.ReplaceRoleBindings, p.index.ApplyRoleBinding,
			func(b *rbacv1.RoleBinding) { p.index.DeleteRoleBinding(b.Namespace, b.Name) }, nil)
	})
	group.Go(func() error {
		return follow(ctx, p.resources, "clusterrolebindings", p.index.ReplaceClusterRoleBindings, p.index.ApplyClusterRoleBinding,
			func(b *rbacv1.ClusterRoleBinding) { p.index.DeleteClusterRoleBinding(b.Name) }, nil)
	})
	group.Go(func() error {
		return follow(ctx, p.resources, "clusterroles", p.index.ReplaceClusterRoles, p.index.ApplyClusterRole,
			func(r *rbacv1.ClusterRole) { p.index.DeleteClusterRole(r.Name) }, func(all map[string]*rbacv1.ClusterRole) { p.aggregate(ctx, all) })
	})
	return group.Wait()
}

// aggregate writes the rules of aggregated roles that have changed. A conflict is no error: the change that won is seen
// next and aggregated again.
func (p *parts) aggregate(ctx context.Context, all map[string]*rbacv1.ClusterRole) {
	list := make([]*rbacv1.ClusterRole, 0, len(all))
	for _, r := range all {
		list = append(list, r)
	}
	const why = "cluster role aggregation"
	for _, r := range rbac.AggregateAll(list) {
		info, err := p.infoOf(r)
		if err == nil {
			err = p.write(ctx, why, "update", info, r)
		}
		if err != nil && !api.IsReason(err, metav1.StatusReasonConflict) && ctx.Err() == nil {
			p.logger.Warn("an aggregated cluster role could not be filled", "role", r.Name, "err", err)
		}
	}
}

// An object that cannot be decoded counts as absent: a role or binding that nobody can read grants nothing, and must not keep the
// server from starting.

// follow reads a resource of the RBAC group and tells of every change, from the whole state on. after is called with
// everything once no more changes are waiting.
func follow[T resource.Object](ctx context.Context, s *resource.Service, plural string, replace func([]T), apply, remove func(T), after func(map[string]T)) error {
	info := api.RequestInfo{IsResource: true, Group: rbacv1.GroupName, Version: "v1", Resource: plural, Verb: "watch"}
	permit := authz.System("authorization index", info)
	for {
		w, err := s.Watch(ctx, permit, resource.ListOptions{ResourceVersion: "0", Bookmarks: true, SkipBroken: true})
		if err != nil {
			return err
		}
		err = followWatch(ctx, w, replace, apply, remove, after)
		if !api.IsReason(err, metav1.StatusReasonExpired) {
			return err
		}
	}
}

func followWatch[T resource.Object](ctx context.Context, w *resource.Watch, replace func([]T), apply, remove func(T), after func(map[string]T)) error {
	all := map[string]T{}
	complete := false
	var changes []resource.Change
	for {
		var err error
		if changes, err = w.Next(ctx, changes); err != nil {
			return err
		}
		for _, c := range changes {
			if c.InitialEnd {
				complete = true
				list := make([]T, 0, len(all))
				for _, o := range all {
					list = append(list, o)
				}
				replace(list)
			}
			if c.Item == nil {
				continue
			}
			o, err := w.Type.Decode(c.Item)
			if err != nil {
				return err
			}
			deleted := c.Type == "DELETED"
			all[c.Item.Key] = o.(T)
			switch {
			case deleted:
				delete(all, c.Item.Key)
				remove(o.(T))
			case complete:
				apply(o.(T))
			}
		}
		if after != nil && complete && w.Idle() {
			after(all)
		}
	}
}
