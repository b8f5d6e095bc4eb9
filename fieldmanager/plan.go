package fieldmanager

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// form is how the fields of a value can be owned.
type form int

const (
	unsupported form = iota // left to the library
	leaf                    // as one: scalars, and whatever is atomic
	fields                  // each field of a struct apart
	entries                 // each entry of a map apart
	items                   // each item of a list apart, identified by keys or by itself
)

// plan tells how values of one Go type with one schema are compared. Plans of types that contain themselves are cyclic. A plan
// is immutable once compiled.
type plan struct {
	form   form
	scalar bool // of a leaf that the schema calls a scalar
	loose  bool // of a leaf that the schema allows to be anything: null is left to the library
	fields []fieldPlan
	item   *plan     // of an entry or item
	keys   []keyPlan // of items that are structs; sorted by name
	equal  equal     // of the Go type
}

// fieldPlan is a field of a struct. Those of embedded structs are among the fields of the struct around them.
type fieldPlan struct {
	name      string // in JSON
	key       string // the path element
	index     []int
	omitEmpty bool
	omitZero  func(reflect.Value) bool
	plan      *plan
	passed    bool // nobody comes to own the field; it is only looked at for what is unsupported
}

// keyPlan is a field that is part of what identifies an item.
type keyPlan struct {
	name     string
	field    *fieldPlan
	fallback *keyPart // where the field is absent; nil leaves the item to the library
}

// omitted reports whether JSON leaves out the field with this value.
func (f *fieldPlan) omitted(v reflect.Value) bool {
	return (f.omitEmpty && isEmpty(v)) || (f.omitZero != nil && f.omitZero(v))
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}

// plans compiles plans and keeps them.
type plans struct {
	mu   sync.Mutex // guards done
	done map[planKey]*plan
}

// planKey identifies a plan: a name stands for a type of the schema together with the relation that overrides that of the type.
type planKey struct {
	goType   reflect.Type
	name     string
	relation schema.ElementRelationship
}

// of returns the plan for a named type of the schema.
func (l *loaded) plan(t reflect.Type, name string) *plan {
	l.plans.mu.Lock()
	defer l.plans.mu.Unlock()
	if l.plans.done == nil {
		l.plans.done = make(map[planKey]*plan)
	}
	return l.compile(t, schema.TypeRef{NamedType: &name})
}

// compile makes the plan of a Go type and a type of the schema. The caller holds the lock of plans.
func (l *loaded) compile(t reflect.Type, ref schema.TypeRef) *plan {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var key planKey
	if ref.NamedType != nil {
		key = planKey{goType: t, name: *ref.NamedType}
		if ref.ElementRelationship != nil {
			key.relation = *ref.ElementRelationship
		}
		if p := l.plans.done[key]; p != nil {
			return p
		}
	}
	p := &plan{equal: equalOf(t)}
	if ref.NamedType != nil {
		l.plans.done[key] = p
	}
	if a, ok := l.parser.Schema.Resolve(ref); ok {
		l.fill(p, t, a)
	}
	return p
}

func (l *loaded) fill(p *plan, t reflect.Type, a schema.Atom) {
	list, m := a.List, a.Map
	atomicList := list == nil || list.ElementRelationship == schema.Atomic
	atomicMap := m == nil || m.ElementRelationship == schema.Atomic
	switch {
	case atomicList && atomicMap && (list != nil || m != nil || a.Scalar != nil):
		p.form, p.scalar = leaf, list == nil && m == nil
	case a.Scalar != nil && slices.Contains(scalarTypes(), t):
		p.form, p.scalar, p.loose = leaf, true, true
	case a.Scalar != nil || (list != nil && m != nil) || marshals(t):
		// Types of several forms and types that write their own JSON are not worth a plan.
	case m != nil && t.Kind() == reflect.Struct:
		l.fillFields(p, t, m)
	case m != nil && t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && len(m.Fields) == 0:
		p.form, p.item = entries, l.compile(t.Elem(), m.ElementType)
	case list != nil && t.Kind() == reflect.Slice:
		l.fillItems(p, t.Elem(), list)
	}
}

// scalarTypes are the types that write their own JSON and never an object or a list.
func scalarTypes() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[resource.Quantity](), reflect.TypeFor[metav1.Time](),
		reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[metav1.Duration](),
	}
}

// fillFields plans the fields of a struct. One that the schema does not have makes the library report an error.
func (l *loaded) fillFields(p *plan, t reflect.Type, m *schema.Map) {
	for _, f := range structFields(t, nil) {
		if sf, ok := m.FindField(f.name); ok {
			f.plan = l.compile(t.FieldByIndex(f.index).Type, sf.Type)
		} else {
			f.plan = &plan{form: unsupported}
		}
		p.fields = append(p.fields, f)
	}
	p.form = fields
}

func (l *loaded) fillItems(p *plan, t reflect.Type, list *schema.List) {
	item := l.compile(t, list.ElementType)
	p.item = item
	if len(list.Keys) == 0 {
		if k := t.Kind(); item.form == leaf && item.scalar && (k == reflect.String || k == reflect.Int32 || k == reflect.Int64) && !marshals(t) {
			p.form = items
		}
		return
	}
	a, _ := l.parser.Schema.Resolve(list.ElementType)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || a.Map == nil {
		return
	}
	all := structFields(t, nil)
	for _, name := range list.Keys {
		i := slices.IndexFunc(all, func(f fieldPlan) bool { return f.name == name })
		if i < 0 || !keyable(t.FieldByIndex(all[i].index).Type) {
			return
		}
		sf, _ := a.Map.FindField(name)
		p.keys = append(p.keys, keyPlan{name: name, field: &all[i], fallback: keyDefault(name, sf.Default)})
	}
	slices.SortFunc(p.keys, func(a, b keyPlan) int { return cmp.Compare(a.name, b.name) })
	p.form = items
}

func keyable(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return !marshals(t) && (t.Kind() == reflect.String || t.Kind() == reflect.Int32 || t.Kind() == reflect.Int64)
}

func keyDefault(name string, v any) *keyPart {
	switch v := v.(type) {
	case string:
		if plain(v) {
			return &keyPart{name: name, text: v, isText: true}
		}
	case float64:
		if n := int64(v); float64(n) == v {
			return &keyPart{name: name, number: n}
		}
	}
	return nil
}

// marshals reports whether values of the type write their own JSON.
func marshals(t reflect.Type) bool {
	m := reflect.TypeFor[json.Marshaler]()
	return t.Implements(m) || reflect.PointerTo(t).Implements(m)
}

// structFields are the fields of a struct as JSON has them, sorted by name, without plans.
func structFields(t reflect.Type, index []int) (out []fieldPlan) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if has(options, "inline") && f.Type.Kind() == reflect.Struct {
			out = append(out, structFields(f.Type, at)...)
			continue
		}
		name = cmp.Or(name, f.Name)
		plan := fieldPlan{name: name, key: "f:" + name, index: at, omitEmpty: has(options, "omitempty")}
		if has(options, "omitzero") {
			plan.omitZero = value.OmitZeroFunc(f.Type)
		}
		out = append(out, plan)
	}
	slices.SortFunc(out, func(a, b fieldPlan) int { return cmp.Compare(a.name, b.name) })
	return out
}

func has(options, option string) bool { return slices.Contains(strings.Split(options, ","), option) }
