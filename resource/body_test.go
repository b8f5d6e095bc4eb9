package resource_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

const (
	yamlType  = "application/yaml"
	protobuf  = "application/vnd.kubernetes.protobuf"
	jsonPatch = "application/json-patch+json"
	strategic = "application/strategic-merge-patch+json"
)

func TestBodies(t *testing.T) {
	c := start(t)
	ty := typeOf(t, c, "", "v1", "configmaps")
	secret := typeOf(t, c, "", "v1", "secrets")
	good := string(protobufBody(t, ty, `{"metadata":{"name":"p"}}`))
	deep := strings.Repeat(`{"a":`, resource.MaxDepth+1) + "1" + strings.Repeat("}", resource.MaxDepth+1)
	aliases := "a: &a " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*a,", 1000) + "*a]\n"
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 10 {
		laughs += fmt.Sprintf("%c: &%[1]c [%s]\n", 'b'+i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", 'a'+i), 9), ","))
	}
	for name, tc := range map[string]struct {
		contentType, body string
		code              int
		message           string
	}{
		"empty":                     {"", "", 400, "unexpected end of JSON input"},
		"space":                     {"", " ", 400, "unexpected end of JSON input"},
		"no JSON":                   {"", "hello", 400, "invalid character"},
		"array":                     {"", "[]", 400, "cannot unmarshal array"},
		"two documents":             {"", `{"metadata":{"name":"a"}}{}`, 400, ""},
		"another kind":              {"", `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}}`, 400, "cannot be handled as a ConfigMap"},
		"another version":           {"", `{"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"a"}}`, 400, "the API version in the data (v2) does not match the expected API version (v1)"},
		"wrong type of a field":     {"", `{"metadata":{"name":1}}`, 400, "cannot unmarshal number"},
		"not UTF-8":                 {"", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"a\":\"\xff\"}}", 400, "UTF-8"},
		"unknown media type":        {"text/plain", `{}`, 415, "application/json, application/yaml"},
		"malformed media type":      {"application/", `{}`, 415, ""},
		"deep JSON":                 {"", deep, 400, "max depth"},
		"a million brackets":        {"", strings.Repeat("[", 1_000_000), 400, "max depth"},
		"a million braces":          {"", strings.Repeat(`{"a":`, 1_000_000), 400, "max depth"},
		"a million elements":        {"", `{"metadata":{"name":"a","finalizers":[` + strings.Repeat("null,", 500_000) + `null]}}`, 400, "list elements"},
		"deep YAML":                 {yamlType, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), 400, "max depth"},
		"a million YAML brackets":   {yamlType, strings.Repeat("[", 1_000_000), 400, ""},
		"brackets behind a comment": {yamlType, "# \"\n" + strings.Repeat("[", 1_000_000), 400, ""},
		"a million YAML values":     {yamlType, "{" + strings.Repeat("a,", 1_000_000) + "a}", 400, "send it as JSON"},
		"YAML in compact nesting":   {yamlType, strings.Repeat(strings.Repeat("- ", 900)+"a\n", 1000), 400, "send it as JSON"},
		"YAML's own line breaks":    {yamlType, strings.Repeat("- a\u2028", 300_000), 400, "send it as JSON"},
		"YAML's next-line breaks":   {yamlType, strings.Repeat("a\u0085", 300_000), 400, "send it as JSON"},
		"deep YAML blocks":          {yamlType, strings.Repeat("- ", 200_000) + "a", 400, ""},
		"billion laughs":            {yamlType, laughs, 400, ""},
		"aliases of a long string":  {yamlType, aliases, 400, "aliases"},
		"bad YAML":                  {yamlType, "a: [b", 400, "did not find expected"},
		"protobuf without magic":    {protobuf, good[4:], 400, "prefix"},
		"empty protobuf":            {protobuf, "", 400, "prefix"},
		"protobuf magic alone":      {protobuf, "k8s\x00", 400, "empty body"},
		"protobuf of another kind":  {protobuf, string(protobufBody(t, secret, `{"metadata":{"name":"p"}}`)), 400, "Secret"},
		"cut protobuf":              {protobuf, good[:len(good)-8], 400, ""},
		"protobuf groups":           {protobuf, "k8s\x00" + strings.Repeat("\x0b", 1_000_000), 400, ""},
		"a million messages":        {protobuf, wrapped(ty, strings.Repeat("\x12\x00", 1_000_000)), 400, "messages"},
		"a million owners":          {protobuf, wrapped(ty, "\x0a\x80\x89\x7a"+strings.Repeat("\x6a\x00", 1_000_000)), 400, "messages"},
		"no name":                   {"", `{}`, 422, "name or generateName is required"},
		"no name with null meta":    {"", `{"metadata":null}`, 422, "name or generateName is required"},
		"null":                      {"", `null`, 422, "name or generateName is required"},
		"dots":                      {"", `{"metadata":{"name":".."}}`, 422, "metadata.name"},
		"upper case":                {"", `{"metadata":{"name":"A"}}`, 422, "metadata.name"},
		"too long a name":           {"", `{"metadata":{"name":"` + strings.Repeat("a", 254) + `"}}`, 422, "metadata.name"},
		"another namespace":         {"", `{"metadata":{"name":"a","namespace":"other"}}`, 400, "does not match the namespace"},
		"a revision":                {"", `{"metadata":{"name":"a","resourceVersion":"5"}}`, 400, "resourceVersion should not be set"},
		"bad label":                 {"", `{"metadata":{"name":"a","labels":{"-":"x"}}}`, 422, "metadata.labels"},
		"bad annotation":            {"", `{"metadata":{"name":"a","annotations":{"b d":"x"}}}`, 422, "metadata.annotations"},
		"large annotations":         {"", `{"metadata":{"name":"a","annotations":{"b":"` + strings.Repeat("x", 257<<10) + `"}}}`, 422, "Too long"},
		"bad finalizer":             {"", `{"metadata":{"name":"a","finalizers":["f"]}}`, 422, "fully qualified"},
		"bad owner":                 {"", `{"metadata":{"name":"a","ownerReferences":[{"apiVersion":"v1","kind":"Pod"}]}}`, 422, "ownerReferences"},
		"two controllers": {"", `{"metadata":{"name":"a","ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"1","controller":true},
			{"apiVersion":"v1","kind":"Pod","name":"b","uid":"2","controller":true}]}}`, 422, "ownerReferences"},
	} {
		_, err := c.do(t, request{verb: "create", path: maps, contentType: tc.contentType, body: tc.body})
		if code(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.message) {
			t.Errorf("%s: %.300v, want %d with %q", name, err, tc.code, tc.message)
		}
	}
	if l := c.list(t, maps, resource.ListOptions{}); len(l.Items) > 0 {
		t.Errorf("stored were %v", names(l))
	}
	c.must(t, "create", "/api/v1/nodes", `{"metadata":{"name":"n","namespace":"ignored"}}`)
}

