package policies

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const wildcard = "*"

// key is what the index is by. For validate and mutate policies it is operation, group, kind and subresource; for authorize policies
// verb, group, resource and subresource. Each part may be the wildcard.
type key [4]string

// index finds the policies of one type that a review may match. It is immutable after build.
type index struct {
	entries map[key][]*policy
	// masks are the sets of parts that are wildcards in some entry; a lookup makes one map access for each.
	masks []uint8
	// selects is true where some policy looks at the labels of namespaces.
	selects bool
}

func buildIndex(policies []*policy) *index {
	x := &index{entries: map[key][]*policy{}}
	for _, p := range policies {
		for k := range p.keys {
			x.entries[k] = append(x.entries[k], p)
			if m := maskOf(k); !slices.Contains(x.masks, m) {
				x.masks = append(x.masks, m)
			}
		}
		x.selects = x.selects || p.selector != nil
	}
	return x
}

func maskOf(k key) (mask uint8) {
	for i, part := range k {
		if part == wildcard {
			mask |= 1 << i
		}
	}
	return mask
}

// masked returns k with the parts of mask replaced by the wildcard.
func (k key) masked(mask uint8) key {
	for i := range k {
		if mask&(1<<i) != 0 {
			k[i] = wildcard
		}
	}
	return k
}

// any reports whether some policy has the key.
func (x *index) any(k key) bool {
	for _, m := range x.masks {
		if len(x.entries[k.masked(m)]) > 0 {
			return true
		}
	}
	return false
}

// find returns the policies that have the key, by name, each once.
func (x *index) find(k key) []*policy {
	var found []*policy
	hits := 0
	for _, m := range x.masks {
		e := x.entries[k.masked(m)]
		if len(e) == 0 {
			continue
		}
		if hits++; hits == 1 {
			found = e
			continue
		}
		found = slices.Concat(found, e)
	}
	if hits > 1 {
		slices.SortFunc(found, func(a, b *policy) int { return strings.Compare(a.name, b.name) })
		found = slices.Compact(found)
	}
	return found
}

// keysOf lists the index keys of a match.
func keysOf(t Type, m Match) map[key]struct{} {
	parts := [4][]string{m.Operations, m.Groups, m.Kinds, m.Subresources}
	if len(m.Operations) == 0 {
		parts[0] = []string{"CREATE", "UPDATE"}
	}
	keys := map[key]struct{}{}
	if t != Authorize {
		product(keys, parts)
		return keys
	}
	for _, r := range orWildcard(m.Resources) {
		resource, sub, _ := strings.Cut(r, "/")
		if r == wildcard {
			sub = wildcard
		}
		product(keys, [4][]string{m.Verbs, m.Groups, {resource}, {sub}})
	}
	return keys
}

func product(into map[key]struct{}, parts [4][]string) {
	for _, a := range orWildcard(parts[0]) {
		for _, b := range orWildcard(parts[1]) {
			for _, c := range orWildcard(parts[2]) {
				for _, d := range orWildcard(parts[3]) {
					into[key{a, b, c, d}] = struct{}{}
				}
			}
		}
	}
}

func orWildcard(list []string) []string {
	if len(list) == 0 || slices.Contains(list, wildcard) {
		return []string{wildcard}
	}
	return list
}

// inNamespace applies the namespace lists and the selector. Labels that are nil are not known, and match.
func (p *policy) inNamespace(namespace string, known map[string]string) bool {
	if namespace == "" {
		return len(p.meta.Match.Namespaces) == 0
	}
	if matchAny(p.meta.Match.ExcludeNamespaces, namespace) {
		return false
	}
	if len(p.meta.Match.Namespaces) > 0 && !matchAny(p.meta.Match.Namespaces, namespace) {
		return false
	}
	return p.selector == nil || known == nil || p.selector.Matches(labels.Set(known))
}

func matchAny(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return matchGlob(g, s) })
}

// matchGlob matches s against a pattern in which * stands for any characters, in time linear in both for each star.
func matchGlob(pattern, s string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

func selectorOf(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return nil, nil
	}
	return metav1.LabelSelectorAsSelector(s)
}
