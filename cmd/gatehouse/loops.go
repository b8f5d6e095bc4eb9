package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
	"github.com/gatehouse/gatehouse/resource"
)

// The loops that run beside the requests. Each is safe to run in every replica: all writes are guarded by
// the revision of what they were computed from.

// readiness is a flag that is set once.
type readiness struct{ done atomic.Bool }

func (r *readiness) set() { r.done.Store(true) }

var errStarting = errors.New("not finished yet")

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

// followRoles keeps the authorization index current and fills aggregated cluster roles.
func (p *parts) followRoles(ctx context.Context) error {
	select {
	case <-p.mirror.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return follow(ctx, p.resources, rbacv1.GroupName, "roles", p.index.ReplaceRoles, p.index.ApplyRole,
			func(r *rbacv1.Role) { p.index.DeleteRole(r.Namespace, r.Name) }, nil)
	})
	group.Go(func() error {
		return follow(ctx, p.resources, rbacv1.GroupName, "rolebindings", p.index.ReplaceRoleBindings, p.index.ApplyRoleBinding,
			func(b *rbacv1.RoleBinding) { p.index.DeleteRoleBinding(b.Namespace, b.Name) }, nil)
	})
	group.Go(func() error {
		return follow(ctx, p.resources, rbacv1.GroupName, "clusterrolebindings", p.index.ReplaceClusterRoleBindings, p.index.ApplyClusterRoleBinding,
			func(b *rbacv1.ClusterRoleBinding) { p.index.DeleteClusterRoleBinding(b.Name) }, nil)
	})
	group.Go(func() error {
		return follow(ctx, p.resources, rbacv1.GroupName, "clusterroles", p.index.ReplaceClusterRoles, p.index.ApplyClusterRole,
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
			err = p.write(ctx, because(why), "update", info, r)
		}
		if err != nil && !api.IsReason(err, metav1.StatusReasonConflict) && ctx.Err() == nil {
			p.logger.Warn("an aggregated cluster role could not be filled", "role", r.Name, "err", err)
		}
	}
}

// An object that cannot be decoded counts as absent: a role or binding that nobody can read grants nothing, and must not keep the
// server from starting.

// follow reads a resource and tells of every change, from the whole state on. after is called with everything once no more
// changes are waiting.
func follow[T resource.Object](ctx context.Context, s *resource.Service, group, plural string, replace func([]T), apply, remove func(T), after func(map[string]T)) error {
	info := api.RequestInfo{IsResource: true, Group: group, Version: "v1", Resource: plural, Verb: "watch"}
	permit := authz.System("index of "+plural, info)
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