// wrapped puts a message into a document of the type.
func wrapped(ty *resource.Type, message string) string {
	b := resource.AppendEnvelope(nil, ty.GroupVersion(), ty.Kind, len(message))
	return string(resource.AppendEnvelopeEnd(append(b, message...)))
}

func TestFieldValidation(t *testing.T) {
	c := start(t)
	unknown := `{"metadata":{"name":"x"},"bogus":1,"data":{"a":"b","a":"c"}}`
	for _, tc := range []struct {
		validation        resource.Validation
		contentType, body string
		code              int
		warnings          []string
	}{
		{resource.ValidationStrict, "", unknown, 400, nil},
		{resource.ValidationWarn, "", unknown, 0, []string{`unknown field "bogus"`, `duplicate field "data.a"`}},
		{"", "", unknown, 0, []string{`unknown field "bogus"`, `duplicate field "data.a"`}},
		{resource.ValidationIgnore, "", unknown, 0, nil},
		{resource.ValidationStrict, yamlType, "metadata: {name: x}\ndata: {a: b, a: c}", 400, nil},
		{resource.ValidationStrict, "", `{"metadata":{"name":"x"},"Data":{}}`, 400, nil},
		{resource.ValidationIgnore, yamlType, "metadata: {name: x}\ndata: {a: b, a: c}\nbogus: 1", 0, nil},
	} {
		w := &api.Warnings{}
		_, err := c.do(t, request{verb: "create", path: maps, contentType: tc.contentType, body: tc.body, write: resource.Write{
			Warnings: w, Options: resource.WriteOptions{Validation: tc.validation, DryRun: true},
		}})
		if code(err) != tc.code {
			t.Errorf("%q %s: %v, want %d", tc.validation, tc.body, err, tc.code)
		}
		if diff := cmp.Diff(tc.warnings, w.List(), cmp.Transformer("sort", sorted)); diff != "" {
			t.Errorf("%q %s: warnings (-want +got):\n%s", tc.validation, tc.body, diff)
		}
	}
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	for _, body := range []string{`{"bogus":1}`, `{"data":{"a":"b","a":"c"}}`} {
		r := request{verb: "patch", path: maps + "/m", contentType: merge, body: body}
		r.write.Options.Validation = resource.ValidationStrict
		if _, err := c.do(t, r); code(err) != 422 {
			t.Errorf("strict patch %s: %v, want 422", body, err)
		}
	}
}

