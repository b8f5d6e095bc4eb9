package rules

import (
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// frame is a value whose table is being asked, and with it those that the rule's value is part of.
type frame struct {
	v, old reflect.Value
	depth  int   // of its path
	facts  []any // what [Shared] made of it
}

// around finds the nearest frame of a type, and nil where there is none.
func around[T any](c *Checker) *frame {
	for i := len(c.frames) - 1; i >= 0; i-- {
		if f := &c.frames[i]; f.v.Type() == reflect.TypeFor[T]() {
			return f
		}
	}
	return nil
}

// Within is the nearest value of type T that has a table and that the rule's value is part of, and what it was before the update. It is
// for rules that depend on something further out. Both are nil where there is no such value, and old where nothing stood there.
func Within[T any](c *Checker) (v, old *T) {
	f := around[T](c)
	if f == nil {
		return nil, nil
	}
	return pointer[T](f.v, false), pointer[T](f.old, false)
}

// Shared is what several rules below a value of type T need to know about it. It is made once for each such value and kept until the
// table of the value has been gone through, so that lists of a large object are not searched for every element of other lists.
// It returns nil where [Within] finds nothing.
func Shared[F, T any](c *Checker, make func(v, old *T) *F) *F {
	f := around[T](c)
	if f == nil {
		return nil
	}
	for _, known := range f.facts {
		if known, ok := known.(*F); ok {
			return known
		}
	}
	made := make(pointer[T](f.v, false), pointer[T](f.old, false))
	f.facts = append(f.facts, made)
	return made
}

// Above is the path of a field of the value that [Within] finds for T, or of that value itself if there are no names.
func Above[T any](c *Checker, names ...string) *field.Path {
	f := around[T](c)
	if f == nil {
		return nil
	}
	outer := Checker{steps: c.steps[:f.depth:f.depth]}
	if len(names) == 0 {
		return outer.Path()
	}
	return outer.At(names[0], names[1:]...)
}

// FillIn sets the defaults that a table has for a value, for functions that decide which table applies.
func FillIn[T any](s *Set, v *T) { s.fill(reflect.ValueOf(v).Elem()) }
