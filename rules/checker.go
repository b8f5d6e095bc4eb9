package rules

import (
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Checker collects what is wrong with one object. It knows where in the object the rules are. The functions that
// [Check] attaches are given it, and are its only users.
type Checker struct {
	updating bool
	before   any
	steps    []pathStep
	frames   []frame
	errs     field.ErrorList
	failed   int // errors found, of which the first maxErrors are kept
	warnings []string
}

// pathStep is a field name, or where the name is empty a key or an index.
type pathStep struct {
	name  string
	key   string
	index int
	keyed bool
}

// Updating reports whether an existing object is being changed, even where the rule's part of it is new.
func (c *Checker) Updating() bool { return c.updating }

// Before is the whole object as it is stored, a pointer to the Go type of the kind, and nil on create. It is for rules that spare what
// was accepted before, where elements of lists cannot be told from one another.
func (c *Checker) Before() any { return c.before }

// Path is where the value is that the rule looks at.
func (c *Checker) Path() *field.Path {
	var p *field.Path
	for _, s := range c.steps {
		switch {
		case s.name != "" && p == nil:
			p = field.NewPath(s.name)
		case s.name != "":
			p = p.Child(s.name)
		case s.keyed:
			p = p.Key(s.key)
		default:
			p = p.Index(s.index)
		}
	}
	return p
}

// At is the path of a field below the value that the rule looks at.
func (c *Checker) At(name string, more ...string) *field.Path {
	if p := c.Path(); p != nil {
		return p.Child(name, more...)
	}
	return field.NewPath(name, more...)
}

// maxErrors is how many errors of one object are kept. An answer holds fewer.
const maxErrors = 2000

// Add records errors.
func (c *Checker) Add(errs ...*field.Error) {
	c.failed += len(errs)
	c.errs = append(c.errs, errs[:min(len(errs), maxErrors-len(c.errs))]...)
}

// Failed is how many errors there are so far; a function may compare it to learn whether a part of its work found any.
func (c *Checker) Failed() int { return c.failed }

// Warn tells the client something in a Warning header. Warnings of an object that is refused are not sent.
func (c *Checker) Warn(text string) { c.warnings = append(c.warnings, text) }

// enter goes down a path of names and returns what leave needs to come back.
func (c *Checker) enter(names []string) int {
	depth := len(c.steps)
	for _, n := range names {
		c.steps = append(c.steps, pathStep{name: n})
	}
	return depth
}

func (c *Checker) enterIndex(i int) int {
	c.steps = append(c.steps, pathStep{index: i})
	return len(c.steps) - 1
}

func (c *Checker) enterKey(key string) int {
	c.steps = append(c.steps, pathStep{key: key, keyed: true})
	return len(c.steps) - 1
}

func (c *Checker) leave(depth int) { c.steps = c.steps[:depth] }

// In runs a table on a value below the one that the rule looks at, for functions that decide which rules apply. names lead
// to the value; old may be nil.
func In[T any](c *Checker, s *Set, v, old *T, names ...string) {
	depth := c.enter(names)
	defer c.leave(depth)
	var before reflect.Value
	if old != nil {
		before = reflect.ValueOf(old).Elem()
	}
	s.check(c, reflect.ValueOf(v).Elem(), before)
}

// InIndex is [In] for element i of the list that names lead to.
func InIndex[T any](c *Checker, s *Set, v, old *T, i int, names ...string) {
	depth := c.enter(names)
	defer c.leave(depth)
	c.enterIndex(i)
	In(c, s, v, old)
}
