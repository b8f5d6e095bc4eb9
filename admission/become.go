package admission

import (
	"errors"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// Become makes object what next is, but for what the server manages: its managedFields and, where a typed one leaves it out, its kind. They
// share memory afterwards.
func Become(object, next runtime.Object) error {
	o, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	owners, kind := o.GetManagedFields(), object.GetObjectKind().GroupVersionKind()
	to, from := reflect.ValueOf(object), reflect.ValueOf(next)
	if to.Type() != from.Type() || to.Kind() != reflect.Pointer || to.IsNil() {
		return errors.New("the mutated object is of another kind")
	}
	to.Elem().Set(from.Elem())
	object.GetObjectKind().SetGroupVersionKind(kind)
	o.SetManagedFields(owners)
	return nil
}
