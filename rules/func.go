package rules

import (
	"fmt"
	"reflect"
)

// Check attaches a function for what a rule alone cannot say. It is called with pointers into the object, and with old nil where
// there is nothing to compare with: on create, or where the part is new. For a field of pointer type T is the type pointed to, and
// a nil pointer is not asked about; T may also be the pointer type itself, which sees nil.
func Check[T any](f func(c *Checker, v, old *T)) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		through, err := fits[T](t)
		if err != nil {
			return step{}, err
		}
		return step{check: func(c *Checker, v, old reflect.Value) bool {
			if p := pointer[T](v, through); p != nil {
				f(c, p, pointer[T](old, through))
			}
			return true
		}}, nil
	})
}

// Fill attaches a function that sets defaults, for those that depend on other fields. It is called as for [Check].
func Fill[T any](f func(v *T)) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		through, err := fits[T](t)
		if err != nil {
			return step{}, err
		}
		return step{fill: func(v reflect.Value) {
			if p := pointer[T](v, through); p != nil {
				f(p)
			}
		}}, nil
	})
}

// If asks the rules only where the condition on their value holds. They set no defaults.
func If[T any](holds func(v *T) bool, rules ...Rule) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		through, err := fits[T](t)
		if err != nil {
			return step{}, err
		}
		steps, err := compileAll(t, rules)
		if err != nil {
			return step{}, err
		}
		return step{check: func(c *Checker, v, old reflect.Value) bool {
			p := pointer[T](v, through)
			return p == nil || !holds(p) || runAll(steps, c, v, old)
		}}, nil
	})
}

// fits reports how a T is found at a field of type t: directly, or through the pointer that the field is.
func fits[T any](t reflect.Type) (through bool, err error) {
	switch want := reflect.TypeFor[T](); {
	case t == want:
		return false, nil
	case t.Kind() == reflect.Pointer && t.Elem() == want:
		return true, nil
	default:
		return false, fmt.Errorf("a function of *%s does not fit %s", want, t)
	}
}

func pointer[T any](v reflect.Value, through bool) *T {
	if !v.IsValid() {
		return nil
	}
	if through {
		return v.Interface().(*T)
	}
	if !v.CanAddr() { // An element of a map; the function gets a copy.
		x := v.Interface().(T)
		return &x
	}
	return v.Addr().Interface().(*T)
}

func compileAll(t reflect.Type, rules []Rule) ([]step, error) {
	steps := make([]step, 0, len(rules))
	for _, r := range rules {
		s, err := r.compile(t)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// runAll runs checks until one ends the entry, and reports whether none did.
func runAll(steps []step, c *Checker, v, old reflect.Value) bool {
	for _, s := range steps {
		if s.check != nil && !s.check(c, v, old) {
			return false
		}
	}
	return true
}
