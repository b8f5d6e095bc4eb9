package fieldmanager

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UpdateByLibrary is Update without the short way.
func (m *Manager) UpdateByLibrary(live, next Object, manager string, now time.Time) error {
	p, err := m.prepare()
	if err != nil {
		return err
	}
	defer keepKind(live, m.c.Kind)()
	defer keepKind(next, m.c.Kind)()
	before := next.GetManagedFields()
	if _, err := p.library.Update(live, next, manager); err != nil {
		next.SetManagedFields(nil)
		return err
	}
	setTimes(next, live, before, metav1.NewTime(now))
	return nil
}

// UpdateShort is the short way alone; it reports whether it was taken.
func (m *Manager) UpdateShort(live, next Object, manager string, now time.Time) bool {
	p, err := m.prepare()
	if err != nil {
		return false
	}
	record, ok := (&update{m, p.plan, live, next, manager, metav1.NewTime(now)}).run()
	if ok {
		next.SetManagedFields(record)
	}
	return ok
}

// Reparse reads a set and writes it again.
func Reparse(fields string) (string, bool) {
	s, ok := parseSet(fields)
	return string(s.appendTo(nil)), ok
}

// Union, Difference, Intersects and Contains are the operations on sets. The arguments are canonical.
func Union(a, b string) string      { return string(operate(a, b, union)) }
func Difference(a, b string) string { return string(operate(a, b, difference)) }
func Intersects(a, b string) bool   { x, y := read(a), read(b); return intersects(x, y) }
func Contains(a, b string) bool     { x, y := read(a), read(b); return contains(x, y) }

func operate(a, b string, f func(a, b set) set) []byte {
	s := f(read(a), read(b))
	return s.appendTo(nil)
}

func read(fields string) set {
	s, ok := parseSet(fields)
	if !ok {
		panic("not canonical: " + fields)
	}
	return s
}
