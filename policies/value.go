package policies

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Objects reach policies as Rego values. Most come as structs of k8s.io/api, and are turned into values field by field, straight from the
// struct: by way of a generic map each field would be allocated, hashed and boxed twice, which was a tenth of what a CREATE of a pod cost.
// The rejected alternative is a value that converts what a policy asks for: Rego's object type cannot be implemented outside
// its package, and the default policies read most of a pod's specification. The cost of this way is one more place that knows how
// structs become JSON; the names and rules of the fields come from the library that the rest of the server uses for that.

// objectValue is the object as a value: null for nil and nil maps, what [ast.InterfaceToValue] says for decoded JSON, and for a pointer to
// an API struct its JSON form. A struct that leaves its kind out gets the given one.
func objectValue(object any, kind schema.GroupVersionKind) (ast.Value, error) {
	switch o := object.(type) {
	case nil:
		return ast.NullValue, nil
	case map[string]any:
		if o == nil {
			return ast.NullValue, nil
		}
		return ast.InterfaceToValue(o)
	}
	v := reflect.ValueOf(object)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("object is a %T, want a map or a pointer to a struct", object)
	}
	fields, err := structFields(make(pairs, 0, 8), v.Elem())
	if err != nil {
		return nil, err
	}
	apiVersion, name := kind.ToAPIVersionAndKind()
	fields.addMissing("apiVersion", apiVersion)
	fields.addMissing("kind", name)
	return ast.NewObject(fields...), nil
}

func (p *pairs) addMissing(key, text string) {
	if !slices.ContainsFunc(*p, func(f [2]*ast.Term) bool { return f[0].Value == ast.String(key) }) {
		p.add(key, ast.String(text))
	}
}

func structFields(p pairs, v reflect.Value) (pairs, error) {
	for _, field := range value.TypeReflectEntryOf(v.Type()).OrderedFields() {
		f := field.GetFrom(v)
		if field.CanOmit(f) {
			continue
		}
		converted, err := termOf(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.JsonName, err)
		}
		p = append(p, [2]*ast.Term{ast.InternedTerm(field.JsonName), converted})
	}
	return p, nil
}

// termOf converts a part of an API struct. Numbers and strings that are frequent share one term.
func termOf(v reflect.Value) (*ast.Term, error) {
	if entry := value.TypeReflectEntryOf(v.Type()); entry.CanConvertToUnstructured() {
		generic, err := entry.ToUnstructured(v)
		if err != nil {
			return nil, err
		}
		converted, err := ast.InterfaceToValue(generic)
		return ast.NewTerm(converted), err
	}
	switch v.Kind() {
	case reflect.String:
		return ast.InternedTerm(v.String()), nil
	case reflect.Bool:
		return ast.InternedTerm(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return ast.InternedTerm(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return ast.UIntNumberTerm(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%v is no number of JSON", f)
		}
		return ast.FloatNumberTerm(v.Float()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ast.InternedNullTerm, nil
		}
		return termOf(v.Elem())
	case reflect.Slice:
		return sliceTerm(v)
	case reflect.Map:
		return mapTerm(v)
	case reflect.Struct:
		fields, err := structFields(make(pairs, 0, 8), v)
		return ast.ObjectTerm(fields...), err
	default:
		return nil, fmt.Errorf("a %s has no JSON form", v.Type())
	}
}

func sliceTerm(v reflect.Value) (*ast.Term, error) {
	if v.IsNil() {
		return ast.InternedNullTerm, nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return ast.StringTerm(base64.StdEncoding.EncodeToString(v.Bytes())), nil
	}
	terms := make([]*ast.Term, v.Len())
	for i := range terms {
		t, err := termOf(v.Index(i))
		if err != nil {
			return nil, err
		}
		terms[i] = t
	}
	return ast.ArrayTerm(terms...), nil
}

func mapTerm(v reflect.Value) (*ast.Term, error) {
	if v.IsNil() {
		return ast.InternedNullTerm, nil
	}
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a %s has no JSON form", v.Type())
	}
	p := make(pairs, 0, v.Len())
	for entries := v.MapRange(); entries.Next(); {
		t, err := termOf(entries.Value())
		if err != nil {
			return nil, err
		}
		p = append(p, [2]*ast.Term{ast.InternedTerm(entries.Key().String()), t})
	}
	return ast.ObjectTerm(p...), nil
}

// genericObject is the object as decoded JSON, for patches; nil for none.
func genericObject(object any, kind schema.GroupVersionKind) (map[string]any, error) {
	switch o := object.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return o, nil
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	if m["kind"] == nil || m["apiVersion"] == nil {
		m["apiVersion"], m["kind"] = kind.ToAPIVersionAndKind()
	}
	return m, nil
}
