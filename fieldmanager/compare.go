package fieldmanager

import (
	"maps"
	"reflect"
	"slices"
)

// Who owns what after an update follows from which fields the update added, changed and removed. The library finds that out
// from generic values that it makes of both objects and, for each manager that has a part in the object, decodes, copies and
// encodes that manager's whole set. For a pod of 5 KB that costs more than everything else the server does for a write.
//
// Here both Go structs are walked side by side by a plan that is compiled once for each kind from its Go type and its schema.
// What is equal costs a comparison of memory. What differs is collected as a tree that is already in the form and order of the
// wire. Only managers whose sets meet the changes are decoded, and only those that lose something are encoded again. The alternative, to
// walk the JSON that the server has of both objects, would save the plans and the reflection, but the JSON of the new object
// is not made yet when its owners are decided.
//
// The price is a second statement of the library's rules, and it is kept small: whatever is unusual is not decided here but
// reported as unsupported and left to the library. That is so for items that occur twice in a list or lack a key, names with
// characters that JSON escapes, several versions of a kind in one record, records that a client sends and records that are not
// in canonical form. Tests compare both ways over generated objects of every kind.

// state tells whether a value is there.
type state int

const (
	absent  state = iota // not in the JSON
	null                 // null in the JSON
	present              // anything else
)

// side is the value of one of the objects at the place that the walk has reached. Pointers have been followed.
type side struct {
	v     reflect.Value
	state state
}

func sideOf(v reflect.Value) side {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return side{state: null}
		}
		v = v.Elem()
	}
	if k := v.Kind(); (k == reflect.Slice || k == reflect.Map) && v.IsNil() {
		return side{state: null}
	}
	return side{v, present}
}

// walker compares two objects. The zero value is ready.
type walker struct {
	unsupported bool // something was met that only the library decides
}

// compare returns what is in r and not the same in l, and what is in l and not in r. The keys of the results are for
// the caller to set.
func (w *walker) compare(p *plan, l, r side) (changed, removed set) {
	some := false
	switch p.form {
	case leaf:
		w.unsupported = w.unsupported || (p.loose && (l.state == null || r.state == null))
	case fields:
		some = w.compareFields(p, l, r, &changed, &removed)
	case entries:
		some = w.compareEntries(p, l, r, &changed, &removed)
	case items:
		some = w.compareItems(p, l, r, &changed, &removed)
	default:
		w.unsupported = true
	}
	changed.member, removed.member = l.state == absent, r.state == absent
	if !some && l.state != absent && r.state != absent {
		// A leaf, or nothing in either: the difference between null and empty remains.
		changed.member = l.state != r.state || (p.form == leaf && l.state == present && !same(p, l, r))
	}
	return changed, removed
}

func same(p *plan, l, r side) bool { return p.equal(l.v, r.v) || sameValue(l.v, r.v) }

// add files the outcome of a comparison under its key.
func add(changed, removed *set, key string, c, d set) {
	if !c.empty() {
		c.key = key
		changed.add(c)
	}
	if !d.empty() {
		d.key = key
		removed.add(d)
	}
}

// compareFields reports whether there are fields in either.
func (w *walker) compareFields(p *plan, l, r side, changed, removed *set) (some bool) {
	for i := range p.fields {
		f := &p.fields[i]
		a, b := f.in(l), f.in(r)
		if a.state == absent && b.state == absent {
			continue
		}
		some = true
		if f.plan.form == leaf && a.state == present && b.state == present && f.plan.equal(a.v, b.v) {
			continue
		}
		c, d := w.compare(f.plan, a, b)
		if !f.passed {
			add(changed, removed, f.key, c, d)
		}
	}
	return some
}

// in returns the field of a struct.
func (f *fieldPlan) in(s side) side {
	if s.state != present {
		return side{}
	}
	v := s.v
	for _, i := range f.index {
		v = v.Field(i)
	}
	if f.omitted(v) {
		return side{}
	}
	return sideOf(v)
}

