package standalone_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/standalone"
)

func propagate(policy metav1.DeletionPropagation) metav1.DeleteOptions {
	return metav1.DeleteOptions{PropagationPolicy: &policy}
}

// TestOnlyWhatHasLostItsOwnersIsCollected does one collection of one ConfigMap for each state of its owners.
func TestOnlyWhatHasLostItsOwnersIsCollected(t *testing.T) {
	c := start(t)
	c.must(t, "create", "v1/namespaces", `{"metadata":{"name":"other"}}`)
	here := string(c.must(t, "create", "v1/ns:configmaps", `{"metadata":{"name":"here"}}`).Metadata.UID)
	elsewhere := string(c.must(t, "create", "v1/other:configmaps", `{"metadata":{"name":"elsewhere"}}`).Metadata.UID)
	if _, err := c.Mirror.Etcd().Create(t.Context(), "/registry/secrets/ns/broken", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	const nobody = "11111111-1111-1111-1111-111111111111"
	tests := []struct {
		name      string
		owners    []string
		stays     bool
		uncertain bool
		left      []string // names of the owners afterwards
	}{
		{"the owner is there", []string{"v1 ConfigMap here " + here}, true, false, []string{"here"}},
		{"the owner is not there", []string{"v1 ConfigMap gone " + nobody}, false, false, nil},
		{"another one has the name of the owner", []string{"v1 ConfigMap here " + nobody}, false, false, nil},
		{"none of two is there", []string{"v1 ConfigMap gone " + nobody, "apps/v1 Deployment gone 2"}, false, false, nil},
		{"one of two is there", []string{"v1 ConfigMap gone " + nobody, "v1 ConfigMap here " + here}, true, false, []string{"here"}},
		{"of an older version of a kind that is served", []string{"apps/v1beta1 Deployment gone " + nobody}, false, false, nil},
		{"of a kind that nobody serves", []string{"example.com/v1 Thing gone " + nobody}, true, true, []string{"gone"}},
		{"of a kind that nobody serves, beside one that is gone", []string{"v1 ConfigMap gone " + nobody, "example.com/v1 Thing x 3"}, true, true, []string{"gone", "x"}},
		{"the owner is in another namespace", []string{"v1 ConfigMap elsewhere " + elsewhere}, true, true, []string{"elsewhere"}},
		{"the reference has another kind", []string{"v1 Secret here " + here}, true, true, []string{"here"}},
		{"the owner cannot be decoded", []string{"v1 Secret broken " + nobody}, true, true, []string{"broken"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := c.must(t, "create", "v1/ns:configmaps", owned("child", tt.owners...))
			once, _ := c.once(t)
			err := once.Collect(t.Context(), o.Metadata.UID)
			if errors.Is(err, standalone.ErrUncertain) != tt.uncertain || (err != nil && !tt.uncertain) {
				t.Errorf("Collect: %v", err)
			}
			if c.exists(t, "v1/ns:configmaps/child") != tt.stays {
				t.Fatalf("it stays: %v, want %v", !tt.stays, tt.stays)
			}
			if !tt.stays {
				return
			}
			var left []string
			for _, ref := range c.must(t, "get", "v1/ns:configmaps/child", "").Metadata.OwnerReferences {
				left = append(left, ref.Name)
			}
			if diff := cmp.Diff(tt.left, left); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
			c.must(t, "delete", "v1/ns:configmaps/child", "")
		})
	}
}

// TestClusterWideIsNotOwnedByNamespaced guards what belongs to no namespace from references into one.
func TestClusterWideIsNotOwnedByNamespaced(t *testing.T) {
	c := start(t)
	o := c.must(t, "create", "rbac.authorization.k8s.io/v1/clusterroles", owned("child", "v1 ConfigMap gone 1"))
	once, _ := c.once(t)
	if err := once.Collect(t.Context(), o.Metadata.UID); !errors.Is(err, standalone.ErrUncertain) {
		t.Errorf("Collect: %v", err)
	}
	if !c.exists(t, "rbac.authorization.k8s.io/v1/clusterroles/child") {
		t.Error("it was deleted")
	}
}

// TestNothingIsDoneUnrecorded guards the rule that the record comes before the effect.
func TestNothingIsDoneUnrecorded(t *testing.T) {
	c := start(t)
	o := c.must(t, "create", "v1/ns:configmaps", owned("child", "v1 ConfigMap gone 1"))
	once, r := c.once(t)
	r.fail = errors.New("the disk is full")
	if err := once.Collect(t.Context(), o.Metadata.UID); !errors.Is(err, r.fail) {
		t.Errorf("Collect: %v", err)
	}
	if !c.exists(t, "v1/ns:configmaps/child") {
		t.Error("it was deleted without a record")
	}
	r.fail = nil
	if err := once.Collect(t.Context(), o.Metadata.UID); err != nil || c.exists(t, "v1/ns:configmaps/child") {
		t.Errorf("it was not deleted: %v", err)
	}
	again := "garbage collection: delete configmaps ns/child"
	if diff := cmp.Diff([]string{again, again}, r.done); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestAdmissionIsAsked guards what policies and plugins protect: the loops are above RBAC and not above these.
func TestAdmissionIsAsked(t *testing.T) {
	c := start(t)
	o := c.must(t, "create", "v1/ns:configmaps", owned("child", "v1 ConfigMap gone 1"))
	c.refuse.Store(true)
	once, _ := c.once(t)
	if err := once.Collect(t.Context(), o.Metadata.UID); !api.IsReason(err, metav1.StatusReasonForbidden) || !c.exists(t, "v1/ns:configmaps/child") {
		t.Errorf("Collect: %v", err)
	}
}

// family makes a Deployment, a ReplicaSet of it and a Pod of that, which block the deletion of their owners.
func (c *cluster) family(t *testing.T) {
	t.Helper()
	template := `"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	d := c.must(t, "create", "apps/v1/ns:deployments", `{"metadata":{"name":"d"},"spec":{`+template+`}}`)
	r := c.must(t, "create", "apps/v1/ns:replicasets", `{"metadata":{"name":"r","ownerReferences":[
		{"apiVersion":"apps/v1","kind":"Deployment","name":"d","uid":"`+string(d.Metadata.UID)+`","blockOwnerDeletion":true}]},"spec":{`+template+`}}`)
	c.must(t, "create", "v1/ns:pods", `{"metadata":{"name":"p","finalizers":["example.com/hold"],"ownerReferences":[
		{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"`+string(r.Metadata.UID)+`","blockOwnerDeletion":true}]},
		"spec":{"containers":[{"name":"c","image":"i"}]}}`)
}

const (
	deployment = "apps/v1/ns:deployments/d"
	replicaSet = "apps/v1/ns:replicasets/r"
	pod        = "v1/ns:pods/p"
)

func (c *cluster) letPodGo(t *testing.T) {
	t.Helper()
	c.must(t, "patch", pod, `{"metadata":{"finalizers":null}}`)
}

func TestCascades(t *testing.T) {
	c := start(t)
	c.run(t, "one")
	deleting := func(path string) bool {
		return c.must(t, "get", path, "").Metadata.DeletionTimestamp != nil
	}
	t.Run("in the background the owner goes first", func(t *testing.T) {
		c.family(t)
		c.must(t, "delete", deployment, "")
		c.untilGone(t, deployment)
		c.untilGone(t, replicaSet)
		c.until(t, "the pod is being deleted", func() bool { return deleting(pod) })
		c.letPodGo(t)
		c.untilGone(t, pod)
	})
	t.Run("in the foreground the owner goes last", func(t *testing.T) {
		c.family(t)
		c.must(t, "delete", deployment, "", propagate(metav1.DeletePropagationForeground))
		c.until(t, "the pod is being deleted", func() bool { return deleting(pod) })
		if !deleting(replicaSet) || !deleting(deployment) {
			t.Error("the owners do not wait")
		}
		c.letPodGo(t)
		c.untilGone(t, deployment)
		if c.exists(t, replicaSet) || c.exists(t, pod) {
			t.Error("the owner did not wait for its dependents")
		}
	})
	t.Run("orphans stay, without their owner", func(t *testing.T) {
		c.family(t)
		c.must(t, "delete", deployment, "", propagate(metav1.DeletePropagationOrphan))
		c.untilGone(t, deployment)
		if refs := c.must(t, "get", replicaSet, "").Metadata.OwnerReferences; len(refs) > 0 {
			t.Errorf("the orphan has owners: %v", refs)
		}
		if deleting(replicaSet) || deleting(pod) {
			t.Error("orphans are deleted")
		}
		c.letPodGo(t)
	})
}

// TestCircleEnds deletes two objects that own each other in the foreground.
func TestCircleEnds(t *testing.T) {
	c := start(t)
	a := c.must(t, "create", "v1/ns:configmaps", `{"metadata":{"name":"a"}}`)
	c.must(t, "create", "v1/ns:configmaps", owned("b", "!v1 ConfigMap a "+string(a.Metadata.UID)))
	b := c.must(t, "get", "v1/ns:configmaps/b", "")
	c.must(t, "patch", "v1/ns:configmaps/a", owned("a", "!v1 ConfigMap b "+string(b.Metadata.UID)))
	c.run(t, "one")
	c.must(t, "delete", "v1/ns:configmaps/a", "", propagate(metav1.DeletePropagationForeground))
	c.untilGone(t, "v1/ns:configmaps/a")
	c.untilGone(t, "v1/ns:configmaps/b")
}

// TestStrangersDoNotHoldUpADeletion: who may write in one namespace must not be able to keep what is in another from being deleted.
func TestStrangersDoNotHoldUpADeletion(t *testing.T) {
	c := start(t)
	c.must(t, "create", "v1/namespaces", `{"metadata":{"name":"other"}}`)
	owner := string(c.must(t, "create", "v1/ns:configmaps", `{"metadata":{"name":"owner"}}`).Metadata.UID)
	c.must(t, "create", "v1/other:configmaps", owned("stranger", "!v1 ConfigMap owner "+owner))
	c.must(t, "create", "v1/ns:configmaps", owned("misnamed", "!v1 Secret owner "+owner))
	c.must(t, "create", "v1/ns:configmaps", owned("child", "!v1 ConfigMap owner "+owner))
	c.run(t, "one")
	c.must(t, "delete", "v1/ns:configmaps/owner", "", propagate(metav1.DeletePropagationForeground))
	c.untilGone(t, "v1/ns:configmaps/owner")
	if c.exists(t, "v1/ns:configmaps/child") {
		t.Error("the owner did not wait for its own dependent")
	}
}
