package rbac_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
)

func user(name string, groups ...string) api.User { return api.User{Name: name, Groups: groups} }

// on is a request for a core resource, written as in a rule ("pods/log").
func on(verb, resource, namespace, name string) api.RequestInfo {
	resource, sub, _ := strings.Cut(resource, "/")
	return api.RequestInfo{
		IsResource: true, Verb: verb, Version: "v1", Resource: resource, Subresource: sub, Namespace: namespace, Name: name,
	}
}

func in(group string, info api.RequestInfo) api.RequestInfo {
	info.Group = group
	return info
}

func path(verb, p string) api.RequestInfo { return api.RequestInfo{Verb: verb, Path: p} }

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), ResourceNames: names,
	}
}

func urls(verbs string, paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), NonResourceURLs: paths}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func toRole(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func clusterBinding(name, role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: toRole("ClusterRole", role), Subjects: subjects}
}

func roleBinding(namespace, name string, ref rbacv1.RoleRef, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: subjects}
}

func toUser(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name} }

func toGroup(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.GroupKind, Name: name} }

func toAccount(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

func decide(t *testing.T, x *rbac.Index, u api.User, info api.RequestInfo) (bool, string) {
	t.Helper()
	decision, reason, err := x.Authorize(context.Background(), u, info)
	if err != nil || decision == authz.Deny {
		t.Fatalf("Authorize = %v, %q, %v; RBAC has no denials and no errors", decision, reason, err)
	}
	return decision == authz.Allow, reason
}

// TestRules binds one rule to one user and asks what it covers.
func TestRules(t *testing.T) {
	tests := []struct {
		name string
		rule rbacv1.PolicyRule
		info api.RequestInfo
		want bool
	}{
		{"verb, group and resource match", rule("get,list", "", "pods"), on("list", "pods", "a", ""), true},
		{"another verb", rule("get,list", "", "pods"), on("delete", "pods", "a", "x"), false},
		{"a verb is no prefix of another", rule("delete", "", "pods"), on("deletecollection", "pods", "a", ""), false},
		{"any verb", rule("*", "", "pods"), on("frobnicate", "pods", "a", "x"), true},
		{"a rule for namespaces of another group is not one for the core group", rule("*", "example.com", "namespaces"), on("get", "namespaces", "a", "a"), false},
		{"a rule for the core group is not one for another group", rule("*", "", "namespaces"), in("example.com", on("get", "namespaces", "a", "a")), false},
		{"any group", rule("get", "*", "pods"), in("metrics.k8s.io", on("get", "pods", "a", "x")), true},
		{"any resource includes subresources", rule("get", "", "*"), on("get", "pods/log", "a", "x"), true},
		{"a resource does not include its subresources", rule("get", "", "pods"), on("get", "pods/log", "a", "x"), false},
		{"a subresource does not include its resource", rule("get", "", "pods/log"), on("get", "pods", "a", "x"), false},
		{"a subresource by name", rule("get", "", "pods/log"), on("get", "pods/log", "a", "x"), true},
		{"a subresource of every resource", rule("update", "*", "*/scale"), in("apps", on("update", "deployments/scale", "a", "x")), true},
		{"a subresource of every resource is not another one", rule("update", "*", "*/scale"), in("apps", on("update", "deployments/status", "a", "x")), false},
		{"a subresource of every resource is not the resource", rule("get", "*", "*/scale"), in("apps", on("get", "deployments", "a", "x")), false},
		{"pods/* is no wildcard", rule("get", "", "pods/*"), on("get", "pods/log", "a", "x"), false},
		{"a resource named like the wildcard needs the wildcard", rule("get", "", "pods"), on("get", "*", "a", "x"), false},
		{"a review may join resource and subresource", rule("get", "", "pods/log"), api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods/log"}, true},
		{"a joined resource does not match */log", rule("get", "", "*/log"), api.RequestInfo{IsResource: true, Verb: "get", Resource: "pods/log"}, false},
		{"a name listed", rule("get", "", "secrets", "a", "b"), on("get", "secrets", "n", "b"), true},
		{"a name not listed", rule("get", "", "secrets", "a", "b"), on("get", "secrets", "n", "c"), false},
		{"a list has no name", rule("list", "", "secrets", "a"), on("list", "secrets", "n", ""), false},
		{"a list pinned to a listed name", rule("list,watch", "", "secrets", "a"), on("list", "secrets", "n", "a"), true},
		{"a create has no name", rule("create", "", "secrets", "a"), on("create", "secrets", "n", ""), false},
		{"deletecollection is never by name", rule("deletecollection", "", "secrets", "a"), on("deletecollection", "secrets", "n", "a"), false},
		{"more names than are scanned", rule("get", "", "secrets", strings.Split("q w e r t y u i o p a s d f g h j k l", " ")...), on("get", "secrets", "n", "g"), true},
		{"not among many names", rule("get", "", "secrets", strings.Split("q w e r t y u i o p a s d f g h j k l", " ")...), on("get", "secrets", "n", "z"), false},
		{"a path by equality", urls("get", "/healthz"), path("get", "/healthz"), true},
		{"a path is no prefix without a star", urls("get", "/healthz"), path("get", "/healthz/etcd"), false},
		{"a path by prefix", urls("get", "/healthz/*"), path("get", "/healthz/etcd"), true},
		{"the prefix includes its slash", urls("get", "/healthz/*"), path("get", "/healthz"), false},
		{"a star in the middle is literal", urls("get", "/a/*/c"), path("get", "/a/b/c"), false},
		{"every path", urls("*", "*"), path("post", "/anything"), true},
		{"a path with another verb", urls("get", "*"), path("post", "/anything"), false},
		{"a resource rule grants no path", rule("*", "*", "*"), path("get", "/metrics"), false},
		{"a path rule grants no resource", urls("*", "*"), on("get", "pods", "a", "x"), false},
		{"no verbs, no grant", rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}}, on("get", "pods", "a", "x"), false},
		{"no groups, no grant", rbacv1.PolicyRule{Verbs: []string{"*"}, Resources: []string{"*"}}, on("get", "pods", "a", "x"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := rbac.New()
			x.ApplyClusterRole(clusterRole("r", tt.rule))
			x.ApplyClusterRoleBinding(clusterBinding("b", "r", toUser("jane")))
			if got, reason := decide(t, x, user("jane"), tt.info); got != tt.want {
				t.Errorf("allowed = %v (%s), want %v", got, reason, tt.want)
			}
		})
	}
}

