package diff

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// connecting are subresources that lead to another server.
func connecting() []string { return []string{"exec", "attach", "portforward", "proxy", "log"} }

// subresources are requests of each subresource of the kind, of status and scale where there is none, and of one that nobody has. The bodies
// are of the right and of wrong kinds, names and namespaces.
func (b *batch) subresources(item string) []Case {
	names := slices.Compact(slices.Sorted(slices.Values(append([]string{"status", "scale", "nosuch"}, b.kind.Subresources...))))
	var cases []Case
	for _, sub := range names {
		if slices.Contains(connecting(), sub) {
			continue
		}
		path := item + "/" + sub
		cases = append(cases,
			b.asking(http.MethodGet, path, sub+": read", "read", ""),
			b.asking(http.MethodGet, path+"?resourceVersion=0", sub+": read", "at any version", ""),
			b.asking(http.MethodGet, b.kind.Collection("${ns}")+"/nosuch/"+sub, sub+": read", "of what is not there", ""),
			b.asking(http.MethodDelete, path+"?dryRun=All", sub+": delete", "delete", ""),
			b.asking(http.MethodGet, path+"?watch=true&timeoutSeconds=1", sub+": read", "watch", ""),
		)
		for _, body := range b.subBodies() {
			for _, method := range []string{http.MethodPut, http.MethodPost} {
				cases = append(cases, b.asking(method, path+"?dryRun=All", sub+": "+method, body.name, body.text))
			}
		}
		cases = append(cases, b.subPatches(path, sub)...)
	}
	return cases
}

// document is the body of a request, and what is particular about it.
type document struct{ name, text string }

// subBodies are bodies of writes to subresources, most of them of a wrong kind there.
func (b *batch) subBodies() []document {
	var all []document
	add := func(name string, object map[string]any) {
		data, err := json.Marshal(object)
		if err != nil {
			data = []byte(err.Error())
		}
		all = append(all, document{name, string(data)})
	}
	changed := func(at path, value any) map[string]any {
		object, _ := deepCopy(b.lasting()).(map[string]any)
		_ = pathOfName.set(object, "${item}")
		_ = at.set(object, value)
		return object
	}
	add("the object", changed(pathOfName, "${item}"))
	add("an old version", changed(pathOfVersion, "1"))
	add("another name", changed(pathOfName, "other"))
	add("no name", changed(pathOfName, ""))
	add("another namespace", changed(path{"metadata", "namespace"}, "other"))
	add("another uid", changed(path{"metadata", "uid"}, "00000000-0000-0000-0000-000000000000"))
	add("another kind", changed(path{"kind"}, "Nosuch"))
	add("another version", changed(path{"apiVersion"}, "example.com/v1"))
	add("no kind", changed(path{"kind"}, ""))
	all = append(all, document{"an empty object", "{}"}, document{"null", "null"}, document{"no JSON", "{"})
	for _, spec := range []string{`{"replicas":3}`, `{"replicas":0}`, `{"replicas":-1}`, `{"replicas":"x"}`, `{}`, `{"nosuch":1}`} {
		all = append(all, document{"a scale of " + spec, `{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"${item}"},"spec":` + spec + `}`})
	}
	for _, meta := range []string{`{"name":"other"}`, `{}`, `{"name":"${item}","namespace":"other"}`, `{"name":"${item}","resourceVersion":"1"}`, `{"name":"${item}","uid":"x"}`} {
		all = append(all, document{"a scale with " + meta, `{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":` + meta + `,"spec":{"replicas":2}}`})
	}
	for kind, gv := range map[string]string{"Binding": "v1", "Eviction": "policy/v1", "TokenRequest": "authentication.k8s.io/v1"} {
		all = append(all, document{"a " + kind, fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"${item}"}}`, gv, kind)})
	}
	slices.SortStableFunc(all, func(a, b document) int { return strings.Compare(a.name, b.name) })
	return all
}

// subPatches are patches of the four types.
func (b *batch) subPatches(path, sub string) []Case {
	var cases []Case
	for _, media := range []string{mergePatch, strategicPatch} {
		for name, body := range map[string]string{
			"labels": `{"metadata":{"labels":{"patched":"x"}}}`, "replicas": `{"spec":{"replicas":4}}`, "bad replicas": `{"spec":{"replicas":"x"}}`,
			"negative replicas": `{"spec":{"replicas":-4}}`, "status": `{"status":{"replicas":7,"phase":"Failed"}}`, "no status": `{"status":null}`, "another name": `{"metadata":{"name":"other"}}`,
			"another kind": `{"kind":"Nosuch"}`, "another version": `{"apiVersion":"example.com/v1"}`, "unknown": `{"nosuch":1}`, "old version": `{"metadata":{"resourceVersion":"1"}}`,
			"a list": `[]`,
		} {
			c := b.asking(http.MethodPatch, path+"?dryRun=All", sub+": patch", media+" of "+name, body)
			c.Request.Header.Set("Content-Type", media)
			cases = append(cases, c)
		}
	}
	for _, body := range []string{
		`[{"op":"replace","path":"/spec/replicas","value":4}]`, `[{"op":"remove","path":"/status"}]`, `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`,
		`[{"op":"test","path":"/spec/replicas","value":99}]`,
	} {
		c := b.asking(http.MethodPatch, path+"?dryRun=All", sub+": patch", body, body)
		c.Request.Header.Set("Content-Type", jsonPatch)
		cases = append(cases, c)
	}
	scale := map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": map[string]any{"name": "${item}"}, "spec": map[string]any{"replicas": 5}}
	rich, _ := deepCopy(b.lasting()).(map[string]any)
	_ = pathOfName.set(rich, "${item}")
	cases = append(cases, b.apply(path+"?dryRun=All&fieldManager=one", sub+": apply", "a scale", scale), b.apply(path+"?dryRun=All&fieldManager=one", sub+": apply", "the object", rich))
	slices.SortStableFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases
}
