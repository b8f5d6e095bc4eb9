package resource_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/store"
)

// fuzzBody decodes bodies of a type as a dry run of a create does: they are refused as the client's fault, or come out as an
// object that reads back to itself.
func fuzzBody(f *testing.F, contentType string, seeds ...string) {
	c := start(f)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	types := []string{pods, maps, deps, "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", "/apis/events.k8s.io/v1/namespaces/default/events"}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range types {
			if len(body) > resource.MaxBodyBytes {
				return
			}
			r := request{verb: "create", path: path, contentType: contentType, body: string(body)}
			r.write.Options.DryRun = true
			out, err := c.do(t, r)
			if n := code(err); n != 0 && n != 400 && n != 409 && n != 422 {
				t.Fatalf("%s: %v", path, err)
			}
			if err != nil {
				continue
			}
			text := answer(t, out)
			if len(text) > 64*len(body)+64<<10 {
				t.Errorf("%s: %d bytes became %d", path, len(body), len(text))
			}
			o := out.Type.New()
			if err := json.Unmarshal([]byte(text), o); err != nil {
				t.Fatalf("%s: %v: %s", path, err, text)
			}
			sameJSON(t, path, json.RawMessage(text), o)
		}
	})
}

func FuzzJSONBody(f *testing.F) {
	fuzzBody(f, "", `{"metadata":{"name":"a"}}`, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}]}}`,
		`{"metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:a":{}}}]}}`, `null`, `[]`, `{"metadata":{"name":"a"},"data":{"a":"\ud800"}}`, `{"kind":1}`,
		`{"metadata":{"name":"a","annotations":{"autoscaling.alpha.kubernetes.io/metrics":"[{}]"}},"spec":{"maxReplicas":1}}`)
}

func FuzzYAMLBody(f *testing.F) {
	fuzzBody(f, yamlType, "metadata: {name: a}", "metadata:\n  name: a\ndata:\n  a: b\n", "a: &a [x]\nb: *a\nmetadata: {name: a}", "---\nmetadata: {name: a}\n---\n", "!!binary x", "? {a: b}\n: c", "<<: [*a]")
}

func FuzzProtobufBody(f *testing.F) {
	var seeds []string
	table, err := resource.Builtin()
	if err != nil {
		f.Fatal(err)
	}
	for _, gvr := range [][3]string{{"", "v1", "pods"}, {"", "v1", "configmaps"}, {"apps", "v1", "deployments"}, {"autoscaling", "v1", "horizontalpodautoscalers"}, {"events.k8s.io", "v1", "events"}} {
		ty, _ := table.Lookup(gvr[0], gvr[1], gvr[2])
		seeds = append(seeds, string(protobufBody(f, ty, body(ty, "a"))))
	}
	fuzzBody(f, protobuf, append(seeds, "k8s\x00", "k8s\x00\x12\x02\x0a\x00")...)
}

// fuzzPatch applies patches to a pod as a dry run: they are refused as the client's fault, or leave a pod with the same identity and
// spec but for what a pod may change.
func fuzzPatch(f *testing.F, contentType string, seeds ...string) {
	c := start(f)
	c.must(f, "create", pods, `{"metadata":{"name":"p","labels":{"a":"b"},"finalizers":["a.b/c"]},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"A","value":"1"}]}]}}`)
	before := c.must(f, "get", pods+"/p", "")
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		if len(patch) > resource.MaxBodyBytes {
			return
		}
		r := request{verb: "patch", path: pods + "/p", contentType: contentType, body: string(patch)}
		r.write.Options.DryRun = true
		out, err := c.do(t, r)
		switch code(err) {
		case 0:
		case 400, 409, 413, 422:
			return
		default:
			t.Fatal(err)
		}
		text := answer(t, out)
		for _, field := range []string{"metadata.uid", "metadata.name", "metadata.namespace", "metadata.creationTimestamp", "metadata.resourceVersion", "kind", "apiVersion", "spec.nodeName"} {
			if at(t, before, field) != at(t, text, field) {
				t.Errorf("the patch changed %s to %v", field, at(t, text, field))
			}
		}
		if len(text) > resource.MaxBodyBytes+len(before) {
			t.Errorf("a patch of %d bytes made %d", len(patch), len(text))
		}
	})
}

func FuzzJSONPatch(f *testing.F) {
	fuzzPatch(f, jsonPatch, `[{"op":"add","path":"/metadata/labels/x","value":"y"}]`, `[{"op":"copy","from":"/metadata","path":"/spec/containers/-"}]`,
		`[{"op":"move","from":"/metadata/labels","path":"/metadata/annotations"}]`, `[{"op":"replace","path":"","value":{}}]`, `[{"op":"remove","path":"/spec/containers/-1"}]`,
		`[{"op":"test","path":"/metadata/name","value":"p"},{"op":"add","path":"/spec/containers/0/image","value":"x"}]`, `[null]`, `[{}]`, `[{"op":"add","path":"/a~2"}]`, `[{"op":"test","path":""}]`, `[{"op":"test","path":"","value":null}]`)
}

func FuzzMergePatch(f *testing.F) {
	fuzzPatch(f, merge, `{"metadata":{"labels":{"x":null}}}`, `{"metadata":null}`, `{"spec":{"containers":[]}}`, `{"a":{"b":null}}`, `{"metadata":{"finalizers":null}}`)
}

func FuzzStrategicPatch(f *testing.F) {
	fuzzPatch(f, strategic, `{"spec":{"containers":[{"name":"c","image":"x"}]}}`, `{"spec":{"containers":[{"name":"c","$patch":"delete"}]}}`,
		`{"metadata":{"$deleteFromPrimitiveList/finalizers":["a.b/c"]}}`, `{"spec":{"$setElementOrder/containers":[{"name":"c"}]}}`, `{"$patch":"replace"}`,
		`{"metadata":{"$retainKeys":["name"]}}`, `{"spec":{"containers":[null]}}`, `{"$setElementOrder/x":1}`)
}

// FuzzContinue lists with forged tokens: only objects of the collection may be shown.
func FuzzContinue(f *testing.F) {
	c := start(f)
	fill(f, c, 3)
	c.must(f, "create", "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"s"}}`)
	for _, start := range []string{"m001", "../secrets/", "", "\x00", "zz"} {
		f.Add(tokenOf(f, -1, start), int64(1))
		f.Add(tokenOf(f, 1, start), int64(0))
	}
	f.Add("Z2FyYmFnZQ", int64(-1))
	f.Fuzz(func(t *testing.T, token string, limit int64) {
		l, err := c.List(context.Background(), authz.System("test", target("list", maps)), resource.ListOptions{Continue: token, Limit: limit})
		if n := code(err); n != 0 && n != 400 && n != 410 && n != 504 {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		for _, i := range l.Items {
			if !strings.HasPrefix(i.Key, "/registry/configmaps/default/") {
				t.Errorf("the token shows %s", i.Key)
			}
		}
	})
}

