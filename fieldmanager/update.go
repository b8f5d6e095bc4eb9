package fieldmanager

import (
	"cmp"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxUpdaters bounds the entries of a record that are not applied configurations. The oldest of more are merged into one that is
// called ancient-changes.
const MaxUpdaters = 10

const fieldsType = "FieldsV1"

// update is one update on the short way.
type update struct {
	manager    *Manager
	plan       *plan
	live, next Object
	name       string
	now        metav1.Time
}

// run returns the new record, or false if the library has to make it.
func (u *update) run() ([]metav1.ManagedFieldsEntry, bool) {
	record := u.live.GetManagedFields()
	given := u.next.GetManagedFields()
	create := u.live.GetUID() == ""
	if u.manager.c.Subresource == "" && given != nil {
		switch {
		case isReset(given):
			record = nil
		case !sameRecord(record, given):
			return nil, false
		}
	}
	if len(record) == 0 && !create {
		return nil, true
	}
	if u.plan == nil {
		return nil, false
	}
	version := u.manager.c.Kind.GroupVersion().String()
	for i := range record {
		e := &record[i]
		known := e.Operation == metav1.ManagedFieldsOperationApply || e.Operation == metav1.ManagedFieldsOperationUpdate
		if e.APIVersion != version || !known || e.FieldsType != fieldsType || e.FieldsV1 == nil {
			return nil, false
		}
	}
	var w walker
	changed, removed := w.compare(u.plan, side{reflect.ValueOf(u.live).Elem(), present}, side{reflect.ValueOf(u.next).Elem(), present})
	if w.unsupported {
		return nil, false
	}
	if changed.empty() && removed.empty() {
		return record, true
	}
	return u.merge(slices.Clone(record), changed, removed)
}

// isReset reports whether a client asks to forget all owners.
func isReset(given []metav1.ManagedFieldsEntry) bool {
	return len(given) == 0 || (len(given) == 1 && reflect.DeepEqual(given[0], metav1.ManagedFieldsEntry{}))
}

// sameRecord reports whether a client handed a record back as it got it.
func sameRecord(a, b []metav1.ManagedFieldsEntry) bool {
	return slices.EqualFunc(a, b, func(x, y metav1.ManagedFieldsEntry) bool {
		return identity(x) == identity(y) && x.FieldsType == y.FieldsType && sameTime(x.Time, y.Time) &&
			x.FieldsV1 != nil && y.FieldsV1 != nil && x.FieldsV1.Equal(*y.FieldsV1)
	})
}

func sameTime(a, b *metav1.Time) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Unix() == b.Unix())
}

// identity is what makes an entry the same one: everything but its fields and its time.
func identity(e metav1.ManagedFieldsEntry) [4]string {
	return [4]string{e.Manager, string(e.Operation), e.APIVersion, e.Subresource}
}

// merge takes what changed from those who had it and gives what is new or different to the writer.
func (u *update) merge(record []metav1.ManagedFieldsEntry, changed, removed set) ([]metav1.ManagedFieldsEntry, bool) {
	own := metav1.ManagedFieldsEntry{
		Manager: u.name, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: u.manager.c.Kind.GroupVersion().String(),
		Subresource: u.manager.c.Subresource, FieldsType: fieldsType,
	}
	taken := changed
	if !removed.empty() {
		taken = union(changed, removed)
	}
	out, found, updaters := record[:0], false, 0
	for _, e := range record {
		mine := identity(e) == identity(own)
		found = found || mine
		kept, ok := u.keep(e, mine, changed, removed, taken)
		switch {
		case !ok:
			return nil, false
		case kept.FieldsV1 == nil:
			continue
		case kept.Operation == metav1.ManagedFieldsOperationUpdate:
			updaters++
		}
		out = append(out, kept)
	}
	if !found && !changed.empty() {
		own.FieldsV1 = metav1.NewFieldsV1(string(changed.appendTo(nil)))
		own.Time = &u.now
		out = append(out, own)
		updaters++
	}
	if updaters > MaxUpdaters {
		return nil, false
	}
	sortRecord(out)
	return out, true
}

// keep is what an update leaves of an entry; no fields means that nothing is left. It reports false for what the library
// has to decide.
func (u *update) keep(e metav1.ManagedFieldsEntry, mine bool, changed, removed, taken set) (metav1.ManagedFieldsEntry, bool) {
	raw := e.FieldsV1.GetRawString()
	had, ok := parseSet(raw)
	if !ok || !fits(u.plan, had) {
		return e, false
	}
	now := had
	switch {
	case !mine:
		if !intersects(had, taken) {
			return e, true
		}
		now = difference(had, taken)
	default:
		if intersects(had, removed) {
			now = difference(had, removed)
		}
		if !changed.empty() {
			e.Time = &u.now
			if !contains(now, changed) {
				now = union(now, changed)
			}
		}
	}
	if now.empty() {
		e.FieldsV1 = nil
		return e, true
	}
	if text := string(now.appendTo(make([]byte, 0, len(raw)))); text != raw {
		e.FieldsV1 = metav1.NewFieldsV1(text)
	}
	return e, true
}

// fits reports whether a set could have been made with the plan: nothing is below a leaf. The library rewrites sets from times when
// a field was owned in another form.
func fits(p *plan, s set) bool {
	switch {
	case len(s.children) == 0:
		return true
	case p.form == leaf:
		return p.scalar
	case p.form == unsupported:
		return false
	case p.form != fields:
		return !slices.ContainsFunc(s.children, func(c set) bool { return !fits(p.item, c) })
	}
	i := 0
	for _, c := range s.children {
		for i < len(p.fields) && p.fields[i].key < c.key {
			i++
		}
		if i < len(p.fields) && p.fields[i].key == c.key && !fits(p.fields[i].plan, c) {
			return false
		}
	}
	return true
}

// sortRecord brings a record in order: applied configurations first, then the oldest first.
func sortRecord(record []metav1.ManagedFieldsEntry) {
	slices.SortStableFunc(record, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(
			cmp.Compare(a.Operation, b.Operation), cmp.Compare(seconds(a.Time), seconds(b.Time)), cmp.Compare(a.Manager, b.Manager),
			cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Subresource, b.Subresource),
		)
	})
}

func seconds(t *metav1.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}