func TestSubjectsAndScopes(t *testing.T) {
	x := rbac.New()
	x.ApplyClusterRole(clusterRole("reader", rule("get", "", "pods"), urls("get", "/metrics")))
	x.ApplyRole(role("dev", "writer", rule("update", "", "pods")))
	x.ApplyRole(role("prod", "writer", rule("delete", "", "pods")))
	x.ApplyClusterRoleBinding(clusterBinding("everywhere", "reader", toUser("root"), toGroup("ops"), toAccount("kube-system", "agent")))
	x.ApplyRoleBinding(roleBinding("dev", "here", toRole("ClusterRole", "reader"), toUser("jane"), toAccount("", "local"), toAccount("ci", "bot")))
	x.ApplyRoleBinding(roleBinding("dev", "write", toRole("Role", "writer"), toGroup("devs")))
	x.ApplyClusterRoleBinding(clusterBinding("colons", "reader", toAccount("a:b", "c"), toAccount("d", "e:f")))
	get := func(namespace string) api.RequestInfo { return on("get", "pods", namespace, "x") }
	tests := []struct {
		name   string
		user   api.User
		info   api.RequestInfo
		reason string // "" where it is not allowed
	}{
		{"a user cluster-wide", user("root"), get("any"), `RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to User "root"`},
		{"cluster-wide without a namespace", user("root"), get(""), `RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to User "root"`},
		{"a group", user("bob", "x", "ops"), get("any"), `RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to Group "ops"`},
		{"a user named like a group", user("ops"), get("any"), ""},
		{"a group named like a user", user("bob", "root"), get("any"), ""},
		{"a service account", user("system:serviceaccount:kube-system:agent"), get("any"), `RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to ServiceAccount "agent/kube-system"`},
		{"the same account name elsewhere", user("system:serviceaccount:default:agent"), get("any"), ""},
		{"in the namespace of the binding", user("jane"), get("dev"), `RBAC: allowed by RoleBinding "here/dev" of ClusterRole "reader" to User "jane"`},
		{"in another namespace", user("jane"), get("prod"), ""},
		{"across all namespaces", user("jane"), get(""), ""},
		{"an account of the binding's namespace", user("system:serviceaccount:dev:local"), get("dev"), `RBAC: allowed by RoleBinding "here/dev" of ClusterRole "reader" to ServiceAccount "local/dev"`},
		{"an account of another namespace", user("system:serviceaccount:ci:bot"), get("dev"), `RBAC: allowed by RoleBinding "here/dev" of ClusterRole "reader" to ServiceAccount "bot/ci"`},
		{"a role binding grants no path", user("jane"), path("get", "/metrics"), ""},
		{"a role binding grants no path, whatever namespace is given", user("jane"), api.RequestInfo{Verb: "get", Path: "/metrics", Namespace: "dev"}, ""},
		{"a role is looked up in the binding's namespace", user("bob", "devs"), on("update", "pods", "dev", "x"), `RBAC: allowed by RoleBinding "write/dev" of Role "writer" to Group "devs"`},
		{"a role of the same name elsewhere grants nothing", user("bob", "devs"), on("delete", "pods", "dev", "x"), ""},
		{"a namespace with a colon is no account", user("system:serviceaccount:a:b:c"), get("any"), ""},
		{"an account with a colon is none", user("system:serviceaccount:d:e:f"), get("any"), ""},
		{"nobody, though in the group", user("", "ops"), get("any"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allowed, reason := decide(t, x, tt.user, tt.info)
			if allowed != (tt.reason != "") || reason != tt.reason {
				t.Errorf("allowed = %v, reason %q; want reason %q", allowed, reason, tt.reason)
			}
		})
	}
}