// FuzzListQuery reads queries: what is accepted can be listed with, or is refused as the client's fault.
func FuzzListQuery(f *testing.F) {
	c := start(f)
	fill(f, c, 3)
	for _, s := range []string{
		"", "limit=2&labelSelector=a%3Db", "fieldSelector=metadata.name%3Dm001", "resourceVersion=0&limit=1", "watch=1&timeoutSeconds=5",
		"labelSelector=a+in+%28b%2Cc%29%2C%21d", "resourceVersion=1&resourceVersionMatch=Exact", "sendInitialEvents=true", "continue=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil || len(q.Get("resourceVersion")) > 2 || q.Get("continue") != "" { // what waits for the future is slow
			return
		}
		o, err := resource.ParseListOptions(q)
		if err == nil {
			var l *resource.List
			if l, err = c.List(context.Background(), authz.System("test", target("list", maps)), o); err == nil && o.Limit > 0 && int64(len(l.Items)) > o.Limit && o.ResourceVersion != "0" {
				t.Errorf("%d items over the limit of %d", len(l.Items), o.Limit)
			}
		}
		if n := code(err); n != 0 && n != 400 && n != 422 && n != 504 && n != 410 {
			t.Fatal(err)
		}
	})
}

// FuzzStoredValue puts values into etcd's place and serves them: a value that cannot be read is broken, one that can be read
// comes out in every encoding.
func FuzzStoredValue(f *testing.F) {
	table, err := resource.Builtin()
	if err != nil {
		f.Fatal(err)
	}
	ty, _ := table.Lookup("", "v1", "pods")
	c := start(f)
	cache := c.Cache(ty)
	f.Add(protobufBody(f, ty, body(ty, "a")))
	f.Add([]byte("k8s\x00\x0a\x0b\x0a\x02v1\x12\x05Other"))
	f.Add([]byte("k8s:enc:aescbc:v1:key:x"))
	f.Fuzz(func(t *testing.T, value []byte) {
		item := cache.Decode(store.KV{Key: "/registry/pods/default/a", Value: value, Revision: 7})
		if item.Broken != nil {
			return
		}
		o, err := ty.Decode(item)
		if err != nil {
			t.Fatal(err)
		}
		if o.GetResourceVersion() != "7" {
			t.Errorf("decoded at %s", o.GetResourceVersion())
		}
		if text := ty.AppendObject(nil, item); !json.Valid(text) {
			t.Errorf("JSON: %s", text)
		}
		if text := ty.AppendPartial(nil, item, resource.MetaV1beta1); !json.Valid(text) {
			t.Errorf("partial: %s", text)
		}
		wire, err := ty.AppendProtobuf(nil, item)
		if err != nil {
			t.Fatal(err)
		}
		back := ty.New()
		if err := back.Unmarshal(envelope(t, wire, "v1", "Pod")); err != nil || back.GetResourceVersion() != "7" {
			t.Errorf("protobuf reads back at %s, %v", back.GetResourceVersion(), err)
		}
		if _, err := ty.AppendPartialProtobuf(nil, item); err != nil {
			t.Error(err)
		}
	})
}
