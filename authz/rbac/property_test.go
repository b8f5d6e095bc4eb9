package rbac_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
)

// A world is a set of random RBAC objects over few names, some of which hold the characters that a careless
// key would use as separators.
type world struct {
	rnd             *rand.Rand
	roles           map[string]*rbacv1.Role
	clusterRoles    map[string]*rbacv1.ClusterRole
	bindings        map[string]*rbacv1.RoleBinding
	clusterBindings map[string]*rbacv1.ClusterRoleBinding
}

var (
	names      = []string{"a", "b", "a:b", "a/b", "a,b", "system:serviceaccount:a:b", "b:a", "", "*"}
	namespaces = []string{"a", "b", "a/b", "a:b"}
	verbs      = []string{"get", "list", "deletecollection", "*"}
	groups     = []string{"", "apps", "*"}
	resources  = []string{"pods", "pods/log", "*", "*/log", "namespaces", "*/*", "pods/*", "a/b/c"}
	paths      = []string{"/", "/a", "/a/*", "/a/b", "*", "/a**"}
)

func newWorld(seed uint64) *world {
	return &world{
		rnd:   rand.New(rand.NewPCG(seed, 1)),
		roles: map[string]*rbacv1.Role{}, clusterRoles: map[string]*rbacv1.ClusterRole{},
		bindings: map[string]*rbacv1.RoleBinding{}, clusterBindings: map[string]*rbacv1.ClusterRoleBinding{},
	}
}

func (w *world) one(list []string) string { return list[w.rnd.IntN(len(list))] }

func (w *world) some(list []string, most int) []string {
	out := make([]string, 0, most)
	for range w.rnd.IntN(most + 1) {
		out = append(out, w.one(list))
	}
	return out
}

func (w *world) rules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for range 1 + w.rnd.IntN(3) {
		r := rbacv1.PolicyRule{Verbs: w.some(verbs, 2)}
		if w.rnd.IntN(4) == 0 {
			r.NonResourceURLs = w.some(paths, 2)
		} else {
			r.APIGroups, r.Resources = w.some(groups, 2), w.some(resources, 2)
			if w.rnd.IntN(2) == 0 {
				r.ResourceNames = w.some(names, 20)
			}
		}
		rules = append(rules, r)
	}
	return rules
}

func (w *world) subjects() []rbacv1.Subject {
	var list []rbacv1.Subject
	for range w.rnd.IntN(4) {
		s := rbacv1.Subject{Kind: w.one([]string{"User", "Group", "ServiceAccount", "Robot"}), Name: w.one(names)}
		if w.rnd.IntN(2) == 0 {
			s.Namespace = w.one(namespaces)
		}
		list = append(list, s)
	}
	return list
}

// change applies one random change to the world and to the index.
func (w *world) change(x *rbac.Index) {
	namespace, name := w.one(namespaces), w.one(names)
	key := namespace + "\x00" + name
	gone := w.rnd.IntN(4) == 0
	switch kind := w.rnd.IntN(4); {
	case kind == 0 && gone:
		delete(w.roles, key)
		x.DeleteRole(namespace, name)
	case kind == 0:
		w.roles[key] = role(namespace, name, w.rules()...)
		x.ApplyRole(w.roles[key])
	case kind == 1 && gone:
		delete(w.clusterRoles, name)
		x.DeleteClusterRole(name)
	case kind == 1:
		w.clusterRoles[name] = clusterRole(name, w.rules()...)
		x.ApplyClusterRole(w.clusterRoles[name])
	case kind == 2 && gone:
		delete(w.bindings, key)
		x.DeleteRoleBinding(namespace, name)
	case kind == 2:
		ref := toRole(w.one([]string{"Role", "ClusterRole", "Group"}), w.one(names))
		w.bindings[key] = roleBinding(namespace, name, ref, w.subjects()...)
		x.ApplyRoleBinding(w.bindings[key])
	case gone:
		delete(w.clusterBindings, name)
		x.DeleteClusterRoleBinding(name)
	default:
		w.clusterBindings[name] = clusterBinding(name, w.one(names), w.subjects()...)
		x.ApplyClusterRoleBinding(w.clusterBindings[name])
	}
}

func (w *world) request() (api.User, api.RequestInfo) {
	u := user(w.one(names), w.some(names, 3)...)
	if w.rnd.IntN(4) == 0 {
		return u, path(w.one(verbs), w.one([]string{"/", "/a", "/a/b", "/a/b/c", "/ab"}))
	}
	return u, api.RequestInfo{
		IsResource: true, Verb: w.one(verbs), Group: w.one(groups), Name: w.one(names),
		Namespace: w.one(append(namespaces, "")), Resource: w.one(resources), Subresource: w.one([]string{"", "", "log", "*", "b/c"}),
	}
}

// naive is the model: the rules of RBAC read off the objects, one by one.
func (w *world) naive(u api.User, info api.RequestInfo) bool {
	allowed := false
	try := func(namespace string, subjects []rbacv1.Subject, rules []rbacv1.PolicyRule) {
		applies := slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return naiveSubject(s, namespace, u) })
		allowed = allowed || (applies && slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return naiveRule(r, info) }))
	}
	for _, b := range w.clusterBindings {
		if r := w.clusterRoles[b.RoleRef.Name]; r != nil {
			try("", b.Subjects, r.Rules)
		}
	}
	for _, b := range w.bindings {
		if !info.IsResource || b.Namespace != info.Namespace {
			continue
		}
		if r := w.clusterRoles[b.RoleRef.Name]; r != nil && b.RoleRef.Kind == "ClusterRole" {
			try(b.Namespace, b.Subjects, r.Rules)
		}
		if r := w.roles[b.Namespace+"\x00"+b.RoleRef.Name]; r != nil && b.RoleRef.Kind == "Role" {
			try(b.Namespace, b.Subjects, r.Rules)
		}
	}
	return allowed && u.Name != ""
}

