package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/schemaconv"
	"k8s.io/kube-openapi/pkg/spec3"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"

	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/tools/openapi/definitions"
)

// ownershipFile is what package fieldmanager reads: how the fields of each kind may be owned, which is the part of a schema that
// says what a list or map is merged by. Names of schemas are replaced by their numbers, since they are nearly all of its size.
type ownershipFile struct {
	Kinds map[string]int `json:"kinds"` // "group/version/Kind" to the number of its type
	Types []atom         `json:"types"`
}

// atom is a schema.Atom.
type atom struct {
	Name   string   `json:"n,omitempty"` // of a type whose name the library knows
	Scalar string   `json:"s,omitempty"`
	List   *listDef `json:"l,omitempty"`
	Map    *mapDef  `json:"m,omitempty"`
}

type listDef struct {
	Relation string   `json:"r,omitempty"`
	Keys     []string `json:"k,omitempty"`
	Element  typeRef  `json:"e"`
}

type mapDef struct {
	Relation string     `json:"r,omitempty"`
	Fields   []fieldDef `json:"f,omitempty"`
	Element  *typeRef   `json:"e,omitempty"`
}

type fieldDef struct {
	Name    string  `json:"n"`
	Type    typeRef `json:"t"`
	Default any     `json:"d,omitempty"`
}

// typeRef is a schema.TypeRef: the number of a type from 1, or the type itself.
type typeRef struct {
	Number   int    `json:"n,omitempty"`
	Relation string `json:"r,omitempty"`
	Inlined  *atom  `json:"i,omitempty"`
}

// ownership makes the file, compressed.
func ownership(table *resource.Table) ([]byte, error) {
	names, kinds, err := servedKinds(table)
	if err != nil {
		return nil, err
	}
	models, err := builder3.BuildOpenAPIDefinitionsForResources(&common.OpenAPIV3Config{
		Info: apiInfo(), GetDefinitions: definitions.GetOpenAPIDefinitions, GetDefinitionName: definitionNames().lookup,
		CommonResponses: map[int]*spec3.Response{
			http.StatusUnauthorized: {ResponseProps: spec3.ResponseProps{Description: "Unauthorized"}},
		},
	}, names...)
	if err != nil {
		return nil, err
	}
	converted, err := schemaconv.ToSchemaFromOpenAPI(models, false)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(converted.Types, func(a, b smd.TypeDef) int { return cmp.Compare(a.Name, b.Name) })
	numbers := make(map[string]int, len(converted.Types))
	for i, t := range converted.Types {
		numbers[t.Name] = i + 1
	}
	out := ownershipFile{Kinds: make(map[string]int, len(kinds))}
	for gvk, name := range kinds {
		if numbers[name] == 0 {
			return nil, fmt.Errorf("%s: no schema %s", gvk, name)
		}
		out.Kinds[gvk.Group+"/"+gvk.Version+"/"+gvk.Kind] = numbers[name]
	}
	for _, t := range converted.Types {
		a := toAtom(t.Atom, numbers)
		if strings.HasPrefix(t.Name, "__") {
			a.Name = t.Name
		}
		out.Types = append(out.Types, a)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return pack(text)
}

// servedKinds are the kinds of the table and of its subresources, and the names of their schemas.
func servedKinds(table *resource.Table) (names []string, kinds map[schema.GroupVersionKind]string, err error) {
	kinds = make(map[schema.GroupVersionKind]string)
	add := func(gvk schema.GroupVersionKind) error {
		name, err := scheme.Scheme.ToOpenAPIDefinitionName(gvk)
		kinds[gvk] = name
		return err
	}
	for _, t := range table.Types() {
		if err := add(t.GVK()); err != nil {
			return nil, nil, err
		}
		for _, s := range t.Subresources {
			if s.Kind.Kind == "" || resource.Connects(t.Group, t.Resource, s.Name) {
				continue
			}
			if err := add(s.Kind); err != nil {
				return nil, nil, err
			}
		}
	}
	return slices.Compact(slices.Sorted(maps.Values(kinds))), kinds, nil
}

func toAtom(a smd.Atom, numbers map[string]int) atom {
	var out atom
	if a.Scalar != nil {
		out.Scalar = string(*a.Scalar)
	}
	if l := a.List; l != nil {
		out.List = &listDef{Relation: string(l.ElementRelationship), Keys: l.Keys, Element: toRef(l.ElementType, numbers)}
	}
	if m := a.Map; m != nil {
		out.Map = &mapDef{Relation: string(m.ElementRelationship)}
		for _, f := range m.Fields {
			out.Map.Fields = append(out.Map.Fields, fieldDef{f.Name, toRef(f.Type, numbers), f.Default})
		}
		slices.SortFunc(out.Map.Fields, func(a, b fieldDef) int { return cmp.Compare(a.Name, b.Name) })
		if m.ElementType != (smd.TypeRef{}) {
			r := toRef(m.ElementType, numbers)
			out.Map.Element = &r
		}
	}
	return out
}

func toRef(r smd.TypeRef, numbers map[string]int) (out typeRef) {
	if r.NamedType != nil {
		out.Number = numbers[*r.NamedType]
	} else {
		a := toAtom(r.Inlined, numbers)
		out.Inlined = &a
	}
	if r.ElementRelationship != nil {
		out.Relation = string(*r.ElementRelationship)
	}
	return out
}

// pack compresses without a time, so that equal texts give equal bytes.
func pack(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
