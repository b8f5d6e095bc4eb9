package fieldmanager_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/fieldmanager"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func configMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m", UID: "u"}, Data: data}
}

// What the short way does not decide has to come out as well: here a key that JSON escapes.
func TestUpdateFallsBackToTheLibrary(t *testing.T) {
	m := managerOf[corev1.ConfigMap]("", "v1", "ConfigMap", "")
	o := configMap(map[string]string{"<": "1"})
	if m.UpdateShort(&corev1.ConfigMap{}, o, "one", noon) {
		t.Error("the short way took it")
	}
	if err := m.Update(&corev1.ConfigMap{}, o, "one", noon); err != nil {
		t.Fatal(err)
	}
	want := []entry{{"one Update v1 ", "2026-01-01T12:00:00Z", `{"f:data":{".":{},"f:<":{}}}`}}
	if diff := cmp.Diff(want, recordOf(o)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestUpdateLeavesTheLiveObjectAlone(t *testing.T) {
	m := managerOf[corev1.ConfigMap]("", "v1", "ConfigMap", "")
	live := configMap(map[string]string{"a": "1", "b": "1"})
	if err := m.Update(&corev1.ConfigMap{}, live, "one", noon); err != nil {
		t.Fatal(err)
	}
	before := live.DeepCopy()
	next := live.DeepCopy()
	next.Data = map[string]string{"a": "2", "<": "1"}
	if err := m.Update(live, next, "two", noon); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, live); diff != "" {
		t.Errorf("live changed (-before +after):\n%s", diff)
	}
}

func TestApplyTakesTheClockItIsGiven(t *testing.T) {
	m := managerOf[corev1.ConfigMap]("", "v1", "ConfigMap", "")
	live := configMap(map[string]string{"a": "1"})
	if err := m.Update(&corev1.ConfigMap{}, live, "one", noon); err != nil {
		t.Fatal(err)
	}
	config := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"b": "2"}}}
	o, err := m.Apply(live, config, "two", false, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"two Apply v1 ", "2026-01-01T13:00:00Z", `{"f:data":{"f:b":{}}}`},
		{"one Update v1 ", "2026-01-01T12:00:00Z", `{"f:data":{".":{},"f:a":{}}}`},
	}
	if diff := cmp.Diff(want, recordOf(o)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestScaleRecord(t *testing.T) {
	version := schema.GroupVersion{Group: "apps", Version: "v1"}
	parent := []metav1.ManagedFieldsEntry{{
		Manager: "one", Operation: "Update", APIVersion: "apps/v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:paused":{},"f:replicas":{}}}`),
	}}
	scale, err := fieldmanager.ScaleRecord(parent, version)
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{{"one Update autoscaling/v1 ", "", `{"f:spec":{"f:replicas":{}}}`}}
	if diff := cmp.Diff(want, recordOf(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ManagedFields: scale}})); diff != "" {
		t.Errorf("scale (-want +got):\n%s", diff)
	}
	back, err := fieldmanager.ParentRecord(parent, nil, version)
	if err != nil {
		t.Fatal(err)
	}
	want = []entry{{"one Update apps/v1 ", "", `{"f:spec":{"f:paused":{}}}`}}
	if diff := cmp.Diff(want, recordOf(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ManagedFields: back}})); diff != "" {
		t.Errorf("parent after somebody took the replicas (-want +got):\n%s", diff)
	}
}
