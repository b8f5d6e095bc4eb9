package rules

import (
	"fmt"
	"reflect"
	"strings"
)

// Set is a compiled table of rules for values of one Go type. It is immutable and may be used by several goroutines. A Set is
// itself a [Rule], for fields of its type or of a pointer to it.
type Set struct {
	typ     reflect.Type
	entries []entry
}

// Entry is one line of a table.
type Entry struct {
	path  string
	rules []Rule
}

// At lists the rules of the field at a path of JSON names joined by dots, such as "strategy.type". The empty path is the value
// itself. A pointer on the way that is nil ends the entry without an error; [Required] is what asks for one.
//
// Rules run in their order. One that finds the value missing or of the wrong form may end the entry, as each of them says.
func At(path string, rules ...Rule) Entry { return Entry{path, rules} }

// entry is a compiled line.
type entry struct {
	names []string // of the path, for errors
	index []int    // of the struct fields, one per name or, for inlined structs, more
	named []bool   // whether the field at the same place of index adds a name to the path
	steps []step
}

// step is a compiled rule. Either function may be nil.
type step struct {
	// fill sets defaults. The value is addressable.
	fill func(v reflect.Value)
	// check reports what is wrong; old is the zero Value where there is nothing to compare with. It returns false to end the entry.
	check func(c *Checker, v, old reflect.Value) bool
}

// Rule says one thing about a value: its default, or what it must be.
type Rule interface {
	// compile fits the rule to the type of a field.
	compile(t reflect.Type) (step, error)
}

type ruleFunc func(t reflect.Type) (step, error)

func (f ruleFunc) compile(t reflect.Type) (step, error) { return f(t) }

// Of compiles a table for T. It panics if a path or a rule does not fit the type, which is a mistake in the table.
func Of[T any](entries ...Entry) *Set {
	s := &Set{typ: reflect.TypeFor[T]()}
	for _, e := range entries {
		c, err := compileEntry(s.typ, e)
		if err != nil {
			panic(fmt.Sprintf("rules: %s at %q: %v", s.typ, e.path, err))
		}
		s.entries = append(s.entries, c)
	}
	return s
}

func compileEntry(t reflect.Type, e Entry) (entry, error) {
	var c entry
	if e.path != "" {
		for name := range strings.SplitSeq(e.path, ".") {
			index, ft, err := lookup(indirect(t), name)
			if err != nil {
				return entry{}, err
			}
			for i := range index {
				c.named = append(c.named, i == len(index)-1)
			}
			c.names, c.index, t = append(c.names, name), append(c.index, index...), ft
		}
	}
	for _, r := range e.rules {
		s, err := r.compile(t)
		if err != nil {
			return entry{}, err
		}
		c.steps = append(c.steps, s)
	}
	return c, nil
}

// lookup finds the field that JSON calls name, looking into inlined structs.
func lookup(t reflect.Type, name string) ([]int, reflect.Type, error) {
	if t.Kind() != reflect.Struct {
		return nil, nil, fmt.Errorf("%s has no field %s", t, name)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == name {
			return []int{i}, f.Type, nil
		}
		if tag == "" && f.Anonymous && f.Type.Kind() == reflect.Struct {
			if rest, ft, err := lookup(f.Type, name); err == nil {
				return append([]int{i}, rest...), ft, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("%s has no field %s", t, name)
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func (s *Set) compile(t reflect.Type) (step, error) {
	if indirect(t) != s.typ {
		return step{}, fmt.Errorf("a table for %s does not fit %s", s.typ, t)
	}
	return step{
		fill: func(v reflect.Value) {
			if v, ok := deref(v); ok {
				s.fill(v)
			}
		},
		check: func(c *Checker, v, old reflect.Value) bool {
			if v, ok := deref(v); ok {
				old, _ := deref(old)
				s.check(c, v, old)
			}
			return true
		},
	}, nil
}

// deref follows a pointer; ok is false for nil and for the zero Value.
func deref(v reflect.Value) (reflect.Value, bool) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v, v.IsValid()
}

// follow goes from a struct along an entry's path. The result is the zero Value if a pointer on the way is nil.
func (e *entry) follow(v reflect.Value) reflect.Value {
	for _, i := range e.index {
		var ok bool
		if v, ok = deref(v); !ok {
			return reflect.Value{}
		}
		v = v.Field(i)
	}
	return v
}

func (s *Set) fill(v reflect.Value) {
	for i := range s.entries {
		e := &s.entries[i]
		for _, step := range e.steps {
			if step.fill == nil {
				continue
			}
			if at := e.follow(v); at.IsValid() {
				step.fill(at)
			}
		}
	}
}

func (s *Set) check(c *Checker, v, old reflect.Value) {
	c.frames = append(c.frames, frame{v: v, old: old, depth: len(c.steps)})
	defer func() { c.frames = c.frames[:len(c.frames)-1] }()
	for i := range s.entries {
		e := &s.entries[i]
		at := e.follow(v)
		if !at.IsValid() {
			continue
		}
		before := e.follow(old)
		depth := c.enter(e.names)
		for _, step := range e.steps {
			if step.check != nil && !step.check(c, at, before) {
				break
			}
		}
		c.leave(depth)
	}
}