func sorted(s []string) map[string]bool {
	m := map[string]bool{}
	for _, x := range s {
		m[x] = true
	}
	return m
}

func TestPatches(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m"},"data":{"a":"b"}}`)
	c.must(t, "create", pods, `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	ops := func(n int, op string) string { return "[" + strings.TrimSuffix(strings.Repeat(op+",", n), ",") + "]" }
	deep := strings.Repeat(`{"a":`, 900) + `""` + strings.Repeat("}", 900)
	for name, tc := range map[string]struct {
		path, contentType, body string
		code                    int
		want                    string // of data
	}{
		"no type":                  {"m", "", `{}`, 415, ""},
		"apply in CBOR":            {"m", "application/apply-patch+cbor", `{}`, 415, ""},
		"bad JSON":                 {"m", merge, `{"data":`, 400, ""},
		"array as merge":           {"m", merge, `[]`, 400, ""},
		"object as JSON patch":     {"m", jsonPatch, `{"op":"add"}`, 400, ""},
		"unknown operation":        {"m", jsonPatch, `[{"op":"frob","path":"/data/e"}]`, 422, ""},
		"no path":                  {"m", jsonPatch, `[{"op":"add"}]`, 422, ""},
		"missing path":             {"m", jsonPatch, `[{"op":"remove","path":"/data/nosuch"}]`, 422, ""},
		"failing test":             {"m", jsonPatch, `[{"op":"test","path":"/data/a","value":"z"}]`, 422, ""},
		"null document":            {"m", jsonPatch, `[{"op":"replace","path":"","value":null}]`, 422, ""},
		"string as document":       {"m", jsonPatch, `[{"op":"replace","path":"","value":"x"}]`, 422, ""},
		"wrong type":               {"m", merge, `{"data":"x"}`, 422, ""},
		"no metadata":              {"m", merge, `{"metadata":null}`, 400, ""},
		"no object at all":         {"m", merge, `null`, 400, ""},
		"number as operation":      {"m", jsonPatch, `[1]`, 400, ""},
		"a fraction":               {"p", merge, `{"spec":{"activeDeadlineSeconds":5.0}}`, 422, ""},
		"broken and for nobody":    {"nosuch", merge, `{`, 404, ""},
		"another kind":             {"m", merge, `{"kind":"Secret"}`, 422, ""},
		"kind of a known type":     {"m", strategic, `{"kind":"Secret"}`, 0, "map[a:b]"},
		"replace a missing member": {"m", jsonPatch, `[{"op":"replace","path":"/data/e","value":"f"}]`, 0, "map[a:b e:f]"},
		"replace it among others":  {"m", jsonPatch, `[{"op":"add","path":"/data/c","value":"d"},{"op":"replace","path":"/data/e","value":"f"},{"op":"remove","path":"/data/a"}]`, 0, "map[c:d e:f]"},
		"copy a missing member":    {"m", jsonPatch, `[{"op":"copy","from":"/nosuch","path":"/data"}]`, 0, "<nil>"},
		"copy from below nothing":  {"m", jsonPatch, `[{"op":"copy","from":"/nosuch/a","path":"/data"}]`, 422, ""},
		"move a missing member":    {"m", jsonPatch, `[{"op":"move","from":"/nosuch","path":"/data"}]`, 422, ""},
		"members to keep":          {"m", strategic, `{"data":{"$retainKeys":["b"],"a":"c"}}`, 400, ""},
		"replace below nothing":    {"m", jsonPatch, `[{"op":"replace","path":"/nosuch/e","value":"f"}]`, 422, ""},
		"replace behind a list":    {"p", jsonPatch, `[{"op":"replace","path":"/spec/containers/1","value":{"name":"d","image":"x"}}]`, 422, ""},
		"replace on a long object": {"m", jsonPatch, `[{"op":"add","path":"/data/x","value":"` + strings.Repeat("a", 2<<20) + `"},` +
			ops(99, `{"op":"replace","path":"/data/y","value":"z"},{"op":"remove","path":"/data/y"}`)[1:], 413, ""},
		"unknown directive":   {"p", strategic, `{"spec":{"$patch":"frob"}}`, 422, ""},
		"no merge key":        {"p", strategic, `{"spec":{"containers":[{"image":"x"}]}}`, 422, ""},
		"list for a map":      {"p", strategic, `{"spec":[]}`, 422, ""},
		"order of others":     {"p", strategic, `{"spec":{"$setElementOrder/containers":[{"name":"x"}],"containers":[{"name":"c"}]}}`, 422, ""},
		"too many operations": {"m", jsonPatch, ops(resource.MaxPatchOps+1, `{"op":"test","path":"/data/a","value":"b"}`), 413, ""},
		"many operations":     {"m", jsonPatch, ops(resource.MaxPatchOps, `{"op":"test","path":"/data/a","value":"b"}`), 0, "map[a:b]"},
		"doubling copies":     {"m", jsonPatch, `[{"op":"add","path":"/x","value":["` + strings.Repeat("a", 1000) + `"]},` + ops(40, `{"op":"copy","from":"/x","path":"/x/-"}`)[1:], 413, ""},
		"growing copies":      {"m", jsonPatch, `[{"op":"add","path":"/data/x","value":"` + strings.Repeat("a", 1<<20) + `"},` + ops(200, `{"op":"copy","from":"/data/x","path":"/data/y"}`)[1:], 413, ""},
		"inserts in a long list": {"m", jsonPatch, `[{"op":"add","path":"/x","value":[` + strings.Repeat("0,", 90_000) + `0]},` +
			ops(9_000, `{"op":"add","path":"/x/0","value":0}`)[1:], 400, ""},
		"deep paths": {"m", jsonPatch, `[{"op":"add","path":"/x","value":` + deep + `},{"op":"add","path":"/y","value":"` + strings.Repeat("a", 2<<20) + `"},` +
			ops(200, `{"op":"copy","from":"/y","path":"/x`+strings.Repeat("/a", 890)+`"}`)[1:], 413, ""},
		"deep merge":      {"m", merge, `{"data":` + deep + `}`, 422, ""},
		"too deep":        {"m", merge, strings.Repeat(`{"a":`, 1001) + "1" + strings.Repeat("}", 1001), 400, ""},
		"quadratic lists": {"p", strategic, `{"spec":{"containers":[` + strings.TrimSuffix(strings.Repeat(`{"name":"x"},`, 20_000), ",") + `]}}`, 413, ""},
		"add":             {"m", jsonPatch, `[{"op":"add","path":"/data/e","value":"f"}]`, 0, "map[a:b e:f]"},
		"remove":          {"m", merge, `{"data":{"a":null}}`, 0, "<nil>"},
		"replace":         {"m", strategic, `{"data":{"$patch":"replace","z":"z"}}`, 0, "map[z:z]"},
		"nothing":         {"m", merge, `{}`, 0, "map[a:b]"},
	} {
		path := maps + "/" + tc.path
		if tc.path == "p" {
			path = pods + "/p"
		}
		begun := time.Now()
		r := request{verb: "patch", path: path, contentType: tc.contentType, body: tc.body}
		r.write.Options.DryRun = true
		got, err := c.do(t, r)
		if d := time.Since(begun); d > time.Second {
			t.Logf("%s took %v", name, d)
		}
		if code(err) != tc.code {
			t.Errorf("%s: %.300v, want %d", name, err, tc.code)
			continue
		}
		if err == nil && fmt.Sprint(at(t, answer(t, got), "data")) != tc.want {
			t.Errorf("%s: %v, want %s", name, at(t, answer(t, got), "data"), tc.want)
		}
	}
}

func TestListOptions(t *testing.T) {
	for query, want := range map[string]int{
		"": 0, "limit=5&continue=x": 0, "limit=abc": 400, "limit=99999999999999999999": 400, "timeoutSeconds=x": 400,
		"labelSelector=a%3D%3D%3Db": 400, "fieldSelector=x": 400, "labelSelector=" + strings.Repeat("a", 40_000): 400,
		"labelSelector=" + strings.Repeat("a,", 2000) + "a": 400, "limit=-1": 0, "timeoutSeconds=-1": 0,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resource.ParseListOptions(q); code(err) != want {
			t.Errorf("%.50s: %v, want %d", query, err, want)
		}
	}
	for value, want := range map[string]bool{"": true, "true": true, "1": true, "x": true, "false": false, "FALSE": false, "0": false} {
		if o, err := resource.ParseListOptions(url.Values{"allowWatchBookmarks": {value}}); err != nil || o.Bookmarks != want {
			t.Errorf("allowWatchBookmarks=%s is %v, %v", value, o.Bookmarks, err)
		}
	}
	if o, err := resource.ParseListOptions(url.Values{"timeoutSeconds": {"9223372036854775807"}}); err != nil || o.Timeout < 0 {
		t.Errorf("a long timeout becomes %v, %v", o.Timeout, err)
	}
}

func TestWriteOptions(t *testing.T) {
	for _, tc := range []struct {
		kind, query, message string
	}{
		{"CreateOptions", "", ""},
		{"CreateOptions", "dryRun=All&fieldValidation=Strict&fieldManager=me", ""},
		{"CreateOptions", "dryRun=Foo", `CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Foo"]: supported values: "All"`},
		{"CreateOptions", "dryRun=", `CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: [""]: supported values: "All"`},
		{"UpdateOptions", "fieldValidation=Foo", `UpdateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Foo": supported values: "", "Ignore", "Strict", "Warn"`},
		{"CreateOptions", "fieldManager=" + strings.Repeat("m", 129), `CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes`},
		{"CreateOptions", "fieldManager=a%00", `CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "a\x00": invalid character U+0000 (at position 1)`},
		{"PatchOptions", "force=true", `PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch`},
	} {
		q, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = resource.ParseWriteOptions(tc.kind, q, false)
		if got := api.ToError(err); (got == nil) != (tc.message == "") || got != nil && got.Status.Message != tc.message {
			t.Errorf("%s: %v, want %s", tc.query, err, tc.message)
		}
	}
}

// protobufOptions is a DeleteOptions in the protobuf wire format.
func protobufOptions(t *testing.T, apiVersion string) string {
	t.Helper()
	raw, err := (&metav1.DeleteOptions{GracePeriodSeconds: new(int64(3))}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(resource.AppendEnvelopeEnd(append(resource.AppendEnvelope(nil, apiVersion, "DeleteOptions", len(raw)), raw...)))
}

func TestDeleteOptions(t *testing.T) {
	for _, tc := range []struct {
		query, contentType, body string
		code                     int
		want                     string
	}{
		{"", "", "", 0, ""},
		{"gracePeriodSeconds=5", "", "", 0, "grace 5"},
		{"gracePeriodSeconds=5", "", `{"gracePeriodSeconds":7}`, 0, "grace 7"},
		{"gracePeriodSeconds=x", "", "", 400, ""},
		{"dryRun=All", "", `{}`, 0, "dry"},
		{"dryRun=Foo", "", "", 422, ""},
		{"", "", `{"dryRun":["Foo"]}`, 422, ""},
		{"propagationPolicy=Orphan", "", "", 0, "Orphan"},
		{"propagationPolicy=Frob", "", "", 422, ""},
		{"orphanDependents=true&propagationPolicy=Orphan", "", "", 422, ""},
		{"uid=u", "", "", 0, "uid u"},
		{"resourceVersion=3", "", "", 0, "version 3"},
		{"resourceVersion=3&uid=u", "", `{}`, 0, ""}, // beside a body they are about the list
		{"", "", `{"kind":"Pod"}`, 400, ""},
		{"", "", `{"kind":"DeleteOptions","apiVersion":"apps/v1"}`, 0, ""},
		{"", "", `{`, 400, ""},
		{"", "text/plain", `{}`, 415, ""},
		{"", yamlType, "propagationPolicy: Foreground", 0, "Foreground"},
		{"", protobuf, "x", 400, ""},
		{"", protobuf, "k8s\x00", 400, ""},
		{"", protobuf, protobufOptions(t, "v1"), 0, "grace 3"},
		{"", protobuf, protobufOptions(t, "apps/v1"), 0, "grace 3"}, // as generated clients send them
		{"gracePeriodSeconds=", "", "", 400, ""},
		{"", "", `{"gracePeriodSeconds":"5"}`, 400, ""},
		{"", "application/json; charset=utf-8", `{"gracePeriodSeconds":7}`, 0, "grace 7"},
	} {
		q, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		o, err := resource.ParseDeleteOptions(q, resource.Body{ContentType: tc.contentType, Data: []byte(tc.body)})
		if code(err) != tc.code {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		got := ""
		switch {
		case err != nil:
		case o.GracePeriodSeconds != nil:
			got = fmt.Sprint("grace ", *o.GracePeriodSeconds)
		case len(o.DryRun) > 0:
			got = "dry"
		case o.Preconditions != nil && o.Preconditions.UID != nil:
			got = "uid " + string(*o.Preconditions.UID)
		case o.Preconditions != nil:
			got = "version " + *o.Preconditions.ResourceVersion
		case o.PropagationPolicy != nil:
			got = string(*o.PropagationPolicy)
		}
		if got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}
