package audit

import (
	"slices"
	"strings"
)

// annotation is one annotation of an event.
type annotation struct{ key, value string }

// annotations are those of a record, ordered by key, which is how they are encoded. A request has about three of them: a map for them
// has 340 bytes, and hashing, walking and sorting it was a fifth of what the record of a read cost.
type annotations []annotation

func (n annotations) find(key string) (at int, there bool) {
	return slices.BinarySearchFunc(n, key, func(have annotation, key string) int { return strings.Compare(have.key, key) })
}

// get returns the value of the key, empty if there is none.
func (n annotations) get(key string) string {
	if at, there := n.find(key); there {
		return n[at].value
	}
	return ""
}

// set returns the annotations with the value for the key, in the place of the one it had.
func (n annotations) set(key, value string) annotations {
	at, there := n.find(key)
	if there {
		n[at].value = value
		return n
	}
	return slices.Insert(n, at, annotation{key, value})
}

// sortedAnnotations appends those of the map to n, which is empty.
func sortedAnnotations(annotations map[string]string, n annotations) annotations {
	for key, value := range annotations {
		n = append(n, annotation{key, value})
	}
	slices.SortFunc(n, func(a, b annotation) int { return strings.Compare(a.key, b.key) })
	return n
}
