package fieldmanager

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed" // for the schema
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

//go:embed schema.json.gz
var packed []byte

// schemaFile is the generated file; tools/openapi writes it. Types are referred to by their numbers, which begin at 1.
type schemaFile struct {
	Kinds map[string]int `json:"kinds"` // "group/version/Kind" to the number of its type
	Types []fileAtom     `json:"types"`
}

type fileAtom struct {
	Name   string    `json:"n"` // where the library knows the type by it
	Scalar string    `json:"s"`
	List   *fileList `json:"l"`
	Map    *fileMap  `json:"m"`
}

type fileList struct {
	Relation schema.ElementRelationship `json:"r"`
	Keys     []string                   `json:"k"`
	Element  fileRef                    `json:"e"`
}

type fileMap struct {
	Relation schema.ElementRelationship `json:"r"`
	Fields   []fileField                `json:"f"`
	Element  *fileRef                   `json:"e"`
}

type fileField struct {
	Name    string  `json:"n"`
	Type    fileRef `json:"t"`
	Default any     `json:"d"`
}

type fileRef struct {
	Number   int                        `json:"n"`
	Relation schema.ElementRelationship `json:"r"`
	Inlined  *fileAtom                  `json:"i"`
}

// Schema says how the fields of every served kind can be owned. It is made by [NewSchema], reads its file at the first use
// and may be shared.
type Schema struct {
	load func() (*loaded, error)
}

// loaded is the schema in the form that the library works with.
type loaded struct {
	parser typed.Parser
	kinds  map[runtimeschema.GroupVersionKind]string
	plans  plans
}

// NewSchema returns the schema of the built-in kinds. It costs nothing until it is used, and then a few milliseconds once.
func NewSchema() *Schema { return &Schema{load: sync.OnceValues(loadSchema)} }

func loadSchema() (*loaded, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("schema of field ownership: %w", err)
	}
	var file schemaFile
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, fmt.Errorf("schema of field ownership: %w", err)
	}
	names := make(typeNames, len(file.Types))
	for i := range names {
		names[i] = cmp.Or(file.Types[i].Name, strconv.Itoa(i+1))
	}
	l := &loaded{kinds: make(map[runtimeschema.GroupVersionKind]string, len(file.Kinds))}
	l.parser.Schema.Types = make([]schema.TypeDef, len(file.Types))
	for i, a := range file.Types {
		l.parser.Schema.Types[i] = schema.TypeDef{Name: names[i], Atom: names.atom(a)}
	}
	for kind, number := range file.Kinds {
		gvk, err := parseKind(kind)
		if err != nil {
			return nil, err
		}
		l.kinds[gvk] = names[number-1]
	}
	return l, nil
}

func parseKind(s string) (runtimeschema.GroupVersionKind, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return runtimeschema.GroupVersionKind{}, fmt.Errorf("schema of field ownership: kind %q", s)
	}
	return runtimeschema.GroupVersionKind{Group: parts[0], Version: parts[1], Kind: parts[2]}, nil
}

// typeNames are the names by which the library finds types: their numbers as text, except for the few that it knows.
type typeNames []string

func (n typeNames) atom(a fileAtom) (out schema.Atom) {
	if a.Scalar != "" {
		s := schema.Scalar(a.Scalar)
		out.Scalar = &s
	}
	if l := a.List; l != nil {
		out.List = &schema.List{ElementRelationship: l.Relation, Keys: l.Keys, ElementType: n.ref(l.Element)}
	}
	if m := a.Map; m != nil {
		out.Map = &schema.Map{ElementRelationship: m.Relation}
		for _, f := range m.Fields {
			out.Map.Fields = append(out.Map.Fields, schema.StructField{Name: f.Name, Type: n.ref(f.Type), Default: f.Default})
		}
		if m.Element != nil {
			out.Map.ElementType = n.ref(*m.Element)
		}
	}
	return out
}

func (n typeNames) ref(r fileRef) (out schema.TypeRef) {
	switch {
	case r.Number > 0:
		out.NamedType = &n[r.Number-1]
	case r.Inlined != nil:
		out.Inlined = n.atom(*r.Inlined)
	}
	if r.Relation != "" {
		out.ElementRelationship = &r.Relation
	}
	return out
}

// Type returns how the values of a kind are merged, for those that merge them without owning them. It is false for a kind that the
// schema does not have.
func (s *Schema) Type(kind runtimeschema.GroupVersionKind) (typed.ParseableType, bool, error) {
	l, err := s.load()
	if err != nil {
		return typed.ParseableType{}, false, err
	}
	name, ok := l.kinds[kind]
	if !ok {
		return typed.ParseableType{}, false, nil
	}
	return l.parser.Type(name), true, nil
}
