package cluster

import (
	"maps"
	"slices"
	"strings"
)

// sortedKeys are the keys of a map in order, so that answers do not depend on chance.
func sortedKeys[K ~string, V any](m map[K]V) []K {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// hasDomain tells names that are qualified by whose they are.
func hasDomain(name string) bool { return strings.Contains(name, "/") }
