package fieldmanager

import (
	"slices"
	"strings"
)

// set is a set of paths as a tree: what the library calls a fieldpath.Set, in the form that FieldsV1 has on the wire. The zero
// value at the root is the empty set. A node that is neither a member nor has children does not occur below the root.
type set struct {
	// key is the path element as it stands between the quotes of FieldsV1, escapes included: f:name, k:{\"name\":\"x\"} or v:1.
	key string
	// member tells whether the path that ends here is in the set.
	member bool
	// children are sorted by compareKeys and differ.
	children []set
}

// add appends a child, whose key is behind those of the others.
func (s *set) add(c set) {
	if s.children == nil {
		s.children = make([]set, 0, 4) // few have fewer
	}
	s.children = append(s.children, c)
}

func (s *set) empty() bool { return !s.member && len(s.children) == 0 }

// appendTo appends the set as FieldsV1.
func (s *set) appendTo(b []byte) []byte {
	b = append(b, '{')
	if s.key != "" && s.member && len(s.children) > 0 {
		b = append(b, `".":{},`...)
	}
	for i := range s.children {
		if i > 0 {
			b = append(b, ',')
		}
		c := &s.children[i]
		b = append(b, '"')
		b = append(b, c.key...)
		b = append(b, '"', ':')
		b = c.appendTo(b)
	}
	return append(b, '}')
}

// union returns the paths in either set. It shares memory with both.
func union(a, b set) set {
	out := set{key: a.key, member: a.member || b.member}
	if len(a.children) == 0 || len(b.children) == 0 {
		out.children = slices.Concat(a.children, b.children)
		return out
	}
	out.children = make([]set, 0, len(a.children)+len(b.children))
	zip(a.children, b.children, func(x, y *set) {
		switch {
		case y == nil:
			out.children = append(out.children, *x)
		case x == nil:
			out.children = append(out.children, *y)
		default:
			out.children = append(out.children, union(*x, *y))
		}
	})
	return out
}

// difference returns the paths of a that are not in b. It shares memory with a.
func difference(a, b set) set {
	out := set{key: a.key, member: a.member && !b.member}
	if len(b.children) == 0 {
		out.children = a.children
		return out
	}
	out.children = make([]set, 0, len(a.children))
	zip(a.children, b.children, func(x, y *set) {
		switch {
		case x == nil:
		case y == nil:
			out.children = append(out.children, *x)
		default:
			if d := difference(*x, *y); !d.empty() {
				out.children = append(out.children, d)
			}
		}
	})
	return out
}

// intersects reports whether a path is in both sets.
func intersects(a, b set) bool {
	if a.member && b.member {
		return true
	}
	found := false
	if len(a.children) > 0 && len(b.children) > 0 {
		zip(a.children, b.children, func(x, y *set) {
			found = found || (x != nil && y != nil && intersects(*x, *y))
		})
	}
	return found
}

// contains reports whether every path of b is in a.
func contains(a, b set) bool {
	if b.member && !a.member {
		return false
	}
	all := true
	zip(a.children, b.children, func(x, y *set) {
		all = all && (y == nil || (x != nil && contains(*x, *y)))
	})
	return all
}

// zip calls each for every key of either list, in order, with the nodes that have it or nil.
func zip(a, b []set, each func(x, y *set)) {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch c := compareKeys(a[i].key, b[j].key); {
		case c < 0:
			each(&a[i], nil)
			i++
		case c > 0:
			each(nil, &b[j])
			j++
		default:
			each(&a[i], &b[j])
			i++
			j++
		}
	}
	for ; i < len(a); i++ {
		each(&a[i], nil)
	}
	for ; j < len(b); j++ {
		each(nil, &b[j])
	}
}

// compareKeys orders path elements as the library does: names of fields, then keys of list items, then values. Both are well
// formed, as parseSet and the walk over an object make them.
func compareKeys(a, b string) int {
	if a == b {
		return 0
	}
	if a[0] != b[0] || a[0] == 'f' {
		return strings.Compare(a, b)
	}
	var p, q keyBuffer
	x, _ := parseKey(a, p[:0])
	y, _ := parseKey(b, q[:0])
	return compareItems(x, y)
}
