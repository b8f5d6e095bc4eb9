package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Each asks the rules of every element of a list, or value of a map. Values of a map have nothing older to be compared with
// unless their key was there before, and elements of a list never have.
// The values of maps get no defaults.
func Each(rules ...Rule) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		t = indirect(t)
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Map {
			return step{}, fmt.Errorf("there is nothing to ask each of in %s", t)
		}
		steps, err := compileAll(t.Elem(), rules)
		if err != nil {
			return step{}, err
		}
		if t.Kind() == reflect.Map {
			return step{check: eachOfMap(steps)}, nil
		}
		return step{fill: fillEach(steps), check: eachOfList(steps)}, nil
	})
}

func fillEach(steps []step) func(reflect.Value) {
	if !slices.ContainsFunc(steps, func(s step) bool { return s.fill != nil }) {
		return nil
	}
	return func(v reflect.Value) {
		v, ok := deref(v)
		if !ok {
			return
		}
		for i := range v.Len() {
			for _, s := range steps {
				if s.fill != nil {
					s.fill(v.Index(i))
				}
			}
		}
	}
}

func eachOfList(steps []step) func(*Checker, reflect.Value, reflect.Value) bool {
	return func(c *Checker, v, _ reflect.Value) bool {
		v, ok := deref(v)
		if !ok {
			return true
		}
		for i := range v.Len() {
			depth := c.enterIndex(i)
			runAll(steps, c, v.Index(i), reflect.Value{})
			c.leave(depth)
		}
		return true
	}
}

func eachOfMap(steps []step) func(*Checker, reflect.Value, reflect.Value) bool {
	return func(c *Checker, v, old reflect.Value) bool {
		v, _ = deref(v)
		old, _ = deref(old)
		for _, k := range sortedKeys(v) {
			var before reflect.Value
			if old.IsValid() {
				before = old.MapIndex(k)
			}
			depth := c.enterKey(k.String())
			runAll(steps, c, v.MapIndex(k), before)
			c.leave(depth)
		}
		return true
	}
}

// EachKey asks the rules of every key of a map whose keys are strings.
func EachKey(rules ...Rule) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		if t.Kind() != reflect.Map {
			return step{}, fmt.Errorf("%s has no keys", t)
		}
		steps, err := compileAll(t.Key(), rules)
		if err != nil {
			return step{}, err
		}
		return step{check: func(c *Checker, v, _ reflect.Value) bool {
			for _, k := range sortedKeys(v) {
				depth := c.enterKey(k.String())
				runAll(steps, c, k, reflect.Value{})
				c.leave(depth)
			}
			return true
		}}, nil
	})
}

// sortedKeys puts the keys of a map, or of the zero Value, in order, so that answers do not depend on chance.
func sortedKeys(v reflect.Value) []reflect.Value {
	if !v.IsValid() || v.Len() == 0 {
		return nil
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// MaxItems bounds the length of a list or map.
func MaxItems(most int) Rule {
	return checked(func(c *Checker, v, _ reflect.Value) bool {
		if v, ok := deref(v); ok && v.Len() > most {
			c.Add(field.TooMany(c.Path(), v.Len(), most))
		}
		return true
	})
}

// Unique asks that no two elements T of a list have the same key. The error is at the later element, below it at the path of names,
// and shows the key.
func Unique[T any, K comparable](key func(*T) K, names ...string) Rule {
	return Check(func(c *Checker, v, _ *[]T) {
		if len(*v) < 2 {
			return
		}
		seen := make(map[K]bool, len(*v))
		for i := range *v {
			k := key(&(*v)[i])
			if seen[k] {
				p := c.Path().Index(i)
				for _, n := range names {
					p = p.Child(n)
				}
				c.Add(field.Duplicate(p, k))
			}
			seen[k] = true
		}
	})
}

// NullIfEmpty makes a list without elements a missing one. It is for lists that answers show even where there are none: what is stored cannot
// tell the two apart, and who writes an object reads what others will read. It belongs into the Create and Update of a [Spec], since who
// sends an empty list comes to own it.
func NullIfEmpty[E any](list *[]E) {
	if len(*list) == 0 {
		*list = nil
	}
}
