package storage

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// unbounded is for lists whose length is bounded by the size of the object only.
const unbounded = -1

// bounded asks the rules of each element of a list, unless there are too many to be looked at.
func bounded[T any](most int, element *rules.Set) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *[]T) { askEach(c, *v, most, element) })
}

// boundedSet is [bounded] for a list that has no two elements of the same key. Duplicates are told after all other errors.
func boundedSet[T any, K comparable](most int, key func(*T) K, element *rules.Set) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *[]T) {
		if !askEach(c, *v, most, element) {
			return
		}
		seen := make(map[K]bool, len(*v))
		for i := range *v {
			k := key(&(*v)[i])
			if seen[k] {
				c.Add(field.Duplicate(c.Path().Index(i), k))
			}
			seen[k] = true
		}
	})
}

func askEach[T any](c *rules.Checker, list []T, most int, element *rules.Set) bool {
	if most != unbounded && len(list) > most {
		c.Add(field.TooMany(c.Path(), len(list), most))
		return false
	}
	for i := range list {
		rules.InIndex(c, element, &list[i], nil, i)
	}
	return true
}

func itself(s *string) string { return *s }

// eachEntry asks about every key and then its value, in the order of the keys. Errors about a key are at the map, and those about a value
// at its key, of which the middle is left out where it is longer than longest bytes.
func eachEntry[K ~string, V any](
	c *rules.Checker, m map[K]V, longest int, key func(K, *field.Path) field.ErrorList, value func(*V, *field.Path) field.ErrorList,
) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v := m[k]
		if len(key(k, nil)) > 0 {
			c.Add(key(k, c.Path())...)
		}
		if len(value(&v, nil)) > 0 {
			c.Add(value(&v, c.Path().Key(shortened(string(k), longest)))...)
		}
	}
}

func shortened(s string, longest int) string {
	if len(s) <= longest {
		return s
	}
	const gap = "..."
	rest := longest - len(gap)
	return s[:(rest+1)/2] + gap + s[len(s)-rest/2:]
}
