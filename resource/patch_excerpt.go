package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// A patch names what it changes, and mostly that is little: an annotation, a label, a condition. Turning the whole object into JSON,
// that into generic values and both back again costs more than all the rest of such a write. So the patch is applied to an excerpt:
// the object with no other members than those the patch has, down to where it stops being about the fields of a struct. What comes out
// is decoded as the kind it is, as the whole would be, and its fields are put into a copy of the object.
//
// Merging goes member by member, so the outcome is that of the whole wherever no member has a say about its neighbours. Where one may,
// the object around it is taken as it is: in a strategic merge patch, members that begin with a dollar sign have such a say, and
// so have fields with a strategy of their own.

// excerpt is the part of an object that a patch can change.
type excerpt struct {
	json  []byte
	whole bool
	// places are the fields in it if it is not the whole, as indexes for reflect.Value.FieldByIndex of the object.
	places [][]int
}

// divided is a patch whose members change those of the object that have the same name and no others.
type divided interface {
	// members are the patch, decoded, or nil for one that is applied to the whole.
	members() map[string]any
}

func (p strategicPatch) members() map[string]any { return p.patch }

// members are none of a patch that is about the kind, since what is said of the outcome is said of version and kind together.
func (p mergePatch) members() map[string]any {
	_, version := p["apiVersion"]
	if _, kind := p["kind"]; kind || version {
		return nil
	}
	return p
}

// excerpt takes the part of an object that the patch is about. Objects that may reach the bound on elements, which each take at least two
// bytes, are taken as the whole, since that is what is measured.
func (p patcher) excerpt(o Object) (x excerpt, err error) {
	if patch, ok := p.patch.(divided); ok && patch.members() != nil && p.size+o.Size() <= 2*MaxElements {
		if ok, err = x.cut(structOf(o), patch.members(), nil); ok || err != nil {
			return x, err
		}
	}
	b, err := json.Marshal(o)
	return excerpt{json: b, whole: true}, err
}

// complete makes an object that has been decoded from a changed excerpt the whole, with what else is in next, which is used up.
func (x excerpt) complete(o, next Object) error {
	if x.whole {
		return nil
	}
	dst, src := structOf(next), structOf(o)
	for _, at := range x.places {
		v, err := src.FieldByIndexErr(at)
		if err != nil {
			return err // A patch does not remove what it goes into.
		}
		dst.FieldByIndex(at).Set(v)
	}
	src.Set(dst)
	return nil
}

// cut appends the members of a struct that are in the patch, or does nothing and reports false where they cannot be taken apart.
func (x *excerpt) cut(v reflect.Value, patch map[string]any, at []int) (bool, error) {
	if !divisible(v.Type(), patch) {
		return false, nil
	}
	x.json = append(x.json, '{')
	first, known := true, value.TypeReflectEntryOf(v.Type()).Fields()
	for name, change := range patch {
		f, ok := memberField(v.Type(), name)
		if !ok {
			continue // The object has none, and strict decoding says so.
		}
		field := v.FieldByIndex(f.Index)
		here := append(at[:len(at):len(at)], f.Index...)
		if known[name].CanOmit(field) {
			x.places = append(x.places, here)
			continue
		}
		if !first {
			x.json = append(x.json, ',')
		}
		first = false
		x.json = append(append(append(x.json, '"'), name...), `":`...)
		if err := x.cutMember(f, field, change, here); err != nil {
			return false, err
		}
	}
	x.json = append(x.json, '}')
	return true, nil
}

// cutMember appends the value of a field: of a struct the part that is in the change, of anything else all of it.
func (x *excerpt) cutMember(f reflect.StructField, v reflect.Value, change any, at []int) error {
	inner := v
	if inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	members, ok := change.(map[string]any)
	if _, strategy := f.Tag.Lookup("patchStrategy"); ok && !strategy && inner.Kind() == reflect.Struct {
		if done, err := x.cut(inner, members, at); done || err != nil {
			return err
		}
	}
	b, err := json.Marshal(v.Addr().Interface())
	if err != nil {
		return fmt.Errorf("encode %s: %w", f.Name, err)
	}
	x.json, x.places = append(x.json, b...), append(x.places, at)
	return nil
}

// divisible reports whether the members of a patch can be applied to those of a struct one by one.
func divisible(t reflect.Type, patch map[string]any) bool {
	for name := range patch {
		if strings.HasPrefix(name, "$") {
			return false
		}
	}
	marshaler, p := reflect.TypeFor[json.Marshaler](), reflect.PointerTo(t)
	return !p.Implements(marshaler) && !p.Implements(reflect.TypeFor[json.Unmarshaler]())
}

// memberField finds the field of a struct that JSON has under a name. Its index leads through the structs that are inlined.
func memberField(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tagged, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tagged == name && name != "" && name != "-" && f.IsExported():
			return f, true
		case tagged == "" && f.Type.Kind() == reflect.Struct && (f.Anonymous || strings.Contains(options, "inline")):
			if inner, ok := memberField(f.Type, name); ok {
				inner.Index = append(f.Index, inner.Index...)
				return inner, true
			}
		}
	}
	return reflect.StructField{}, false
}
