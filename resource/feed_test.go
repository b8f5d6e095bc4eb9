package resource_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// TestFeedTakesASystemPermit guards the caches, which hold what many must not read, from being followed on a client's behalf.
func TestFeedTakesASystemPermit(t *testing.T) {
	c := start(t)
	system := func(verb, path string) authz.Permit { return authz.System("test", target(verb, path)) }
	tests := []struct {
		name   string
		permit authz.Permit
		ok     bool
	}{
		{"the server itself", system("watch", "/api/v1/secrets"), true},
		{"nobody", authz.Permit{}, false},
		{"a client who may watch", c.permit(t, "watch", "/api/v1/secrets"), false},
		{"a permit for another verb", system("list", "/api/v1/secrets"), false},
		{"a permit for one namespace", system("watch", "/api/v1/namespaces/ns/secrets"), false},
		{"a resource that another one stores", system("watch", "/apis/autoscaling/v1/horizontalpodautoscalers"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := c.Feed(tt.permit); (err == nil) != tt.ok {
				t.Errorf("Feed: %v", err)
			}
		})
	}
}

// TestFeed reads a feed through the life of an object, beside one that cannot be decoded.
func TestFeed(t *testing.T) {
	c := start(t)
	if _, err := c.Mirror.Etcd().Create(t.Context(), "/registry/configmaps/default/broken", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	f, err := c.Feed(authz.System("test", target("watch", "/api/v1/configmaps")))
	if err != nil {
		t.Fatal(err)
	}
	seen := func() (list []string) {
		t.Helper()
		if _, err := c.Mirror.Fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := f.Poll(func(m *resource.Metadata, removed bool) {
			switch {
			case m.Err != nil:
				list = append(list, m.Key+" broken")
			case removed:
				list = append(list, m.Key+" removed")
			default:
				list = append(list, m.Key)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	const key = "/registry/configmaps/default/x"
	check := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, seen()); diff != "" {
			t.Errorf("seen (-want +got):\n%s", diff)
		}
	}
	check("/registry/configmaps/default/broken broken")
	c.must(t, "create", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"x","finalizers":["a.b/c"]}}`)
	check(key)
	if m := f.Get("default", "x"); m == nil || m.UID == "" || !cmp.Equal(m.Finalizers, []string{"a.b/c"}) || f.Key("default", "x") != key {
		t.Errorf("Get: %+v", m)
	}
	c.must(t, "patch", "/api/v1/namespaces/default/configmaps/x", `{"metadata":{"finalizers":null}}`)
	c.must(t, "delete", "/api/v1/namespaces/default/configmaps/x", "")
	check(key, key+" removed")
	check()
	if _, err := f.Any("default", "nothing", func(resource.Object) bool { return false }); err == nil {
		t.Error("an object that cannot be decoded was passed over")
	}
	var own *api.Error
	if _, err := f.Object("default", "broken"); err == nil || errors.As(err, &own) && own.Reason() == metav1.StatusReasonNotFound {
		t.Errorf("Object: %v", err)
	}
}
