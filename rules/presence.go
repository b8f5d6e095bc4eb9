package rules

import (
	"fmt"
	"reflect"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Default sets a field that is nil or zero. value is converted to the field's type, or to what it points to.
func Default(value any) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		x := reflect.ValueOf(value)
		if !x.CanConvert(indirect(t)) || (x.Kind() == reflect.String) != (indirect(t).Kind() == reflect.String) {
			return step{}, fmt.Errorf("a default of type %T does not fit %s", value, t)
		}
		x = x.Convert(indirect(t))
		return step{fill: func(v reflect.Value) {
			switch {
			case !v.IsZero():
			case v.Kind() == reflect.Pointer:
				p := reflect.New(x.Type())
				p.Elem().Set(x)
				v.Set(p)
			default:
				v.Set(x)
			}
		}}, nil
	})
}

// Required asks for a value: not nil, not zero, not empty. The entry ends where there is none. detail is appended to the message;
// leaving it out is usual.
func Required(detail ...string) Rule {
	return checked(func(c *Checker, v, _ reflect.Value) bool {
		if !empty(v) {
			return true
		}
		c.Add(field.Required(c.Path(), first(detail)))
		return false
	})
}

// Optional ends the entry where there is no value: nil, zero or empty.
func Optional() Rule {
	return checked(func(_ *Checker, v, _ reflect.Value) bool { return !empty(v) })
}

// Absent refuses any value.
func Absent(detail string) Rule {
	return checked(func(c *Checker, v, _ reflect.Value) bool {
		if !empty(v) {
			c.Add(field.Forbidden(c.Path(), detail))
		}
		return true
	})
}

// Immutable refuses a change of the value on update. Empty and nil lists and maps are the same. The entry ends where it changed.
func Immutable() Rule { return immutable(func(bool) bool { return true }) }

// ImmutableOnceSet is [Immutable] for a field that may be set later, once.
func ImmutableOnceSet() Rule { return immutable(func(wasEmpty bool) bool { return !wasEmpty }) }

func immutable(applies func(wasEmpty bool) bool) Rule {
	return checked(func(c *Checker, v, old reflect.Value) bool {
		if !c.updating || !old.IsValid() || !applies(empty(old)) || same(v, old) {
			return true
		}
		c.Add(field.Invalid(c.Path(), shown(v), "field is immutable"))
		return false
	})
}

// Unchanged ends the entry where an update leaves the value as it was: what was stored under older rules may stay.
func Unchanged() Rule {
	return checked(func(_ *Checker, v, old reflect.Value) bool { return !old.IsValid() || !same(v, old) })
}

func checked(f func(c *Checker, v, old reflect.Value) bool) Rule {
	return ruleFunc(func(reflect.Type) (step, error) { return step{check: f}, nil })
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

func same(a, b reflect.Value) bool {
	if a.Comparable() && a.Kind() != reflect.Pointer && a.Kind() != reflect.Struct && a.Kind() != reflect.Interface {
		return a.Equal(b)
	}
	return apiequality.Semantic.DeepEqual(a.Interface(), b.Interface())
}

// shown is the value as an error shows it; field errors follow pointers themselves.
func shown(v reflect.Value) any { return Shown(v.Interface()) }

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}