// TestChanges follows one binding and its role through their lives.
func TestChanges(t *testing.T) {
	x := rbac.New()
	info := on("get", "pods", "dev", "x")
	expect := func(step string, name string, want bool, wantReason string) {
		t.Helper()
		if got, reason := decide(t, x, user(name), info); got != want || (wantReason != "" && reason != wantReason) {
			t.Errorf("%s: %s allowed = %v with reason %q, want %v with %q", step, name, got, reason, want, wantReason)
		}
	}
	x.ApplyRoleBinding(roleBinding("dev", "b", toRole("Role", "r"), toUser("jane")))
	expect("no role yet", "jane", false, `RBAC: role.rbac.authorization.k8s.io "r" not found`)
	x.ApplyRole(role("dev", "r", rule("get", "", "pods")))
	expect("role exists", "jane", true, "")
	x.ApplyRole(role("dev", "r", rule("list", "", "pods")))
	expect("role changed", "jane", false, "")
	x.ApplyRole(role("dev", "r", rule("get", "", "pods")))
	x.ApplyRoleBinding(roleBinding("dev", "b", toRole("Role", "r"), toUser("bob")))
	expect("subject replaced", "jane", false, "")
	expect("subject replaced", "bob", true, "")
	x.DeleteRole("dev", "r")
	expect("role deleted", "bob", false, `RBAC: role.rbac.authorization.k8s.io "r" not found`)
	x.ApplyRole(role("dev", "r", rule("get", "", "pods")))
	x.DeleteRoleBinding("dev", "b")
	expect("binding deleted", "bob", false, "")
	x.DeleteRoleBinding("dev", "b") // again: nothing happens

	x.ApplyClusterRoleBinding(clusterBinding("c", "r", toUser("bob")))
	x.ApplyClusterRoleBinding(clusterBinding("d", "s", toUser("bob")))
	expect("a Role is no ClusterRole", "bob", false,
		`RBAC: [clusterrole.rbac.authorization.k8s.io "r" not found, clusterrole.rbac.authorization.k8s.io "s" not found]`)
	x.ApplyClusterRole(clusterRole("r", rule("get", "", "pods")))
	expect("cluster role exists", "bob", true, "")
	x.DeleteClusterRole("r")
	x.ApplyClusterRole(clusterRole("s", rule("get", "", "pods")))
	expect("one of two", "bob", true, "")
	x.DeleteClusterRoleBinding("d")
	expect("the other", "bob", false, `RBAC: clusterrole.rbac.authorization.k8s.io "r" not found`)
}

