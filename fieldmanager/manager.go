package fieldmanager

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Object is a typed object of a served kind.
type Object interface {
	runtime.Object
	metav1.Object
}

// Config describes what a [Manager] is for.
type Config struct {
	// Schema says how fields can be owned.
	Schema *Schema
	// Kind is the kind of the objects and of what is applied to them.
	Kind runtimeschema.GroupVersionKind
	// Subresource is what is written through, or empty. It is part of what identifies a manager.
	Subresource string
	// New returns an empty object of Kind.
	New func() Object
	// Default completes an object that came out of an apply; nil means nothing.
	Default func(Object)
	// Reset lists, for each apiVersion that a record may name, the fields that a write of this kind does not keep, such as
	// "status" of the main resource. Nobody comes to own them by it. A path has the form "metadata.labels".
	Reset map[string][]string
	// Convert returns the object as the kind of another version; nil means that there is none. It fails for versions that
	// do not exist, and does not change the object.
	Convert func(Object, runtimeschema.GroupVersion) (Object, error)
}

// Manager keeps the record of who owns the fields of the objects of one kind that are written through one subresource.
// It may be used by many goroutines.
type Manager struct {
	c       Config
	prepare func() (*prepared, error)
}

// prepared is the part of a Manager that is made at its first use.
type prepared struct {
	plan    *plan // without what is never owned or reset; nil if the library does all
	library *managedfields.FieldManager
}

// New returns a manager. It costs nothing until it is used.
func New(c Config) *Manager {
	m := &Manager{c: c}
	m.prepare = sync.OnceValues(m.build)
	return m
}

func (m *Manager) build() (*prepared, error) {
	l, err := m.c.Schema.load()
	if err != nil {
		return nil, err
	}
	name, ok := l.kinds[m.c.Kind]
	if !ok {
		return nil, fmt.Errorf("no schema for the ownership of fields of %s", m.c.Kind)
	}
	a := &adapter{loaded: l, config: m.c}
	hub := runtimeschema.GroupVersion{Group: m.c.Kind.Group, Version: runtime.APIVersionInternal}
	library, err := managedfields.NewDefaultFieldManager(a, a, a, a, m.c.Kind, hub, m.c.Subresource, m.c.filters())
	if err != nil {
		return nil, err
	}
	skip := append([]string{"apiVersion", "kind"}, m.c.Reset[m.c.Kind.GroupVersion().String()]...)
	for _, name := range neverOwned {
		skip = append(skip, "metadata."+name)
	}
	return &prepared{without(l.plan(typeOf(m.c.New()), name), skip), library}, nil
}

// neverOwned are the fields of metadata that the server alone decides.
var neverOwned = []string{
	"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion",
}

// filters are Reset in the form of the library.
func (c *Config) filters() map[fieldpath.APIVersion]fieldpath.Filter {
	reset := make(map[fieldpath.APIVersion]*fieldpath.Set, len(c.Reset))
	for version, paths := range c.Reset {
		s := fieldpath.NewSet()
		for _, path := range paths {
			s.Insert(toPath(path))
		}
		reset[fieldpath.APIVersion(version)] = s
	}
	return fieldpath.NewExcludeFilterSetMap(reset)
}

func toPath(dotted string) fieldpath.Path {
	var path fieldpath.Path
	for name := range strings.SplitSeq(dotted, ".") {
		path = append(path, fieldpath.FieldNameElement(name))
	}
	return path
}

// without is a copy of a plan of a struct that passes over some fields, given as dotted paths of at most two names. Those that
// could be unsupported are kept for that.
func without(p *plan, skip []string) *plan {
	out := &plan{form: p.form, equal: p.equal}
	for _, f := range p.fields {
		var below []string
		for _, path := range skip {
			first, rest, deeper := strings.Cut(path, ".")
			switch {
			case first != f.name:
			case deeper:
				below = append(below, rest)
			default:
				f.passed = true
			}
		}
		if f.passed && (f.plan.form == leaf || f.name == "managedFields") {
			continue
		}
		if len(below) > 0 {
			f.plan = without(f.plan, below)
		}
		out.fields = append(out.fields, f)
	}
	return out
}

// Update records in next that manager has made it out of live at the given time. live is an empty object where next is to be
// created. What next says of its owners counts only as the reference lets it: a client may hand back or reset the record, and through a
// subresource it has no say. An object that has no record does not get one by an update. live is not changed.
func (m *Manager) Update(live, next Object, manager string, now time.Time) error {
	p, err := m.prepare()
	if err != nil {
		return err
	}
	if manager == "" {
		manager = "unknown"
	}
	w := &update{manager: m, plan: p.plan, live: live, next: next, name: manager, now: metav1.NewTime(now.UTC())}
	if record, ok := w.run(); ok {
		next.SetManagedFields(record)
		return nil
	}
	defer keepKind(live, m.c.Kind)()
	defer keepKind(next, m.c.Kind)()
	before := next.GetManagedFields()
	if _, err := p.library.Update(live, next, manager); err != nil {
		// A record that cannot be made is left out rather than wrong.
		next.SetManagedFields(nil)
		return nil
	}
	setTimes(next, live, before, w.now)
	return nil
}

// Apply merges a configuration into live, or into an empty object, and returns the outcome with its record of owners. Fields
// that manager applied before and the configuration no longer has are removed unless others own them. A field that another manager owns
// with another value is a conflict, which force resolves in favour of the configuration. Errors that clients are to see implement
// APIStatus; all others are faults of the configuration too, and name only fields of it. live is not changed.
func (m *Manager) Apply(live Object, config *unstructured.Unstructured, manager string, force bool, now time.Time) (Object, error) {
	p, err := m.prepare()
	if err != nil {
		return nil, err
	}
	live = live.DeepCopyObject().(Object)
	live.GetObjectKind().SetGroupVersionKind(m.c.Kind)
	before := live.GetManagedFields()
	out, err := p.library.Apply(live, config, manager, force)
	if err != nil {
		return nil, err
	}
	o, ok := out.(Object)
	if !ok {
		return nil, errors.New("the configuration is not an object")
	}
	setTimes(o, live, before, metav1.NewTime(now.UTC()))
	return o, nil
}

// keepKind sets the kind of an object for the library and returns what takes that back.
func keepKind(o Object, kind runtimeschema.GroupVersionKind) func() {
	before := o.GetObjectKind().GroupVersionKind()
	o.GetObjectKind().SetGroupVersionKind(kind)
	return func() { o.GetObjectKind().SetGroupVersionKind(before) }
}

// setTimes replaces the times that the library took from the system's clock, which are those that neither object had before.
func setTimes(o, live Object, given []metav1.ManagedFieldsEntry, now metav1.Time) {
	known := map[*metav1.Time]bool{nil: true}
	for _, list := range [][]metav1.ManagedFieldsEntry{live.GetManagedFields(), given} {
		for i := range list {
			known[list[i].Time] = true
		}
	}
	record := o.GetManagedFields()
	for i := range record {
		if !known[record[i].Time] {
			record[i].Time = &now
		}
	}
	sortRecord(record)
}
