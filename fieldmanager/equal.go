package fieldmanager

import (
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// equal reports whether two values of a Go type are the same. Neither is a pointer. It may say no where sameValue says yes.
type equal func(a, b reflect.Value) bool

// equalOf returns the quick comparison for a type.
func equalOf(t reflect.Type) equal {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return func(a, b reflect.Value) bool { return equalTime(at[metav1.Time](a).Time, at[metav1.Time](b).Time) }
	case reflect.TypeFor[resource.Quantity]():
		return func(a, b reflect.Value) bool {
			x, y := at[resource.Quantity](a), at[resource.Quantity](b)
			return x.String() == y.String()
		}
	case reflect.TypeFor[intstr.IntOrString]():
		return func(a, b reflect.Value) bool { return *at[intstr.IntOrString](a) == *at[intstr.IntOrString](b) }
	}
	if marshals(t) {
		return func(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }
	}
	switch t.Kind() {
	case reflect.String:
		return func(a, b reflect.Value) bool { return a.String() == b.String() }
	case reflect.Bool:
		return func(a, b reflect.Value) bool { return a.Bool() == b.Bool() }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(a, b reflect.Value) bool { return a.Int() == b.Int() }
	}
	return func(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }
}

// at is the value without a copy where it has an address, as all but entries of maps have.
func at[T any](v reflect.Value) *T {
	if v.CanAddr() {
		return v.Addr().Interface().(*T)
	}
	x := v.Interface().(T)
	return &x
}

// equalTime compares times as JSON has them: in seconds, the zero time being null.
func equalTime(a, b time.Time) bool {
	return a.IsZero() == b.IsZero() && a.Unix() == b.Unix()
}

// sameValue asks the library whether two values are the same: those that are equal in JSON, except for lists, where it takes
// an empty list for another one than none.
func sameValue(a, b reflect.Value) bool { return value.Equals(toValue(a), toValue(b)) }

func toValue(v reflect.Value) value.Value {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	library, err := value.NewValueReflect(p.Interface())
	if err != nil {
		return value.NewValueInterface(nil) // does not happen with a pointer
	}
	return library
}
