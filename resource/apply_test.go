package resource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

const configMapHead = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"`

func applyAs(manager, body string) request {
	return request{verb: "patch", path: oneMap, contentType: applyType, body: body, write: as(manager)}
}

func TestApplyRemovesWhatItNoLongerSays(t *testing.T) {
	c := start(t)
	c.change(t, applyAs("one", configMapHead+`},"data":{"a":"1","b":"1","c":"1"}}`))
	c.change(t, applyAs("two", configMapHead+`},"data":{"b":"1"}}`))
	text := c.change(t, applyAs("one", configMapHead+`},"data":{"a":"2"}}`))
	want := map[string]any{"a": "2", "b": "1"}
	if diff := cmp.Diff(want, at(t, text, "data")); diff != "" {
		t.Errorf("c was only one's, b is two's as well (-want +got):\n%s", diff)
	}
}

func TestApplyConflicts(t *testing.T) {
	c := start(t)
	c.change(t, request{verb: "create", path: configMaps, body: `{"metadata":{"name":"m"},"data":{"a":"1","b":"1"}}`, write: as("one")})
	_, err := c.do(t, applyAs("two", configMapHead+`},"data":{"a":"2"}}`))
	s := api.ToError(err).Status
	if s.Code != 409 || s.Message != `Apply failed with 1 conflict: conflict with "one" using v1: .data.a` {
		t.Errorf("%d %s", s.Code, s.Message)
	}
	want := []metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "one" using v1`, Field: ".data.a"}}
	if diff := cmp.Diff(want, s.Details.Causes); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	_, err = c.do(t, applyAs("two", configMapHead+`},"data":{"a":"2","b":"2"}}`))
	if got, want := api.ToError(err).Status.Message, "Apply failed with 2 conflicts: conflicts with \"one\" using v1:\n- .data.a\n- .data.b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	force := applyAs("two", configMapHead+`},"data":{"a":"2"}}`)
	force.write.Options.Force = true
	got := record(t, c.change(t, force))
	if diff := cmp.Diff([]string{`two Apply v1 {"f:data":{"f:a":{}}}`, `one Update v1 {"f:data":{".":{},"f:b":{}}}`}, got); diff != "" {
		t.Errorf("record after force (-want +got):\n%s", diff)
	}
}

func TestApplyRefuses(t *testing.T) {
	c := start(t)
	c.change(t, applyAs("one", configMapHead+`},"data":{"a":"1"}}`))
	strict := as("one")
	strict.Options.Validation = resource.ValidationStrict
	for name, tc := range map[string]struct {
		path, body string
		write      resource.Write
		code       int
		message    string
	}{
		"another kind":       {oneMap, `{"apiVersion":"v1","kind":"Secret"}`, as("one"), 400, "invalid object type: /v1, Kind=Secret"},
		"no kind":            {oneMap, `{}`, as("one"), 400, "invalid object type: /, Kind="},
		"a list":             {oneMap, `[]`, as("one"), 400, "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		"no YAML":            {oneMap, `a: [`, as("one"), 400, "error decoding YAML: error converting YAML to JSON: yaml: line 1: did not find expected node content"},
		"another name":       {oneMap, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}`, as("one"), 400, "the name of the object (x) does not match the name on the URL (m)"},
		"another namespace":  {oneMap, configMapHead + `,"namespace":"other"}}`, as("one"), 400, "the namespace of the provided object does not match the namespace sent on the request"},
		"a record":           {oneMap, configMapHead + `,"managedFields":[]}}`, as("one"), 400, "metadata.managedFields must be nil"},
		"an unknown field":   {oneMap, configMapHead + `},"foo":1}`, as("one"), 500, "failed to create typed patch object (/m; /v1, Kind=ConfigMap): .foo: field not declared in schema"},
		"a stale revision":   {oneMap, configMapHead + `,"resourceVersion":"1"}}`, as("one"), 409, `Operation cannot be fulfilled on configmaps "m": the object has been modified; please apply your changes to the latest version and try again`},
		"a field twice":      {oneMap, configMapHead + `},"data":{"a":"1","a":"2"}}`, strict, 400, "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 1: key \"a\" already set in map"},
		"a uid of none":      {configMaps + "/x", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","uid":"u"}}`, as("one"), 409, `Operation cannot be fulfilled on configmaps "x": uid mismatch: the provided object specified uid u, and no existing object was found`},
		"no name for one":    {configMaps + "/x", `{"apiVersion":"v1","kind":"ConfigMap"}`, as("one"), 400, "the name of the object (x based on URL) was undeterminable: name must be provided"},
		"a status of none":   {"/api/v1/namespaces/default/pods/x/status", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}`, as("one"), 404, `pods "x" not found`},
		"the scale of none":  {"/apis/apps/v1/namespaces/default/deployments/x/scale", `{"apiVersion":"autoscaling/v1","kind":"Scale"}`, as("one"), 404, `deployments.apps "x" not found`},
		"a list item twice":  {"/api/v1/namespaces/default/pods/x", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"a"},{"name":"a"}]}}`, as("one"), 500, `failed to create typed patch object (/x; /v1, Kind=Pod): .spec.containers: duplicate entries for key [name="a"]`},
		"YAML with no bound": {oneMap, strings.Repeat("- a\n", 200_000), as("one"), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.do(t, request{verb: "patch", path: tc.path, contentType: applyType, body: tc.body, write: tc.write})
			if code(err) != tc.code || (tc.message != "" && api.ToError(err).Status.Message != tc.message) {
				t.Errorf("%v\nwant %d %s", err, tc.code, tc.message)
			}
		})
	}
}

