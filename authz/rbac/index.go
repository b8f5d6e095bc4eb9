// Package rbac decides requests by the role-based access control objects of the Kubernetes API
// (rbac.authorization.k8s.io/v1): Role, ClusterRole, RoleBinding and ClusterRoleBinding.
//
// An [Index] holds what those objects grant and answers as an authz.Authorizer that can allow but never deny.
// A decision looks only at the bindings of the user, of the user's groups and of the service account the user
// is, in the namespace of the request and in the cluster; how many other bindings exist does not matter.
// Readers take no lock and see one consistent version; each Apply, Delete and Replace publishes a new version.
//
// The package also holds what belongs to the model: aggregation of ClusterRoles ([Aggregate]), the check
// against granting more than one holds ([Index.Covers]), and the default roles and bindings with their
// reconciliation ([Defaults], [Reconcile]).
//
// Limits: selectors of a request are ignored, as RBAC has no notion of them. Paths are compared as
// api.RequestInfo has them, without a trailing slash. Objects are expected to be valid; what an invalid one
// means is decided towards granting nothing.
package rbac

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Index holds compiled roles and bindings. It is safe for concurrent use; make it with [New].
//
// Objects given to an Index are kept and must not be changed afterwards.
type Index struct {
	seed    maphash.Seed
	current atomic.Pointer[snapshot]

	mu       sync.Mutex       // serialises writers and guards the two maps
	roles    map[ref]*role    // what snapshot.roles is built from
	bindings map[ref]*binding // what snapshot.grants is built from
}

// A snapshot is one immutable version of the index.
type snapshot struct {
	roles trie[ref, *role]
	// grants are in order of arrival. A list may share its backing array with an older version of itself that
	// ends earlier; only the newest version is ever appended to.
	grants trie[subject, []*grant]
}

// New returns an empty index, which allows nothing.
func New() *Index {
	x := &Index{seed: maphash.MakeSeed(), roles: make(map[ref]*role), bindings: make(map[ref]*binding)}
	x.current.Store(&snapshot{})
	return x
}

// ApplyRole adds or replaces a role. A role without a namespace is ignored, lest it count as a ClusterRole.
func (x *Index) ApplyRole(r *rbacv1.Role) {
	if r.Namespace != "" {
		x.setRole(ref{r.Namespace, r.Name}, compile(r.Rules))
	}
}

// ApplyClusterRole adds or replaces a cluster role, with the rules it has; see [Aggregate] for those it should
// have.
func (x *Index) ApplyClusterRole(r *rbacv1.ClusterRole) {
	x.setRole(ref{name: r.Name}, compile(r.Rules))
}

// DeleteRole removes a role. Bindings to it grant nothing until it exists again.
func (x *Index) DeleteRole(namespace, name string) {
	if namespace != "" {
		x.setRole(ref{namespace, name}, nil)
	}
}

// DeleteClusterRole removes a cluster role. Bindings to it grant nothing until it exists again.
func (x *Index) DeleteClusterRole(name string) { x.setRole(ref{name: name}, nil) }

// ApplyRoleBinding adds or replaces a binding. One without a namespace is ignored, lest it count as a
// ClusterRoleBinding.
func (x *Index) ApplyRoleBinding(b *rbacv1.RoleBinding) {
	if b.Namespace != "" {
		x.setBinding(ref{b.Namespace, b.Name}, newBinding(x.seed, b.Namespace, b.Name, b.RoleRef, b.Subjects))
	}
}

// ApplyClusterRoleBinding adds or replaces a cluster-wide binding.
func (x *Index) ApplyClusterRoleBinding(b *rbacv1.ClusterRoleBinding) {
	x.setBinding(ref{name: b.Name}, newBinding(x.seed, "", b.Name, b.RoleRef, b.Subjects))
}

// DeleteRoleBinding removes a binding and what it grants.
func (x *Index) DeleteRoleBinding(namespace, name string) {
	if namespace != "" {
		x.setBinding(ref{namespace, name}, nil)
	}
}

// DeleteClusterRoleBinding removes a cluster-wide binding and what it grants.
func (x *Index) DeleteClusterRoleBinding(name string) { x.setBinding(ref{name: name}, nil) }

