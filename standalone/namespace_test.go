package standalone_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

const (
	account = "v1/new:serviceaccounts/default"
	rootCA  = "v1/new:configmaps/kube-root-ca.crt"
)

// TestNamespacesAreFurnished follows a namespace from its beginning: what it needs comes, comes back, and is put right.
func TestNamespacesAreFurnished(t *testing.T) {
	c := start(t)
	c.run(t, "one")
	c.must(t, "create", "v1/namespaces", `{"metadata":{"name":"new"}}`)
	furnished := func() bool {
		return c.exists(t, account) && c.exists(t, rootCA) && c.must(t, "get", rootCA, "").Data["ca.crt"] == "certificates"
	}
	c.until(t, "the namespace has everything", furnished)
	if len(c.must(t, "get", rootCA, "").Metadata.Annotations["kubernetes.io/description"]) == 0 {
		t.Error("the ConfigMap has no description")
	}
	c.must(t, "delete", account, "")
	c.must(t, "delete", rootCA, "")
	c.until(t, "it has everything again", furnished)
	c.must(t, "patch", rootCA, `{"data":{"ca.crt":"of somebody else","more":"x"}}`)
	c.until(t, "the ConfigMap is right again", func() bool { return furnished() && len(c.must(t, "get", rootCA, "").Data) == 1 })
}

// TestNamespacesEnd deletes a namespace with a pod that somebody holds: all else stays until that is gone, and the conditions say so.
func TestNamespacesEnd(t *testing.T) {
	c := start(t)
	c.run(t, "one")
	c.must(t, "create", "v1/ns:pods", `{"metadata":{"name":"p","finalizers":["example.com/hold"]},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	c.must(t, "create", "v1/ns:pods", `{"metadata":{"name":"q"},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	c.must(t, "create", "v1/ns:secrets", `{"metadata":{"name":"s"}}`)
	c.must(t, "create", "v1/ns:events", `{"metadata":{"name":"e","namespace":"ns"},"involvedObject":{"namespace":"ns"}}`)
	c.must(t, "create", "rbac.authorization.k8s.io/v1/ns:roles", `{"metadata":{"name":"r","finalizers":["example.com/hold"]}}`)
	c.must(t, "delete", "v1/namespaces/ns", "")
	condition := func(kind corev1.NamespaceConditionType) (status, message string) {
		for _, x := range c.must(t, "get", "v1/namespaces/ns", "").Status.Conditions {
			if x.Type == kind {
				return string(x.Status), x.Message
			}
		}
		return "", ""
	}
	says := func(kind corev1.NamespaceConditionType, want string) {
		t.Helper()
		c.until(t, "the namespace says "+want, func() bool {
			_, message := condition(kind)
			return message == want
		})
	}
	says(corev1.NamespaceContentRemaining, "Some resources are remaining: pods. has 1 resource instances")
	says(corev1.NamespaceFinalizersRemaining, "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
	if !c.exists(t, "v1/ns:secrets/s") || c.exists(t, "v1/ns:pods/q") {
		t.Error("pods do not go first")
	}
	c.letPodGo(t)
	says(corev1.NamespaceContentRemaining, "Some resources are remaining: roles.rbac.authorization.k8s.io has 1 resource instances")
	if status, _ := condition(corev1.NamespaceDeletionContentFailure); status != "False" {
		t.Errorf("status of the failure is %q", status)
	}
	if c.exists(t, "v1/ns:secrets/s") || c.exists(t, "v1/ns:events/e") {
		t.Error("something is left")
	}
	c.must(t, "patch", "rbac.authorization.k8s.io/v1/ns:roles/r", `{"metadata":{"finalizers":null}}`)
	c.untilGone(t, "v1/namespaces/ns")
	kvs, _, _, err := c.Mirror.Etcd().Range(t.Context(), "/registry/", "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, kv := range kvs {
		if inNamespace(kv.Key, "ns") {
			left = append(left, kv.Key)
		}
	}
	if diff := cmp.Diff([]string(nil), left); diff != "" {
		t.Errorf("left in etcd (-want +got):\n%s", diff)
	}
}

// TestUndecodableKeepsNamespace guards the data that nobody can read from being left without its namespace.
func TestUndecodableKeepsNamespace(t *testing.T) {
	c := start(t)
	if _, err := c.Mirror.Etcd().Create(t.Context(), "/registry/secrets/ns/broken", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	c.run(t, "one")
	c.must(t, "delete", "v1/namespaces/ns", "")
	c.until(t, "the namespace says what it cannot delete", func() bool {
		for _, x := range c.must(t, "get", "v1/namespaces/ns", "").Status.Conditions {
			if x.Type == corev1.NamespaceDeletionContentFailure && x.Status == "True" {
				return true
			}
		}
		return false
	})
	kv, found, _, err := c.Mirror.Etcd().Get(t.Context(), "/registry/secrets/ns/broken")
	if err != nil || !found || string(kv.Value) != "{" {
		t.Errorf("it is not there any more: %v", err)
	}
	if _, _, err := c.Mirror.Etcd().Delete(t.Context(), kv.Key, kv.Revision); err != nil {
		t.Fatal(err)
	}
	c.untilGone(t, "v1/namespaces/ns")
}