func naiveSubject(s rbacv1.Subject, namespace string, u api.User) bool {
	switch s.Kind {
	case "User":
		return s.Name == u.Name
	case "Group":
		return s.Name != "" && slices.Contains(u.Groups, s.Name)
	case "ServiceAccount":
		parts := strings.Split(u.Name, ":")
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return len(parts) == 4 && parts[0]+":"+parts[1] == "system:serviceaccount" && namespace != "" && parts[2] == namespace && parts[3] == s.Name
	}
	return false
}

func naiveRule(r rbacv1.PolicyRule, info api.RequestInfo) bool {
	has := func(list []string, v string) bool { return slices.Contains(list, v) || slices.Contains(list, "*") }
	if !info.IsResource {
		return has(r.Verbs, info.Verb) && slices.ContainsFunc(r.NonResourceURLs, func(p string) bool {
			prefix := strings.TrimRight(p, "*")
			return p == info.Path || (prefix != p && strings.HasPrefix(info.Path, prefix))
		})
	}
	name := info.Name
	if info.Verb == "deletecollection" {
		name = ""
	}
	return has(r.Verbs, info.Verb) && has(r.APIGroups, info.Group) &&
		(has(r.Resources, info.ResourceWithSub()) || (info.Subresource != "" && slices.Contains(r.Resources, "*/"+info.Subresource))) &&
		(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, name))
}

// FuzzIndexEqualsModel changes a random world step by step and compares the index with the model after each
// step, and once more after the index was filled by lists.
func FuzzIndexEqualsModel(f *testing.F) {
	for seed := range uint64(70) { // 420,000 decisions in all
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w, x := newWorld(seed), rbac.New()
		allowed := 0
		for step := range 150 {
			w.change(x)
			if step == 75 {
				w.replace(x)
			}
			for range 40 {
				u, info := w.request()
				got, reason := decide(t, x, u, info)
				if want := w.naive(u, info); got != want {
					t.Fatalf("seed %d, step %d: %+v for %+v: allowed = %v (%s), want %v", seed, step, info, u, got, reason, want)
				}
				if got {
					allowed++
				}
			}
		}
		if allowed == 0 {
			t.Skip("nothing was allowed: the world says little")
		}
	})
}

// replace fills the index anew from the lists of the world, as after a lost watch.
func (w *world) replace(x *rbac.Index) {
	x.ReplaceRoles(values(w.roles))
	x.ReplaceClusterRoles(values(w.clusterRoles))
	x.ReplaceRoleBindings(values(w.bindings))
	x.ReplaceClusterRoleBindings(values(w.clusterBindings))
}

func values[V any](m map[string]V) []V {
	var list []V
	for _, v := range m {
		list = append(list, v)
	}
	return list
}

// TestReplaceForgets: what the list does not hold must not survive it.
func TestReplaceForgets(t *testing.T) {
	x := rbac.New()
	x.ApplyRole(role("dev", "old", rule("get", "", "pods")))
	x.ApplyClusterRole(clusterRole("old", rule("get", "", "nodes")))
	x.ApplyRoleBinding(roleBinding("dev", "old", toRole("Role", "old"), toUser("jane")))
	x.ApplyClusterRoleBinding(clusterBinding("old", "old", toUser("jane")))
	x.ReplaceRoleBindings(nil)
	if got, _ := decide(t, x, user("jane"), on("get", "pods", "dev", "x")); got {
		t.Error("a role binding survived its replacement")
	}
	if got, _ := decide(t, x, user("jane"), on("get", "nodes", "", "x")); !got {
		t.Error("replacing role bindings removed a cluster role binding")
	}
	x.ReplaceClusterRoles(nil)
	if got, _ := decide(t, x, user("jane"), on("get", "nodes", "", "x")); got {
		t.Error("a cluster role survived its replacement")
	}
	x.ApplyRoleBinding(roleBinding("dev", "new", toRole("Role", "old"), toUser("jane")))
	if got, _ := decide(t, x, user("jane"), on("get", "pods", "dev", "x")); !got {
		t.Error("replacing cluster roles removed a role")
	}
	x.ReplaceRoles(nil)
	if got, _ := decide(t, x, user("jane"), on("get", "pods", "dev", "x")); got {
		t.Error("a role survived its replacement")
	}
}

// TestNoDecisionSeesHalfAChange moves a binding between two groups; whoever is in both is always allowed.
func TestNoDecisionSeesHalfAChange(t *testing.T) {
	x := rbac.New()
	x.ApplyClusterRole(clusterRole("r", rule("get", "", "pods")))
	move := func(i int) {
		x.ApplyClusterRoleBinding(clusterBinding("b", "r", toGroup([]string{"red", "blue"}[i%2])))
	}
	move(0)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d, _, _ := x.Authorize(context.Background(), user("jane", "blue", "red"), on("get", "pods", "a", "x")); d != authz.Allow {
					t.Errorf("decision %v between two versions", d)
					return
				}
			}
		})
	}
	for i := range 2000 {
		move(i)
		x.ApplyClusterRoleBinding(clusterBinding(fmt.Sprint("other", i), "r", toGroup("blue"), toUser("u")))
		x.DeleteClusterRoleBinding(fmt.Sprint("other", i-5))
	}
	close(stop)
	readers.Wait()
}
