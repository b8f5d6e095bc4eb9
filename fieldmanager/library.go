package fieldmanager

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// adapter gives the library what it asks for: types, conversion between versions, defaults and empty objects of a kind.
type adapter struct {
	*loaded
	config Config
}

func typeOf(o Object) reflect.Type { return reflect.TypeOf(o).Elem() }

// ObjectToTyped implements managedfields.TypeConverter.
func (a *adapter) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	gvk := o.GetObjectKind().GroupVersionKind()
	name, ok := a.kinds[gvk]
	if !ok {
		return nil, a.unknown(gvk)
	}
	t := a.parser.Type(name)
	if u, ok := o.(*unstructured.Unstructured); ok {
		return t.FromUnstructured(u.UnstructuredContent(), opts...)
	}
	return t.FromStructured(o, opts...)
}

// TypedToObject implements managedfields.TypeConverter.
func (a *adapter) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	content, ok := v.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the value is a %T and not an object", v.AsValue().Unstructured())
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// unknown is the error by which the library sees that a version is not there, as opposed to a failure.
func (a *adapter) unknown(gvk runtimeschema.GroupVersionKind) error {
	return runtime.NewNotRegisteredErrForKind("the served kinds", gvk)
}

// ConvertToVersion implements runtime.ObjectConvertor. The internal version, by which the library goes from one version
// to another, is the object as it is.
func (a *adapter) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	o, err := a.structured(in)
	if err != nil {
		return nil, err
	}
	to, ok := target.(runtimeschema.GroupVersion)
	from := o.GetObjectKind().GroupVersionKind()
	switch {
	case !ok:
		return nil, fmt.Errorf("cannot convert to %s", target.Identifier())
	case to.Version == runtime.APIVersionInternal || to == from.GroupVersion():
		return o, nil
	case a.config.Convert == nil || to.Group != from.Group || a.kinds[to.WithKind(from.Kind)] == "":
		// Also events, which two groups serve: the reference forgets who wrote them through the other group.
		return nil, a.unknown(to.WithKind(from.Kind))
	}
	out, err := a.config.Convert(o, to)
	if err != nil {
		return nil, err
	}
	out.GetObjectKind().SetGroupVersionKind(to.WithKind(from.Kind))
	return out, nil
}

// structured makes a typed object of what the library hands over.
func (a *adapter) structured(in runtime.Object) (Object, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok {
		return in.(Object), nil
	}
	gvk := u.GroupVersionKind()
	o, err := a.empty(gvk)
	if err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
		return nil, fmt.Errorf("unable to convert unstructured object to %v: %w", gvk, err)
	}
	o.GetObjectKind().SetGroupVersionKind(gvk)
	return o, nil
}

// empty returns an empty object of the kind, or of that in another version.
func (a *adapter) empty(gvk runtimeschema.GroupVersionKind) (Object, error) {
	o := a.config.New()
	if gvk == a.config.Kind {
		return o, nil
	}
	if a.config.Convert == nil || gvk.Kind != a.config.Kind.Kind {
		return nil, a.unknown(gvk)
	}
	return a.config.Convert(o, gvk.GroupVersion())
}

// New implements runtime.ObjectCreater.
func (a *adapter) New(gvk runtimeschema.GroupVersionKind) (runtime.Object, error) {
	o, err := a.empty(gvk)
	if err != nil {
		return nil, err
	}
	o.GetObjectKind().SetGroupVersionKind(gvk)
	return o, nil
}

// Default implements runtime.ObjectDefaulter.
func (a *adapter) Default(o runtime.Object) {
	if object, ok := o.(Object); ok && a.config.Default != nil {
		a.config.Default(object)
	}
}

// Convert implements runtime.ObjectConvertor; the library does not use it.
func (a *adapter) Convert(_, _, _ any) error { return fmt.Errorf("not supported") }

// ConvertFieldLabel implements runtime.ObjectConvertor; the library does not use it.
func (a *adapter) ConvertFieldLabel(_ runtimeschema.GroupVersionKind, _, _ string) (string, string, error) {
	return "", "", fmt.Errorf("not supported")
}
