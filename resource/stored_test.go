package resource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/resource"
)

const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// TestStoredDefinitions guards that CustomResourceDefinitions are stored and read under the version that kube-apiserver stores.
func TestStoredDefinitions(t *testing.T) {
	c := start(t)
	const key = "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com"
	made := c.must(t, "create", crds, `{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Cluster",
		"names":{"kind":"Widget","plural":"widgets"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`)
	if want := `"schema":{"openAPIV3Schema":{"type":"object"}}`; !strings.Contains(made, want) {
		t.Errorf("the answer is %s, want %s in it", made, want)
	}
	kept, err := c.client.Get(t.Context(), key)
	if err != nil || len(kept.Kvs) != 1 {
		t.Fatal(kept, err)
	}
	// In v1beta1 the only schema is beside the versions.
	value := string(kept.Kvs[0].Value)
	for _, part := range []string{`"apiVersion":"apiextensions.k8s.io/v1beta1"`, `"validation":{"openAPIV3Schema":{"type":"object"}}`} {
		if !strings.Contains(value, part) {
			t.Errorf("stored is %s, want %s in it", value, part)
		}
	}
	for name, stored := range map[string]string{
		"what this server has stored":  value,
		"what it stored before":        made,
		"what was stored as a minimum": `{"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v1beta1","metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","version":"v1","names":{"plural":"widgets","kind":"Widget"},"scope":"Cluster","validation":{"openAPIV3Schema":{"type":"object"}}}}`,
	} {
		if _, err := c.client.Put(t.Context(), key, stored); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Mirror.Fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		result, err := c.do(t, request{verb: "get", path: crds + "/widgets.example.com"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal([]byte(answer(t, result)), &crd); err != nil {
			t.Fatal(err)
		}
		if v := crd.Spec.Versions; len(v) != 1 || !v[0].Storage || v[0].Schema == nil || v[0].Schema.OpenAPIV3Schema.Type != "object" || crd.Spec.Conversion == nil {
			t.Errorf("%s is read as %+v", name, crd.Spec)
		}
	}
}

// TestStoredWithoutDefaults guards that an object whose stored form lacks a default has it in JSON and in protobuf alike.
func TestStoredWithoutDefaults(t *testing.T) {
	c := start(t)
	job := batchv1.Job{}
	job.Name, job.Namespace = "j", "default"
	job.Spec.Template.Labels = map[string]string{"job-name": "j"}
	c.store(t, "/registry/jobs/default/j", "batch/v1", "Job", &job)
	result, err := c.do(t, request{verb: "get", path: "/apis/batch/v1/namespaces/default/jobs/j"})
	if err != nil {
		t.Fatal(err)
	}
	wire, err := result.Type.AppendProtobuf(nil, result.Item)
	if err != nil {
		t.Fatal(err)
	}
	var inJSON, inProtobuf batchv1.Job
	if err := json.Unmarshal([]byte(answer(t, result)), &inJSON); err != nil {
		t.Fatal(err)
	}
	if err := inProtobuf.Unmarshal(envelope(t, wire, "batch/v1", "Job")); err != nil {
		t.Fatal(err)
	}
	for form, got := range map[string]batchv1.Job{"JSON": inJSON, "protobuf": inProtobuf} {
		if got.Labels["job-name"] != "j" || got.Spec.Completions == nil || *got.Spec.Completions != 1 || got.ResourceVersion == "" {
			t.Errorf("in %s the job is %+v", form, got)
		}
	}
}

// store puts an object into etcd as another server has stored it.
func (c *cluster) store(t *testing.T, key, apiVersion, kind string, o interface{ Marshal() ([]byte, error) }) {
	t.Helper()
	raw, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	stored := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}
	value, err := stored.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.Put(t.Context(), key, "k8s\x00"+string(value)); err != nil {
		t.Fatal(err)
	}
}

// Services are shown with what their allocator knows and servers of before did not store.
func TestStoredServices(t *testing.T) {
	c := start(t, func(cfg *resource.Config, _ *cluster) { cfg.Allocator = &ledger{} })
	svc := corev1.Service{}
	svc.Name, svc.Namespace, svc.Spec.ClusterIP = "s", "default", "10.0.0.9"
	c.store(t, "/registry/services/specs/default/s", "v1", "Service", &svc)
	got, err := c.do(t, request{verb: "get", path: "/api/v1/namespaces/default/services/s"})
	if err != nil {
		t.Fatal(err)
	}
	if families := at(t, answer(t, got), "spec.ipFamilies"); fmt.Sprint(families) != "[IPv4]" {
		t.Errorf("the families are %v", families)
	}
}
