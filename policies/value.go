package policies

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Objects reach policies as Rego values. Most come as structs of k8s.io/api, and are turned into values field by field, straight from the
// struct: by way of a generic map each field would be allocated, hashed and boxed twice, which was a tenth of what a CREATE of a pod cost.
// What remains is mostly allocation, so that what can be shared is: a field's name is one term for ever, terms come in blocks, and the
// fields of an object are collected in a list that is used again.
//
// The rejected alternative is a value that converts what a policy asks for: Rego's object type cannot be implemented outside
// its package, the default policies read most of a pod's specification, and a value that is a part of another is hashed, all of it. The cost
// of this way is one more place that knows how structs become JSON; the names and rules of the fields come from the library that the
// rest of the server uses for that.

// termBlock is how many terms are allocated at once: about those of a small pod.
const termBlock = 64

// values converts objects. The zero value is usable, by any number of goroutines.
type values struct {
	plans sync.Map // of *plan by reflect.Type; one for each type within the kinds that the server knows
}

// plan is what is known of a type before any value of it is.
type plan struct {
	convert func(reflect.Value) (any, error) // nil unless the type has a JSON form of its own
	fields  []fieldPlan                      // of a struct
}

type fieldPlan struct {
	*value.FieldCacheEntry
	key *ast.Term
}

func (vs *values) plan(t reflect.Type) *plan {
	if known, ok := vs.plans.Load(t); ok {
		return known.(*plan)
	}
	entry := value.TypeReflectEntryOf(t)
	p := &plan{}
	switch {
	case t == reflect.TypeFor[intstr.IntOrString]():
		p.convert = intOrString
	case entry.CanConvertToUnstructured():
		p.convert = entry.ToUnstructured
	}
	for _, f := range entry.OrderedFields() {
		p.fields = append(p.fields, fieldPlan{f, ast.InternedTerm(f.JsonName)})
	}
	known, _ := vs.plans.LoadOrStore(t, p)
	return known.(*plan)
}

// object is the object as a value: null for nil and nil maps, what [ast.InterfaceToValue] says for decoded JSON, and for a pointer to
// an API struct its JSON form. A struct that leaves its kind out gets the given one.
func (vs *values) object(object any, kind schema.GroupVersionKind) (ast.Value, error) {
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
	c := &conversion{values: vs}
	if err := c.collect(v.Elem()); err != nil {
		return nil, err
	}
	apiVersion, name := kind.ToAPIVersionAndKind()
	c.collected.addMissing("apiVersion", apiVersion)
	c.collected.addMissing("kind", name)
	return ast.NewObject(c.collected...), nil
}

func (p *pairs) addMissing(key, text string) {
	if !slices.ContainsFunc(*p, func(f [2]*ast.Term) bool { return f[0].Value == ast.String(key) }) {
		p.add(key, ast.String(text))
	}
}

// conversion is that of one object.
type conversion struct {
	*values
	block     []ast.Term // what is left of the last one
	collected pairs      // fields of the objects under way, those of an inner one behind those of the outer
}

func (c *conversion) term(v ast.Value) *ast.Term {
	if len(c.block) == 0 {
		c.block = make([]ast.Term, termBlock)
	}
	t := &c.block[0]
	c.block = c.block[1:]
	t.Value = v
	return t
}

// text shares the terms of frequent strings.
func (c *conversion) text(s string) *ast.Term {
	if ast.HasInternedValue(s) {
		return ast.InternedTerm(s)
	}
	return c.term(ast.String(s))
}

// collect appends the fields of a struct to those collected.
func (c *conversion) collect(v reflect.Value) error {
	for _, field := range c.plan(v.Type()).fields {
		f := field.GetFrom(v)
		if field.CanOmit(f) {
			continue
		}
		converted, err := c.convert(f)
		if err != nil {
			return fmt.Errorf("%s: %w", field.JsonName, err)
		}
		c.collected = append(c.collected, [2]*ast.Term{field.key, converted})
	}
	return nil
}

// convert converts a part of an API struct.
func (c *conversion) convert(v reflect.Value) (*ast.Term, error) {
	if own := c.plan(v.Type()).convert; own != nil {
		generic, err := own(v)
		if err != nil {
			return nil, err
		}
		if s, ok := generic.(string); ok {
			return c.text(s), nil
		}
		converted, err := ast.InterfaceToValue(generic)
		return c.term(converted), err
	}
	switch v.Kind() {
	case reflect.String:
		return c.text(v.String()), nil
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
		return c.convert(v.Elem())
	case reflect.Slice:
		return c.list(v)
	case reflect.Map:
		return c.dictionary(v)
	case reflect.Struct:
		outer := len(c.collected)
		if err := c.collect(v); err != nil {
			return nil, err
		}
		return c.built(outer), nil
	default:
		return nil, fmt.Errorf("a %s has no JSON form", v.Type())
	}
}

// built makes an object of the fields that were collected since there were outer ones.
func (c *conversion) built(outer int) *ast.Term {
	t := c.term(ast.NewObject(c.collected[outer:]...))
	c.collected = c.collected[:outer]
	return t
}

func (c *conversion) list(v reflect.Value) (*ast.Term, error) {
	if v.IsNil() {
		return ast.InternedNullTerm, nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return c.term(ast.String(base64.StdEncoding.EncodeToString(v.Bytes()))), nil
	}
	terms := make([]*ast.Term, v.Len())
	for i := range terms {
		t, err := c.convert(v.Index(i))
		if err != nil {
			return nil, err
		}
		terms[i] = t
	}
	return c.term(ast.NewArray(terms...)), nil
}

func (c *conversion) dictionary(v reflect.Value) (*ast.Term, error) {
	if v.IsNil() {
		return ast.InternedNullTerm, nil
	}
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a %s has no JSON form", v.Type())
	}
	outer := len(c.collected)
	for entries := v.MapRange(); entries.Next(); {
		t, err := c.convert(entries.Value())
		if err != nil {
			return nil, err
		}
		c.collected = append(c.collected, [2]*ast.Term{c.text(entries.Key().String()), t})
	}
	return c.built(outer), nil
}

func intOrString(v reflect.Value) (any, error) {
	x := v.Interface().(intstr.IntOrString)
	switch x.Type {
	case intstr.Int:
		return int64(x.IntVal), nil
	case intstr.String:
		return x.StrVal, nil
	default:
		return nil, fmt.Errorf("neither a number nor a string: type %d", x.Type)
	}
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
