package rbac_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz/rbac"
)

func withDefaults() *rbac.Index {
	x := rbac.New()
	for _, o := range rbac.Defaults() {
		switch o := o.(type) {
		case *rbacv1.ClusterRole:
			x.ApplyClusterRole(o)
		case *rbacv1.Role:
			x.ApplyRole(o)
		case *rbacv1.ClusterRoleBinding:
			x.ApplyClusterRoleBinding(o)
		case *rbacv1.RoleBinding:
			x.ApplyRoleBinding(o)
		}
	}
	return x
}

func defaultRole(t *testing.T, name string) *rbacv1.ClusterRole {
	t.Helper()
	for _, o := range rbac.Defaults() {
		if r, ok := o.(*rbacv1.ClusterRole); ok && r.Name == name {
			return r
		}
	}
	t.Fatalf("no default cluster role %q", name)
	return nil
}

// TestDefaultsEqualReference compares the table with what kube-apiserver 1.36.3 created on an empty etcd: one
// object per line, without uid, times and versions. There the aggregated roles are empty, as another process
// fills them.
func TestDefaultsEqualReference(t *testing.T) {
	want := map[string]runtime.Object{}
	for _, o := range readGolden(t) {
		want[objectKey(t, o)] = o
	}
	got := map[string]runtime.Object{}
	for _, o := range rbac.Defaults() {
		if r, ok := o.(*rbacv1.ClusterRole); ok && r.AggregationRule != nil {
			if len(r.Rules) == 0 {
				t.Errorf("aggregated role %s has no rules", r.Name)
			}
			r.Rules = nil
		}
		key := objectKey(t, o)
		if got[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		got[key] = o
	}
	if len(want) != 133 {
		t.Errorf("golden file has %d objects, want 133", len(want))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("defaults differ from the reference (-want +got):\n%s", diff)
	}
}

func readGolden(t *testing.T) []runtime.Object {
	t.Helper()
	data, err := os.ReadFile("testdata/defaults-1.36.3.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var head struct{ Kind string }
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil {
			t.Fatal(err)
		}
		o := map[string]runtime.Object{
			"ClusterRole": &rbacv1.ClusterRole{}, "ClusterRoleBinding": &rbacv1.ClusterRoleBinding{},
			"Role": &rbacv1.Role{}, "RoleBinding": &rbacv1.RoleBinding{},
		}[head.Kind]
		strict := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		strict.DisallowUnknownFields()
		if err := strict.Decode(o); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	return objects
}

func objectKey(t *testing.T, o runtime.Object) string {
	t.Helper()
	switch o := o.(type) {
	case *rbacv1.ClusterRole:
		return o.Kind + " " + o.Name
	case *rbacv1.Role:
		return o.Kind + " " + o.Namespace + "/" + o.Name
	case *rbacv1.ClusterRoleBinding:
		return o.Kind + " " + o.Name
	case *rbacv1.RoleBinding:
		return o.Kind + " " + o.Namespace + "/" + o.Name
	}
	t.Fatalf("unexpected %T", o)
	return ""
}

// TestDefaultsAreFresh: a caller that edits its objects must not edit everybody's.
func TestDefaultsAreFresh(t *testing.T) {
	defaultRole(t, "cluster-admin").Rules[0].Verbs[0] = "get"
	if got := defaultRole(t, "cluster-admin").Rules[0].Verbs[0]; got != "*" {
		t.Errorf("cluster-admin lost its verb to another caller: %q", got)
	}
}

// TestDefaultsInUse asks what people rely on in a fresh cluster.
func TestDefaultsInUse(t *testing.T) {
	x := withDefaults()
	for _, tenant := range []string{"admin", "edit", "view"} {
		x.ApplyRoleBinding(roleBinding("dev", tenant, toRole("ClusterRole", tenant), toUser(tenant)))
	}
	authenticated := user("jane", api.GroupAuthenticated)
	tests := []struct {
		name string
		user api.User
		info api.RequestInfo
		want bool
	}{
		{"everybody may ask for their rights", authenticated, in("authorization.k8s.io", on("create", "selfsubjectaccessreviews", "", "")), true},
		{"everybody may discover", authenticated, path("get", "/apis/apps/v1"), true},
		{"nobody sees metrics by default", authenticated, path("get", "/metrics"), false},
		{"health is for the anonymous too", user(api.UserAnonymous, api.GroupUnauthenticated), path("get", "/livez"), true},
		{"discovery is not for the anonymous", user(api.UserAnonymous, api.GroupUnauthenticated), path("get", "/api"), false},
		{"the scheduler binds pods", user("system:kube-scheduler"), on("create", "pods/binding", "dev", "p"), true},
		{"nodes get nothing from RBAC", user("system:node:n1", "system:nodes"), on("get", "nodes", "", "n1"), false},
		{"a controller by its service account", user("system:serviceaccount:kube-system:replicaset-controller"), on("create", "pods", "dev", ""), true},
		{"view reads pods", user("view"), on("list", "pods", "dev", ""), true},
		{"view reads no secrets", user("view"), on("get", "secrets", "dev", "s"), false},
		{"edit includes view", user("edit"), on("get", "pods/log", "dev", "p"), true},
		{"edit grants nothing", user("edit"), in(rbacv1.GroupName, on("create", "rolebindings", "dev", "")), false},
		{"edit writes no endpoints", user("edit"), on("update", "endpoints", "dev", "e"), false},
		{"edit writes no endpoint slices", user("edit"), in("discovery.k8s.io", on("update", "endpointslices", "dev", "e")), false},
		{"admin includes edit and view", user("admin"), on("get", "pods/log", "dev", "p"), true},
		{"admin grants in its namespace", user("admin"), in(rbacv1.GroupName, on("create", "rolebindings", "dev", "")), true},
		{"admin is nobody elsewhere", user("admin"), on("get", "pods", "prod", "p"), false},
		{"no default role but the full one reaches nodes/proxy", user("admin"), on("get", "nodes/proxy", "", "n"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, reason := decide(t, x, tt.user, tt.info); got != tt.want {
				t.Errorf("allowed = %v (%s), want %v", got, reason, tt.want)
			}
		})
	}
}
