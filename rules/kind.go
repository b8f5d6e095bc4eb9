package rules

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Spec is everything that is particular to the objects of one kind; T is its Go type. Metadata is not part of it: it is
// checked the same way for all kinds.
type Spec[T any] struct {
	// Fields are the defaults, rules and immutable fields of an object that is created, or changed through its main resource.
	Fields []Entry
	// Create sets what the server decides on a new object, after admission and before the rules; nil means nothing.
	Create func(o *T)
	// Update keeps or sets what the server decides when an object is changed through its main resource; the status has been kept
	// already. nil means nothing.
	Update func(o, old *T)
	// Parts are the subresources that write a part of the object, by name, such as "status".
	Parts map[string]Part[T]
}

// Part is a subresource that writes a part of an object.
type Part[T any] struct {
	// Update keeps from old what the subresource may not write, after the rule that goes for all kinds (for "status": everything
	// but the status and metadata is old). nil means nothing more.
	Update func(o, old *T)
	// Fields are the rules that hold for a write through the subresource.
	Fields []Entry
}

// Kind is a compiled [Spec]. The methods of a nil Kind do nothing, so a kind without rules needs none.
type Kind struct {
	fields *Set
	create func(o any)
	update func(o, old any)
	parts  map[string]part
}

type part struct {
	update func(o, old any)
	fields *Set
}

// For compiles a description. It panics where a table does not fit its type.
func For[T any](s Spec[T]) *Kind {
	k := &Kind{fields: Of[T](s.Fields...), update: untyped(s.Update), parts: map[string]part{}}
	if s.Create != nil {
		k.create = func(o any) { s.Create(o.(*T)) }
	}
	for name, p := range s.Parts {
		k.parts[name] = part{update: untyped(p.Update), fields: Of[T](p.Fields...)}
	}
	return k
}

func untyped[T any](f func(o, old *T)) func(o, old any) {
	if f == nil {
		return nil
	}
	return func(o, old any) { f(o.(*T), old.(*T)) }
}

// Default sets the defaults of an object, a pointer to the kind's Go type, as they hold for what clients write.
func (k *Kind) Default(o any) {
	if k != nil {
		k.fields.fill(reflect.ValueOf(o).Elem())
	}
}

// Create sets what the server decides on a new object.
func (k *Kind) Create(o any) {
	if k != nil && k.create != nil {
		k.create(o)
	}
}

// Update sets what the server decides on an object changed through the subresource, which is empty for the main resource.
func (k *Kind) Update(subresource string, o, old any) {
	if k == nil {
		return
	}
	f := k.update
	if subresource != "" {
		f = k.parts[subresource].update
	}
	if f != nil {
		f(o, old)
	}
}

// Check returns what is wrong with an object, and the warnings for whoever wrote it. old is nil on create. The subresource is
// the one that was written, empty for the main resource; one that the kind does not describe has no rules.
func (k *Kind) Check(subresource string, o, old any) (errs field.ErrorList, warnings []string) {
	if k == nil {
		return nil, nil
	}
	set := k.fields
	if subresource != "" {
		if set = k.parts[subresource].fields; set == nil {
			return nil, nil
		}
	}
	c := Checker{updating: old != nil, before: old}
	var before reflect.Value
	if old != nil {
		before = reflect.ValueOf(old).Elem()
	}
	v := reflect.ValueOf(o).Elem()
	if v.Type() != set.typ {
		return field.ErrorList{field.InternalError(nil, fmt.Errorf("rules for %s were asked about %T", set.typ, o))}, nil
	}
	set.check(&c, v, before)
	return c.errs, c.warnings
}