// compareEntries reports whether there are entries in either.
func (w *walker) compareEntries(p *plan, l, r side, changed, removed *set) (some bool) {
	if x, y := texts(l), texts(r); len(x) > 0 && maps.Equal(x, y) {
		return true
	}
	names := entryNames(r, entryNames(l, nil))
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		a, b := entry(l, name), entry(r, name)
		c, d := w.compare(p.item, a, b)
		if c.empty() && d.empty() {
			continue
		}
		w.unsupported = w.unsupported || !plain(name)
		add(changed, removed, "f:"+name, c, d)
	}
	return len(names) > 0
}

// texts is the map if it is one of strings, which most are.
func texts(s side) map[string]string {
	if s.state != present || s.v.Type() != reflect.TypeFor[map[string]string]() {
		return nil
	}
	m, _ := s.v.Interface().(map[string]string)
	return m
}

func entryNames(s side, names []string) []string {
	if s.state != present {
		return names
	}
	names = slices.Grow(names, s.v.Len())
	for i := s.v.MapRange(); i.Next(); {
		names = append(names, i.Key().String())
	}
	return names
}

func entry(s side, name string) side {
	if s.state != present {
		return side{}
	}
	v := s.v.MapIndex(reflect.ValueOf(name).Convert(s.v.Type().Key()))
	if !v.IsValid() {
		return side{}
	}
	return sideOf(v)
}

// item is an item of a list with what identifies it.
type item struct {
	parts []keyPart
	side  side
}

// compareItems reports whether there are items in either.
func (w *walker) compareItems(p *plan, l, r side, changed, removed *set) (some bool) {
	x, y := w.items(p, l), w.items(p, r)
	if w.unsupported {
		return true
	}
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		order := 0
		switch {
		case i == len(x):
			order = 1
		case j == len(y):
			order = -1
		default:
			order = compareItems(x[i].parts, y[j].parts)
		}
		var a, b item
		if order <= 0 {
			a = x[i]
			i++
		}
		if order >= 0 {
			b = y[j]
			j++
		}
		if order == 0 && p.keys == nil {
			continue // A value is its own identity.
		}
		c, d := w.compare(p.item, a.side, b.side)
		if c.empty() && d.empty() {
			continue
		}
		if order < 0 {
			b.parts = a.parts
		}
		add(changed, removed, formatKey(b.parts), c, d)
	}
	return len(x)+len(y) > 0
}

// items returns the items of a list in the order of their identities.
func (w *walker) items(p *plan, s side) []item {
	if s.state != present {
		return nil
	}
	n := s.v.Len()
	list := make([]item, n)
	arena := make([]keyPart, 0, n*max(1, len(p.keys)))
	for i := range list {
		v := sideOf(s.v.Index(i))
		from := len(arena)
		arena = w.appendIdentity(arena, p, v)
		list[i] = item{arena[from:len(arena):len(arena)], v}
	}
	byIdentity := func(a, b item) int { return compareItems(a.parts, b.parts) }
	if !slices.IsSortedFunc(list, byIdentity) {
		slices.SortFunc(list, byIdentity)
	}
	for i := range len(list) - 1 {
		if byIdentity(list[i], list[i+1]) == 0 {
			w.unsupported = true
		}
	}
	return list
}

func (w *walker) appendIdentity(parts []keyPart, p *plan, s side) []keyPart {
	if s.state != present {
		w.unsupported = true
		return parts
	}
	if p.keys == nil {
		return append(parts, w.part("", s))
	}
	for i := range p.keys {
		k := &p.keys[i]
		v := k.field.in(s)
		switch {
		case v.state == present:
			parts = append(parts, w.part(k.name, v))
		case v.state == absent && k.fallback != nil:
			parts = append(parts, *k.fallback)
		default:
			w.unsupported = true
		}
	}
	return parts
}

// part is the part of an identity that a string or number makes.
func (w *walker) part(name string, s side) keyPart {
	if s.v.Kind() == reflect.String {
		text := s.v.String()
		w.unsupported = w.unsupported || !plain(text)
		return keyPart{name: name, text: text, isText: true}
	}
	n := s.v.Int()
	w.unsupported = w.unsupported || n > maxExact || n < -maxExact
	return keyPart{name: name, number: n}
}
