package resource

import (
	"errors"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/fieldmanager"
	"github.com/gatehouse/gatehouse/store"
)

// Who owns the fields of what is stored is recorded before admission, from the object as the client sent it with the defaults
// of its kind, so that nobody comes to own what the server decides afterwards.

// ownerKey is what a record of owners tells apart: the kind and the subresource that is written.
type ownerKey struct {
	t           *Type
	subresource string
}

// owners are the field managers of all that can be written.
type owners map[ownerKey]*fieldmanager.Manager

func newOwners(table *Table) owners {
	o := owners{}
	fields := fieldmanager.NewSchema()
	for _, t := range table.Types() {
		if !t.Persisted() && !t.recordsOwner() {
			continue
		}
		o[ownerKey{t, ""}] = newOwner(table, fields, t, "")
		for _, sub := range t.Subresources {
			o[ownerKey{t, sub.Name}] = newOwner(table, fields, t, sub.Name)
		}
	}
	return o
}

// recordsOwner reports whether an answer that is not stored names who asked: those to access and token reviews do.
func (t *Type) recordsOwner() bool {
	return strings.HasSuffix(t.Kind, "AccessReview") || t.Kind == "TokenReview"
}

func newOwner(table *Table, fields *fieldmanager.Schema, t *Type, subresource string) *fieldmanager.Manager {
	c := fieldmanager.Config{
		Schema: fields, Kind: t.GVK(), Subresource: subresource, Reset: resetFields(t, subresource),
		New:     func() fieldmanager.Object { return t.New() },
		Default: func(o fieldmanager.Object) { t.Rules.Default(o) },
	}
	if table.versions(t) > 1 {
		c.Convert = func(o fieldmanager.Object, to schema.GroupVersion) (fieldmanager.Object, error) {
			return table.convert(o, to.WithResource(t.Resource))
		}
	}
	if subresource == "token" {
		c.Kind, c.Default, c.Reset = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), nil, nil
		c.New = func() fieldmanager.Object { return &authenticationv1.TokenRequest{} }
	}
	if subresource == "scale" {
		c.Kind, c.Default, c.Reset = scale.Kind, nil, nil
		c.New = func() fieldmanager.Object { return &autoscalingv1.Scale{} }
	}
	return fieldmanager.New(c)
}

// versions counts the served types of the same stored objects.
func (t *Table) versions(of *Type) (n int) {
	for _, x := range t.Types() {
		if x.Resource == of.Resource && x.Prefix == of.Prefix {
			n++
		}
	}
	return n
}

// convert returns a stored object as the served type of another version.
func (t *Table) convert(o fieldmanager.Object, to schema.GroupVersionResource) (fieldmanager.Object, error) {
	target, ok := t.Lookup(to.Group, to.Version, to.Resource)
	if !ok {
		return nil, errors.New("no such version")
	}
	stored, ok := o.DeepCopyObject().(Object)
	if !ok {
		return nil, errors.New("not a stored object")
	}
	var err error
	for _, source := range t.Types() {
		if source.StoredAs != nil && reflect.TypeOf(source.New()) == reflect.TypeOf(o) {
			stored, err = source.StoredAs.ToStored(stored)
		}
	}
	if err != nil || target.StoredAs == nil {
		return stored, err
	}
	return target.StoredAs.FromStored(stored)
}

// own records that the request made next out of live, which is nil for a new object. An error of the record is not one of the
// request: the object is then stored with the owners it had.
func (s *Service) own(t *Type, subresource string, live, next fieldmanager.Object, w Write) {
	m := s.owners[ownerKey{t, subresource}]
	if m == nil {
		return
	}
	if live == nil {
		live = t.New()
	}
	shown := t.asShown(next)
	if err := m.Update(live, shown, managerOf(w), s.now().Time); err != nil {
		shown.SetManagedFields(live.GetManagedFields())
	}
	next.SetManagedFields(shown.GetManagedFields())
}

// asShown returns the object as it will be shown when it has been stored as another version: what the version that the client wrote has
// no field for is in annotations, which the client comes to own. It returns the object itself where there is no other version.
func (t *Type) asShown(o fieldmanager.Object) fieldmanager.Object {
	served, ok := o.(Object)
	if !ok || t.StoredAs == nil || reflect.TypeOf(o) != reflect.TypeOf(t.New()) {
		return o
	}
	stored, err := t.StoredAs.ToStored(served.DeepCopyObject().(Object))
	if err != nil {
		return o // The write is refused for it later.
	}
	shown, err := t.StoredAs.FromStored(stored)
	if err != nil {
		return o
	}
	return shown
}

// managerOf is who a write is on account of: who the client says, or the program that its User-Agent names.
func managerOf(w Write) string {
	if w.Options.FieldManager != "" {
		return w.Options.FieldManager
	}
	program, _, _ := strings.Cut(w.UserAgent, "/")
	var b strings.Builder
	for _, r := range program {
		if !unicode.IsPrint(r) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > MaxFieldManager {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// keepTimes takes the times of ownership back from an update that changes nothing else, so that nothing is written for it.
func keepTimes(o, old Object) {
	now, before := o.GetManagedFields(), old.GetManagedFields()
	if len(now) != len(before) {
		return
	}
	moved := false
	for i := range now {
		a, b := now[i], before[i]
		moved = moved || !a.Time.Equal(b.Time)
		a.Time, b.Time = nil, nil
		if !reflect.DeepEqual(a, b) {
			return
		}
	}
	if !moved {
		return
	}
	o.SetManagedFields(before)
	old.GetObjectKind().SetGroupVersionKind(o.GetObjectKind().GroupVersionKind()) // what is stored does not say it
	if !apiequality.Semantic.DeepEqual(o, old) {
		o.SetManagedFields(now)
	}
}

// disown drops the record of owners from an object that is too large to be stored with it. It reports false where that would
// change nothing.
func disown(o Object, err error, w Write) bool {
	if !errors.Is(err, store.ErrTooLarge) || w.applied || o.GetManagedFields() == nil {
		return false
	}
	o.SetManagedFields(nil)
	return true
}

// wipe drops what only the server sets from an object that is to be created, so that nobody comes to own it.
func wipe(o metav1.Object) {
	o.SetUID("")
	o.SetCreationTimestamp(metav1.Time{})
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
}