// setRole publishes a version in which the role is r, or is gone where r is nil.
func (x *Index) setRole(key ref, r *role) {
	x.mu.Lock()
	defer x.mu.Unlock()
	next := *x.current.Load()
	hash := hashOf(x.seed, key)
	if r == nil {
		delete(x.roles, key)
		next.roles = next.roles.without(hash, key)
	} else {
		x.roles[key] = r
		next.roles = next.roles.with(hash, key, r)
	}
	x.current.Store(&next)
}

// setBinding publishes a version in which the binding is b, or is gone where b is nil. Old and new grants
// change places at once: no decision sees half a binding.
func (x *Index) setBinding(key ref, b *binding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	next := *x.current.Load()
	if old := x.bindings[key]; old != nil {
		for i := range old.grants {
			next.grants = x.revoke(next.grants, &old.grants[i])
		}
		delete(x.bindings, key)
	}
	if b != nil {
		x.bindings[key] = b
		for i := range b.grants {
			g := &b.grants[i]
			hash := hashOf(x.seed, g.subject)
			list, _ := next.grants.get(hash, g.subject)
			next.grants = next.grants.with(hash, g.subject, append(list, g))
		}
	}
	x.current.Store(&next)
}

func (x *Index) revoke(grants trie[subject, []*grant], g *grant) trie[subject, []*grant] {
	hash := hashOf(x.seed, g.subject)
	list, _ := grants.get(hash, g.subject)
	rest := make([]*grant, 0, len(list))
	for _, other := range list {
		if other != g {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		return grants.without(hash, g.subject)
	}
	return grants.with(hash, g.subject, rest)
}

// ReplaceRoles makes the given roles the only ones, in one version; cluster roles stay. Its cost, like that of
// the other Replace methods, grows with the whole index: it is for a fresh list, not for one change.
func (x *Index) ReplaceRoles(list []*rbacv1.Role) {
	x.rebuild(func() {
		dropKeys(x.roles, func(key ref) bool { return key.namespace != "" })
		for _, r := range list {
			if r.Namespace != "" {
				x.roles[ref{r.Namespace, r.Name}] = compile(r.Rules)
			}
		}
	})
}

// ReplaceClusterRoles makes the given cluster roles the only ones, in one version; roles stay.
func (x *Index) ReplaceClusterRoles(list []*rbacv1.ClusterRole) {
	x.rebuild(func() {
		dropKeys(x.roles, func(key ref) bool { return key.namespace == "" })
		for _, r := range list {
			x.roles[ref{name: r.Name}] = compile(r.Rules)
		}
	})
}

// ReplaceRoleBindings makes the given bindings the only namespaced ones, in one version.
func (x *Index) ReplaceRoleBindings(list []*rbacv1.RoleBinding) {
	x.rebuild(func() {
		dropKeys(x.bindings, func(key ref) bool { return key.namespace != "" })
		for _, b := range list {
			if b.Namespace != "" {
				x.bindings[ref{b.Namespace, b.Name}] = newBinding(x.seed, b.Namespace, b.Name, b.RoleRef, b.Subjects)
			}
		}
	})
}

// ReplaceClusterRoleBindings makes the given bindings the only cluster-wide ones, in one version.
func (x *Index) ReplaceClusterRoleBindings(list []*rbacv1.ClusterRoleBinding) {
	x.rebuild(func() {
		dropKeys(x.bindings, func(key ref) bool { return key.namespace == "" })
		for _, b := range list {
			x.bindings[ref{name: b.Name}] = newBinding(x.seed, "", b.Name, b.RoleRef, b.Subjects)
		}
	})
}

// rebuild lets change edit the maps and publishes a version made from them.
func (x *Index) rebuild(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	next := &snapshot{}
	for key, r := range x.roles {
		next.roles.set(hashOf(x.seed, key), key, r)
	}
	for _, b := range sorted(x.bindings) {
		for i := range b.grants {
			g := &b.grants[i]
			hash := hashOf(x.seed, g.subject)
			list, _ := next.grants.get(hash, g.subject)
			next.grants.set(hash, g.subject, append(list, g))
		}
	}
	x.current.Store(next)
}

// sorted returns the bindings by namespace and name, so that the binding named in a reason does not change
// from one start to the next.
func sorted(bindings map[ref]*binding) []*binding {
	list := make([]*binding, 0, len(bindings))
	for _, b := range bindings {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b *binding) int { return a.compare(b.ref) })
	return list
}

func dropKeys[V any](m map[ref]V, drop func(ref) bool) {
	for key := range m {
		if drop(key) {
			delete(m, key)
		}
	}
}
