package openapi_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/internal/openapi"
	"github.com/gatehouse/gatehouse/resource"
)

// operation is the part of an operation that clients look operations up by; both formats spell it the same.
type operation struct {
	Action string `json:"x-kubernetes-action"`
	Kind   kind   `json:"x-kubernetes-group-version-kind"`
}

type kind struct{ Group, Version, Kind string }

// operations is keyed by method and path.
type operations map[string]operation

func load(t *testing.T) *openapi.Documents {
	t.Helper()
	d, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func unpack(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// read decodes a document into v, which declares the fields the test looks at.
func read(t *testing.T, d openapi.Document, v any) {
	t.Helper()
	if err := json.Unmarshal(unpack(t, d.JSON), v); err != nil {
		t.Fatal(err)
	}
}

// readOperations returns the operations that have an action, which is all but those about the API itself.
func readOperations(t *testing.T, d openapi.Document) operations {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	read(t, d, &doc)
	found := make(operations)
	for path, item := range doc.Paths {
		for method, text := range item {
			if method == "parameters" {
				continue
			}
			var op operation
			if err := json.Unmarshal(text, &op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			if op.Action != "" {
				found[method+" "+path] = op
			}
		}
	}
	return found
}

func builtin(t *testing.T) *resource.Table {
	t.Helper()
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func documentPath(ty *resource.Type) string {
	if ty.Group == "" {
		return "api/" + ty.Version
	}
	return "apis/" + ty.Group + "/" + ty.Version
}

// expected derives from the table what the documents have to say.
func expected(types []*resource.Type) operations {
	ops := make(operations)
	for _, ty := range types {
		self := kind{ty.Group, ty.Version, ty.Kind}
		root := "/" + documentPath(ty)
		within := ""
		if ty.Namespaced {
			within = "/namespaces/{namespace}"
		}
		collection := root + within + "/" + ty.Resource
		object := collection + "/{name}"
		for _, verb := range ty.Verbs {
			switch verb {
			case "list":
				ops["get "+collection] = operation{"list", self}
				ops["get "+root+"/"+ty.Resource] = operation{"list", self}
			case "watch":
				ops["get "+root+"/watch"+within+"/"+ty.Resource] = operation{"watchlist", self}
				ops["get "+root+"/watch/"+ty.Resource] = operation{"watchlist", self}
				ops["get "+root+"/watch"+within+"/"+ty.Resource+"/{name}"] = operation{"watch", self}
			case "deletecollection":
				ops["delete "+collection] = operation{"deletecollection", self}
			case "create":
				ops["post "+collection] = operation{"post", self}
			default:
				ops[method(verb)+" "+object] = operation{method(verb), self}
			}
		}
		for _, s := range ty.Subresources {
			of := self
			if s.Kind.Kind != "" {
				of = kind{s.Kind.Group, s.Kind.Version, s.Kind.Kind}
			}
			if s.Name != "log" && resource.Connects(ty.Group, ty.Resource, s.Name) {
				connections(ops, object+"/"+s.Name, of)
				continue
			}
			for _, verb := range s.Verbs {
				ops[method(verb)+" "+object+"/"+s.Name] = operation{method(verb), of}
			}
		}
	}
	return ops
}

// connections adds the operations of a subresource that leads to something that runs.
func connections(ops operations, path string, of kind) {
	for _, m := range []string{"get", "post"} {
		ops[m+" "+path] = operation{"connect", of}
	}
	if !strings.HasSuffix(path, "/proxy") {
		return
	}
	for _, m := range []string{"get", "post", "put", "patch", "delete", "head", "options"} {
		ops[m+" "+path] = operation{"connect", of}
		ops[m+" "+path+"/{path}"] = operation{"connect", of}
	}
}

func method(verb string) string {
	switch verb {
	case "create":
		return "post"
	case "update":
		return "put"
	default:
		return verb
	}
}

// Discovery and the documents come from one table; a resource added to it without generating again shows here.
func TestDocumentsSayWhatTheTableSays(t *testing.T) {
	d, table := load(t), builtin(t)
	t.Run("v2", func(t *testing.T) {
		if diff := cmp.Diff(expected(table.Types()), readOperations(t, d.V2())); diff != "" {
			t.Errorf("run make generate: operations (-table +document):\n%s", diff)
		}
	})
	byPath := byDocument(t)
	for path, doc := range d.V3() {
		t.Run("v3/"+path, func(t *testing.T) {
			if diff := cmp.Diff(expected(byPath[path]), readOperations(t, doc)); diff != "" {
				t.Errorf("run make generate: operations (-table +document):\n%s", diff)
			}
		})
	}
	for path := range byPath {
		if d.V3()[path].JSON == nil {
			t.Errorf("no OpenAPI 3 document for %s", path)
		}
	}
}

// byDocument groups the types of the table by the OpenAPI 3 document that describes them.
func byDocument(t *testing.T) map[string][]*resource.Type {
	t.Helper()
	types := make(map[string][]*resource.Type)
	for _, ty := range builtin(t).Types() {
		types[documentPath(ty)] = append(types[documentPath(ty)], ty)
	}
	return types
}

// kubectl explain and apply find a schema by its kind, never by its name.
func TestEveryKindHasASchema(t *testing.T) {
	type schema struct {
		Kinds []kind `json:"x-kubernetes-group-version-kind"`
	}
	kinds := func(schemas map[string]schema) map[kind]bool {
		all := make(map[kind]bool)
		for _, s := range schemas {
			for _, k := range s.Kinds {
				all[k] = true
			}
		}
		return all
	}
	d := load(t)
	var v2 struct{ Definitions map[string]schema }
	read(t, d.V2(), &v2)
	of2 := kinds(v2.Definitions)
	for path, types := range byDocument(t) {
		var v3 struct {
			Components struct{ Schemas map[string]schema }
		}
		read(t, d.V3()[path], &v3)
		of3 := kinds(v3.Components.Schemas)
		for _, ty := range types {
			want := kind{ty.Group, ty.Version, ty.Kind}
			if !of2[want] {
				t.Errorf("OpenAPI 2 has no schema for %v", want)
			}
			if !of3[want] {
				t.Errorf("OpenAPI 3 has no schema for %v", want)
			}
		}
	}
}

// Every reference has to lead somewhere, or clients refuse the whole document.
func TestReferencesResolve(t *testing.T) {
	d := load(t)
	documents := map[string]openapi.Document{"v2": d.V2()}
	for path, doc := range d.V3() {
		documents["v3/"+path] = doc
	}
	for name, doc := range documents {
		var root map[string]any
		read(t, doc, &root)
		seen := make(map[string]bool)
		references(root, seen)
		for ref := range seen {
			var at any = root
			for _, key := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[key]
			}
			if at == nil {
				t.Errorf("%s: %s leads nowhere", name, ref)
			}
		}
	}
}

func references(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			into[ref] = true
		}
		for _, e := range v {
			references(e, into)
		}
	case []any:
		for _, e := range v {
			references(e, into)
		}
	}
}

// What kubectl reads before it applies, patches or tries a dry run.
func TestObjectsCanBePatchedAndTried(t *testing.T) {
	type parameter struct{ Name, In string }
	type patch struct {
		Parameters  []parameter
		RequestBody struct{ Content map[string]any }
	}
	d := load(t)
	for path, types := range byDocument(t) {
		var doc struct {
			Paths map[string]struct{ Patch patch }
		}
		read(t, d.V3()[path], &doc)
		for _, ty := range types {
			if !slices.Contains(ty.Verbs, "patch") {
				continue
			}
			within := ""
			if ty.Namespaced {
				within = "/namespaces/{namespace}"
			}
			op := doc.Paths["/"+path+within+"/"+ty.Resource+"/{name}"].Patch
			for _, name := range []string{"dryRun", "fieldManager", "fieldValidation", "force"} {
				if !slices.Contains(op.Parameters, parameter{name, "query"}) {
					t.Errorf("%s: patch has no parameter %s", ty.GVR(), name)
				}
			}
			for _, mediaType := range []string{"json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"} {
				if op.RequestBody.Content["application/"+mediaType] == nil {
					t.Errorf("%s: patch does not take %s", ty.GVR(), mediaType)
				}
			}
		}
	}
}

// The hash is an ETag and part of an address that is kept for a year: it must change with the content.
func TestFormsAndHash(t *testing.T) {
	d := load(t)
	check := func(name string, doc openapi.Document, start string) {
		t.Helper()
		if want := fmt.Sprintf("%X", sha256.Sum256(unpack(t, doc.JSON))); doc.Hash != want {
			t.Errorf("%s: hash %q, want %q", name, doc.Hash, want)
		}
		// Field 1 of both messages is the version of the format.
		if binary := unpack(t, doc.Protobuf); !bytes.HasPrefix(binary, []byte(start)) {
			t.Errorf("%s: protobuf form starts with %q, want %q", name, binary[:min(8, len(binary))], start)
		}
	}
	check("v2", d.V2(), "\x0a\x032.0")
	for path, doc := range d.V3() {
		check(path, doc, "\x0a\x053.0.0")
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := openapi.Load(); err != nil {
			b.Fatal(err)
		}
	}
}