// An apply creates what does not exist, which is a right of its own.
func TestApplyCreatesWithTheRightTo(t *testing.T) {
	c := start(t)
	r, err := c.do(t, applyAs("one", configMapHead+`},"data":{"a":"1"}}`))
	if err != nil || r.Code != 201 {
		t.Fatalf("%d %v", r.Code, err)
	}
	if r, err = c.do(t, applyAs("one", configMapHead+`},"data":{"a":"2"}}`)); err != nil || r.Code != 200 {
		t.Fatalf("again: %d %v", r.Code, err)
	}
	c.Authorizer = authz.Chain{}
	missing := applyAs("one", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"n"}}`)
	missing.path = configMaps + "/n"
	if _, err := c.do(t, missing); code(err) != 403 {
		t.Errorf("without the right to create: %v", err)
	}
}

func TestApplyScale(t *testing.T) {
	c := start(t)
	const path = "/apis/apps/v1/namespaces/default/deployments"
	c.change(t, request{verb: "create", path: path, write: as("one"), body: `{"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},
		"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`})
	apply := request{
		verb: "patch", path: path + "/d/scale", contentType: applyType, write: as("two"),
		body: `{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"d","namespace":"default"},"spec":{"replicas":3}}`,
	}
	if _, err := c.do(t, apply); code(err) != 409 {
		t.Errorf("the replicas are another's: %v", err)
	}
	apply.write.Options.Force = true
	if text := c.change(t, apply); at(t, text, "spec.replicas") != 3.0 {
		t.Errorf("scale: %s", text)
	}
	got := record(t, c.must(t, "get", path+"/d", ""))
	if got[0] != `two Apply apps/v1 scale {"f:spec":{"f:replicas":{}}}` || strings.Contains(got[1], "f:replicas") {
		t.Errorf("record: %q", got)
	}
}

// An apply that no longer says anything of the metadata that it owned names no object any more.
func TestApplyWithoutItsName(t *testing.T) {
	c := start(t)
	if _, err := c.do(t, applyAs("one", configMapHead+`,"labels":{"a":"b"}},"data":{"a":"1"}}`)); err != nil {
		t.Fatal(err)
	}
	_, err := c.do(t, applyAs("one", `{"apiVersion":"v1","kind":"ConfigMap"}`))
	if want := "the name of the object (m based on URL) was undeterminable: name must be provided"; code(err) != 400 || api.ToError(err).Status.Message != want {
		t.Errorf("%v, want 400 %s", err, want)
	}
	if _, err := c.do(t, applyAs("two", `{"apiVersion":"v1","kind":"ConfigMap"}`)); err != nil {
		t.Errorf("by who owns nothing: %v", err)
	}
}
