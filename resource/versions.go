package resource

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/fieldmanager"
)

// LookupKind returns the type that serves the kind in a resource of its own.
func (t *Table) LookupKind(kind schema.GroupVersionKind) (*Type, bool) {
	for _, ty := range t.types {
		if ty.GVK() == kind && ty.Persisted() {
			return ty, true
		}
	}
	return nil, false
}

// Equivalents returns the other types that serve the same stored objects as a resource and have the subresource, if that is not empty.
func (t *Table) Equivalents(of schema.GroupVersionResource, subresource string) (list []*Type) {
	self, ok := t.byGVR[of]
	if !ok || !self.Persisted() {
		return nil
	}
	for _, ty := range t.types {
		if ty == self || ty.Prefix != self.Prefix {
			continue
		}
		if _, has := ty.Subresource(subresource); has || subresource == "" {
			list = append(list, ty)
		}
	}
	return list
}

// Convert returns an object of a served kind as another kind that serves the same stored objects.
func (t *Table) Convert(o runtime.Object, to schema.GroupVersionKind) (runtime.Object, error) {
	target, ok := t.LookupKind(to)
	object, is := o.(fieldmanager.Object)
	if !ok || !is {
		return nil, fmt.Errorf("unable to convert to %v: unknown kind", to)
	}
	return t.convert(object, target.GVR())
}
