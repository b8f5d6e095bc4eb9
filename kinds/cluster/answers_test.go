package cluster_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/kinds/cluster"
	"github.com/gatehouse/gatehouse/rules"
	"github.com/gatehouse/gatehouse/rules/casetest"
)

// answers is a file of what kube-apiserver answers to writes of objects of one kind.
type answers struct {
	// Base is an object that is accepted. The cases say what they change in it, as a merge patch.
	Base  map[string]any
	Cases []struct {
		Name string
		// Update tells that the base is there already and Change is what a client does to it, through Sub if that is set.
		Update bool
		Sub    string
		Change map[string]any
		// Causes are "field: message" in their order. There are no warnings about what is refused.
		Causes, Warnings []string
		// Becomes is what is stored, without metadata and times.
		Becomes map[string]any
	}
}

func TestAnswers(t *testing.T) {
	testAnswers[corev1.ConfigMap](t, "configmap", cluster.ConfigMap())
	testAnswers[corev1.ConfigMap](t, "configmap_frozen", cluster.ConfigMap())
	testAnswers[corev1.Secret](t, "secret", cluster.Secret())
	testAnswers[corev1.Secret](t, "secret_frozen", cluster.Secret())
	testAnswers[corev1.ServiceAccount](t, "serviceaccount", cluster.ServiceAccount())
	testAnswers[corev1.LimitRange](t, "limitrange", cluster.LimitRange())
	testAnswers[corev1.ResourceQuota](t, "resourcequota", cluster.ResourceQuota())
	testAnswers[corev1.Namespace](t, "namespace", cluster.Namespace())
	testAnswers[corev1.Node](t, "node", cluster.Node())
	testAnswers[corev1.Event](t, "event", cluster.Event())
	testAnswers[eventsv1.Event](t, "newevent", cluster.NewEvent())
	testAnswers[certificatesv1.CertificateSigningRequest](t, "csr", cluster.CertificateSigningRequest())
	testAnswers[flowcontrolv1.FlowSchema](t, "flowschema", cluster.FlowSchema())
	testAnswers[flowcontrolv1.FlowSchema](t, "mandatory_catchall_schema", cluster.FlowSchema())
	testAnswers[flowcontrolv1.FlowSchema](t, "mandatory_exempt_schema", cluster.FlowSchema())
	testAnswers[flowcontrolv1.PriorityLevelConfiguration](t, "prioritylevel", cluster.PriorityLevelConfiguration())
	testAnswers[flowcontrolv1.PriorityLevelConfiguration](t, "mandatory_catchall_level", cluster.PriorityLevelConfiguration())
	testAnswers[flowcontrolv1.PriorityLevelConfiguration](t, "mandatory_exempt_level", cluster.PriorityLevelConfiguration())
	testAnswers[nodev1.RuntimeClass](t, "runtimeclass", cluster.RuntimeClass())
	testAnswers[schedulingv1.PriorityClass](t, "priorityclass", cluster.PriorityClass())
	testAnswers[coordinationv1.Lease](t, "lease", cluster.Lease())
}

func testAnswers[T any, P interface {
	*T
	metav1.Object
}](t *testing.T, file string, kind *rules.Kind) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var a answers
	if err := yaml.UnmarshalStrict(text, &a); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, tc := range a.Cases {
		t.Run(file+"/"+tc.Name, func(t *testing.T) {
			o, was := decoded[T, P](t, casetest.Changed(a.Base, tc.Change)), decoded[T, P](t, a.Base)
			kind.Default(o)
			var old any
			if tc.Update {
				kind.Default(was)
				kind.Create(was)
				kind.Update(tc.Sub, o, was)
				old = was
			} else {
				kind.Create(o)
			}
			errs, warnings := kind.Check(tc.Sub, o, old)
			var causes []string
			for _, e := range errs {
				causes = append(causes, e.Error())
			}
			if diff := cmp.Diff(tc.Causes, causes); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			if causes != nil {
				return
			}
			if diff := cmp.Diff(tc.Warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.Becomes, withoutTimes(withoutMeta(t, o))); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

// The bounds are on the values together, not on one of them.
func TestDataIsBounded(t *testing.T) {
	half := strings.Repeat("x", cluster.MaxDataBytes/2)
	for name, tc := range map[string]struct {
		more string
		want []string
	}{
		"at the bound": {"", nil},
		"over it":      {"x", []string{": Too long: may not be more than 1048576 bytes"}},
	} {
		m := &corev1.ConfigMap{Data: map[string]string{"a": half}, BinaryData: map[string][]byte{"b": []byte(half + tc.more)}}
		s := &corev1.Secret{Data: map[string][]byte{"a": []byte(half), "b": []byte(half + tc.more)}}
		ofMap, _ := cluster.ConfigMap().Check("", m, nil)
		ofSecret, _ := cluster.Secret().Check("", s, nil)
		var got []string
		for _, e := range append(ofMap, ofSecret...) {
			got = append(got, strings.TrimPrefix(strings.TrimPrefix(e.Error(), "[]"), "data"))
		}
		if diff := cmp.Diff(append(tc.want, tc.want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func decoded[T any, P interface {
	*T
	metav1.Object
}](t *testing.T, o map[string]any) *T {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	v := P(new(T))
	if err := yaml.UnmarshalStrict(text, v); err != nil {
		t.Fatal(err)
	}
	v.SetResourceVersion("1") // as every object has that is updated
	return v
}

// withoutTimes drops the times of conditions, which the server sets.
func withoutTimes(m map[string]any) map[string]any {
	status, _ := m["status"].(map[string]any)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		delete(c.(map[string]any), "lastUpdateTime")
		delete(c.(map[string]any), "lastTransitionTime")
	}
	return m
}

func withoutMeta(t *testing.T, o any) (m map[string]any) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"metadata", "apiVersion", "kind"} {
		delete(m, name)
	}
	return m
}
