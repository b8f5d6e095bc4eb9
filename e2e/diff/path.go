package diff

import (
	"fmt"
	"slices"
	"strings"
)

// path leads to a place in a document: texts are members, ints are elements.
type path []any

func (p path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

func (p path) to(step any) path { return append(slices.Clip(slices.Clone(p)), step) }

// get returns the value at a path.
func (p path) get(value any) (any, bool) {
	for _, step := range p {
		var ok bool
		switch at := value.(type) {
		case map[string]any:
			name, _ := step.(string)
			value, ok = at[name]
		case []any:
			i, isIndex := step.(int)
			if ok = isIndex && i >= 0 && i < len(at); ok {
				value = at[i]
			}
		}
		if !ok {
			return nil, false
		}
	}
	return value, true
}

// set changes the value at a path in place. Objects on the way that are missing are made; an element that is missing is not.
// It reports whether it could.
func (p path) set(document map[string]any, value any) bool {
	return p.change(document, func(parent map[string]any, name string) { parent[name] = value }, value)
}

// remove takes a member away, in place. Elements of arrays cannot be removed.
func (p path) remove(document map[string]any) bool {
	if _, ok := p[len(p)-1].(string); !ok {
		return false
	}
	return p.change(document, func(parent map[string]any, name string) { delete(parent, name) }, nil)
}

func (p path) change(document map[string]any, member func(map[string]any, string), element any) bool {
	var at any = document
	for i, step := range p {
		last := i == len(p)-1
		switch parent := at.(type) {
		case map[string]any:
			name, ok := step.(string)
			switch {
			case !ok:
				return false
			case last:
				member(parent, name)
				return true
			case parent[name] == nil:
				parent[name] = map[string]any{}
			}
			at = parent[name]
		case []any:
			index, ok := step.(int)
			switch {
			case !ok || index >= len(parent):
				return false
			case last:
				parent[index] = element
				return true
			}
			at = parent[index]
		default:
			return false
		}
	}
	return false
}