// TestObjectsWithoutNamespace: were these taken as cluster-wide, a namespaced right would hold everywhere.
func TestObjectsWithoutNamespace(t *testing.T) {
	x := rbac.New()
	x.ApplyRole(role("", "r", rule("*", "*", "*")))
	x.ApplyClusterRoleBinding(clusterBinding("b", "r", toUser("jane")))
	if got, _ := decide(t, x, user("jane"), on("get", "pods", "a", "x")); got {
		t.Error("a Role without a namespace counted as a ClusterRole")
	}
	x = rbac.New()
	x.ApplyClusterRole(clusterRole("r", rule("*", "*", "*")))
	x.ApplyRoleBinding(roleBinding("", "b", toRole("ClusterRole", "r"), toUser("jane")))
	x.ReplaceRoleBindings([]*rbacv1.RoleBinding{roleBinding("", "b", toRole("ClusterRole", "r"), toUser("jane"))})
	if got, _ := decide(t, x, user("jane"), on("get", "pods", "a", "x")); got {
		t.Error("a RoleBinding without a namespace counted as a ClusterRoleBinding")
	}
	x.ApplyClusterRoleBinding(clusterBinding("b", "r", toUser("jane")))
	x.DeleteRole("", "r")
	x.DeleteRoleBinding("", "b")
	if got, _ := decide(t, x, user("jane"), on("get", "pods", "a", "x")); !got {
		t.Error("deleting a namespaced object without a namespace removed the cluster-wide one")
	}
}

func TestBadRoleRefs(t *testing.T) {
	bad := []rbacv1.RoleRef{
		{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "r"},
		{APIGroup: "example.com", Kind: "ClusterRole", Name: "r"},
	}
	for _, ref := range bad {
		x := rbac.New()
		x.ApplyClusterRole(clusterRole("r", rule("*", "*", "*")))
		x.ApplyRoleBinding(roleBinding("a", "b", ref, toUser("jane")))
		got, reason := decide(t, x, user("jane"), on("get", "pods", "a", "x"))
		if got || !strings.HasPrefix(reason, "RBAC: unsupported role reference") {
			t.Errorf("%v: allowed = %v, reason %q", ref, got, reason)
		}
	}
}

func TestManyMissingRoles(t *testing.T) {
	x := rbac.New()
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		x.ApplyClusterRoleBinding(clusterBinding(name, name, toUser("jane")))
	}
	_, reason := decide(t, x, user("jane"), on("get", "pods", "a", "x"))
	if n := strings.Count(reason, "not found"); n != 16 || !strings.HasSuffix(reason, ", and more]") {
		t.Errorf("reason mentions %d roles: %s", n, reason)
	}
}

func TestRulesFor(t *testing.T) {
	x := rbac.New()
	everywhere, here := rule("get", "", "pods"), rule("update", "", "pods")
	x.ApplyClusterRole(clusterRole("everywhere", everywhere))
	x.ApplyClusterRoleBinding(clusterBinding("b", "everywhere", toGroup("devs")))
	x.ApplyRole(role("dev", "here", here))
	x.ApplyRoleBinding(roleBinding("dev", "b", toRole("Role", "here"), toUser("jane")))
	x.ApplyRoleBinding(roleBinding("prod", "b", toRole("Role", "gone"), toUser("jane")))
	tests := []struct {
		namespace string
		want      []rbacv1.PolicyRule
		missing   string
	}{
		{"dev", []rbacv1.PolicyRule{everywhere, here}, ""},
		{"", []rbacv1.PolicyRule{everywhere}, ""},
		{"prod", []rbacv1.PolicyRule{everywhere}, `role.rbac.authorization.k8s.io "gone" not found`},
	}
	for _, tt := range tests {
		got, err := x.RulesFor(user("jane", "devs"), tt.namespace)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("namespace %q (-want +got):\n%s", tt.namespace, diff)
		}
		if (err == nil) != (tt.missing == "") || (err != nil && err.Error() != tt.missing) {
			t.Errorf("namespace %q: error %v, want %q", tt.namespace, err, tt.missing)
		}
	}
}

func TestRoleRules(t *testing.T) {
	x := rbac.New()
	x.ApplyRole(role("dev", "r", rule("get", "", "pods")))
	if got, err := x.RoleRules(toRole("Role", "r"), "dev"); err != nil || len(got) != 1 {
		t.Errorf("RoleRules = %v, %v", got, err)
	}
	if _, err := x.RoleRules(toRole("Role", "r"), "prod"); !api.IsReason(err, metav1.StatusReasonNotFound) {
		t.Errorf("a role of another namespace: error %v, want NotFound", err)
	}
	if _, err := x.RoleRules(toRole("Role", "r"), ""); err == nil {
		t.Error("a cluster-wide binding cannot refer to a Role")
	}
}
