package resource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/resource"
)

const (
	mergeType = "application/merge-patch+json"
	applyType = "application/apply-patch+yaml"
)

// as makes a write on account of a manager.
func as(manager string) resource.Write {
	return resource.Write{Options: resource.WriteOptions{FieldManager: manager, Validation: resource.ValidationWarn}}
}

// change does what the request says and returns the JSON of the answer.
func (c *cluster) change(t testing.TB, r request) string {
	t.Helper()
	result, err := c.do(t, r)
	if err != nil {
		t.Fatalf("%s %s %s: %v", r.verb, r.path, r.body, err)
	}
	return answer(t, result)
}

// record shows who owns what in an object, one line for each entry.
func record(t testing.TB, text string) []string {
	t.Helper()
	var o metav1.PartialObjectMetadata
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, e := range o.ManagedFields {
		line := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Manager, e.Operation, e.APIVersion, e.Subresource))
		lines = append(lines, line+" "+e.FieldsV1.GetRawString())
	}
	return lines
}

const (
	configMaps = "/api/v1/namespaces/default/configmaps"
	oneMap     = configMaps + "/m"
)

// Each case is a history of one object, and who owns what in the end.
func TestWhoOwnsWhat(t *testing.T) {
	c := start(t)
	for name, tc := range map[string]struct {
		steps []request
		want  []string
	}{
		"create owns what was sent, not what the server sets": {
			[]request{{verb: "create", body: `{"metadata":{"name":"NAME","uid":"x","labels":{"a":"b"}},"data":{"k":"1"}}`, write: as("one")}},
			[]string{`one Update v1 {"f:data":{".":{},"f:k":{}},"f:metadata":{"f:labels":{".":{},"f:a":{}}}}`},
		},
		"update takes what it changes": {
			[]request{
				{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"a":"1","b":"1"}}`, write: as("one")},
				{verb: "update", body: `{"metadata":{"name":"NAME"},"data":{"a":"1","b":"2"}}`, write: as("two")},
			},
			[]string{`one Update v1 {"f:data":{".":{},"f:a":{}}}`, `two Update v1 {"f:data":{"f:b":{}}}`},
		},
		"a field that is gone has no owner": {
			[]request{
				{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"a":"1","b":"1"}}`, write: as("one")},
				{verb: "patch", contentType: mergeType, body: `{"data":{"b":null}}`, write: as("two")},
			},
			[]string{`one Update v1 {"f:data":{".":{},"f:a":{}}}`},
		},
		"applies share a field": {
			[]request{
				{verb: "patch", contentType: applyType, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"},"data":{"a":"1"}}`, write: as("one")},
				{verb: "patch", contentType: applyType, body: `{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","b":"2"}}`, write: as("two")},
			},
			[]string{`one Apply v1 {"f:data":{"f:a":{}}}`, `two Apply v1 {"f:data":{"f:a":{},"f:b":{}}}`},
		},
		"a client that hands the record back keeps it": {
			[]request{
				{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"a":"1"}}`, write: as("one")},
				{verb: "patch", contentType: mergeType, body: `{"metadata":{"managedFields":null},"data":{"a":"1"}}`, write: as("two")},
			},
			[]string{`one Update v1 {"f:data":{".":{},"f:a":{}}}`},
		},
		"a record can be reset": {
			[]request{
				{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"a":"1"}}`, write: as("one")},
				{verb: "patch", contentType: mergeType, body: `{"metadata":{"managedFields":[{}]}}`, write: as("two")},
			},
			[]string{},
		},
		"nobody owns fields of an object without a record until an apply": {
			[]request{
				{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"a":"1"}}`, write: as("one")},
				{verb: "patch", contentType: mergeType, body: `{"metadata":{"managedFields":[]}}`, write: as("two")},
				{verb: "patch", contentType: mergeType, body: `{"data":{"b":"1"}}`, write: as("three")},
				{verb: "patch", contentType: applyType, body: `{"apiVersion":"v1","kind":"ConfigMap","data":{"c":"1"}}`, write: as("four")},
			},
			[]string{`four Apply v1 {"f:data":{"f:c":{}}}`, `before-first-apply Update v1 {"f:data":{".":{},"f:a":{},"f:b":{}}}`},
		},
		"an invalid record does not replace the valid one": {
			[]request{
				{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"a":"1"}}`, write: as("one")},
				{verb: "patch", contentType: mergeType, body: `{"metadata":{"managedFields":[{"manager":"x","operation":"Steal"}]}}`, write: as("two")},
			},
			[]string{`one Update v1 {"f:data":{".":{},"f:a":{}}}`},
		},
		"without a manager the program is it": {
			[]request{{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"k":"1"}}`, write: resource.Write{UserAgent: "tool/v1 (linux)"}}},
			[]string{`tool Update v1 {"f:data":{".":{},"f:k":{}}}`},
		},
		"without a program it is unknown": {
			[]request{{verb: "create", body: `{"metadata":{"name":"NAME"},"data":{"k":"1"}}`}},
			[]string{`unknown Update v1 {"f:data":{".":{},"f:k":{}}}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			object := strings.ReplaceAll(name, " ", "-")
			object = strings.ToLower(strings.ReplaceAll(object, ",", ""))
			text := ""
			for _, step := range tc.steps {
				step.path = configMaps
				if step.verb != "create" {
					step.path += "/" + object
				}
				step.body = strings.ReplaceAll(step.body, "NAME", object)
				text = c.change(t, step)
			}
			if diff := cmp.Diff(tc.want, record(t, text)); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusIsOwnedApart(t *testing.T) {
	c := start(t)
	const path = "/apis/apps/v1/namespaces/default/deployments"
	c.change(t, request{verb: "create", path: path, write: as("one"), body: `{"metadata":{"name":"d"},"spec":{"replicas":1,"paused":true,"selector":{"matchLabels":{"a":"b"}},
		"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}},"status":{"replicas":7}}`})
	text := c.change(t, request{
		verb: "patch", path: path + "/d/status", contentType: mergeType, write: as("two"),
		body: `{"metadata":{"labels":{"x":"y"}},"spec":{"paused":false},"status":{"observedGeneration":1}}`,
	})
	got := record(t, text)
	if len(got) != 2 || got[1] != `two Update apps/v1 status {"f:status":{"f:observedGeneration":{}}}` || strings.Contains(got[0], "f:status") {
		t.Errorf("record: %q", got)
	}
	text = c.change(t, request{verb: "patch", path: path + "/d/scale", contentType: mergeType, write: as("three"), body: `{"spec":{"replicas":4}}`})
	if at(t, text, "metadata.managedFields") != nil {
		t.Errorf("the scale shows a record: %s", text)
	}
	got = record(t, c.must(t, "get", path+"/d", ""))
	if !strings.Contains(strings.Join(got, "\n"), `three Update apps/v1 scale {"f:spec":{"f:replicas":{}}}`) {
		t.Errorf("record after scaling: %q", got)
	}
}

func TestUpdatersAreBounded(t *testing.T) {
	c := start(t)
	text := c.change(t, request{verb: "create", path: configMaps, body: `{"metadata":{"name":"m"},"data":{"a":"0"}}`, write: as("m00")})
	for i := range 12 {
		body := fmt.Sprintf(`{"data":{"k%02d":"1"}}`, i)
		text = c.change(t, request{verb: "patch", path: oneMap, contentType: mergeType, body: body, write: as(fmt.Sprintf("m%02d", i+1))})
	}
	got := record(t, text)
	if len(got) != 10 || !strings.Contains(strings.Join(got, "\n"), "ancient-changes Update v1 ") {
		t.Errorf("%d entries: %q", len(got), got)
	}
}

// A write that changes nothing but the time of ownership is not stored.
func TestNothingNewIsNotWritten(t *testing.T) {
	clock := time.Unix(1_700_000_000, 0)
	c := start(t, func(cfg *resource.Config, _ *cluster) { cfg.Now = func() time.Time { return clock } })
	apply := request{
		verb: "patch", path: oneMap, contentType: applyType, write: as("one"),
		body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"1"}}`,
	}
	first := c.change(t, apply)
	clock = clock.Add(time.Hour)
	if second := c.change(t, apply); second != first {
		t.Errorf("the same apply again: %s\nafter %s", second, first)
	}
	update := request{verb: "update", path: oneMap, body: first, write: as("two")}
	if second := c.change(t, update); second != first {
		t.Errorf("an update with the same: %s\nafter %s", second, first)
	}
}

// Who owns the fields is dropped if the object is too large for etcd with it, but not if an apply asks for it.
func TestTooLargeWithItsRecord(t *testing.T) {
	c := start(t)
	var data []string
	for i := range 8000 {
		data = append(data, fmt.Sprintf(`"%0100d":"%s"`, i, strings.Repeat("v", 20)))
	}
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{` + strings.Join(data, ",") + `}}`
	if got := record(t, c.change(t, request{verb: "create", path: configMaps, body: body, write: as("one")})); len(got) != 0 {
		t.Errorf("%d entries are left", len(got))
	}
	c.change(t, request{verb: "delete", path: oneMap})
	if _, err := c.do(t, request{verb: "patch", path: oneMap, contentType: applyType, body: body, write: as("one")}); code(err) != 413 {
		t.Errorf("apply: %v", err)
	}
}

// TestAnnotationsOfAnOlderVersionAreOwned guards what version 1 of autoscalers shows in annotations, as it has no field for it. The record is
// that of kube-apiserver for the same request.
func TestAnnotationsOfAnOlderVersionAreOwned(t *testing.T) {
	c := start(t)
	text := c.change(t, request{verb: "create", path: "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", write: as("me"), body: `{
		"metadata":{"name":"h"},
		"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},"targetCPUUtilizationPercentage":50},
		"status":{"currentReplicas":1,"desiredReplicas":2,"currentCPUUtilizationPercentage":40}}`})
	want := []string{`me Update autoscaling/v1 {"f:metadata":{"f:annotations":{".":{},"f:autoscaling.alpha.kubernetes.io/current-metrics":{}}},` +
		`"f:spec":{"f:maxReplicas":{},"f:minReplicas":{},"f:scaleTargetRef":{},"f:targetCPUUtilizationPercentage":{}}}`}
	if diff := cmp.Diff(want, record(t, text)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}
