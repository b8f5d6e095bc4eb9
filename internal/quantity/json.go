package quantity

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Type is the type of quantities.
func Type() reflect.Type { return reflect.TypeFor[resource.Quantity]() }

// CheckJSON returns [ErrBounds] for a JSON document to be decoded as the type in which a quantity is out of bounds. Each member is looked
// at, one that is repeated too, since all of them are decoded, and names in any case, as some decoders do. What is no JSON is left to the
// decoder.
func CheckJSON(data []byte, t reflect.Type) error {
	if !Suspect(data) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := (document{d}).value(t); !errors.Is(err, errNotJSON) {
		return err
	}
	return nil
}

// errNotJSON ends the look at a document that no decoder takes.
var errNotJSON = errors.New("it is not JSON")

// document is one that is gone through.
type document struct{ *json.Decoder }

// value reads one value, which is decoded as the type; nil is a type that holds no quantities.
func (d document) value(t reflect.Type) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := d.Token()
	if err != nil {
		return errNotJSON
	}
	switch token := token.(type) {
	case json.Delim:
		return d.members(token == '{', t)
	case string:
		return checkText(token, t)
	case json.Number:
		return checkText(token.String(), t)
	}
	return nil
}

// members reads the rest of an object or list.
func (d document) members(named bool, t reflect.Type) error {
	for d.More() {
		of := elementOf(t)
		if named {
			token, err := d.Token()
			if err != nil {
				return errNotJSON
			}
			name, _ := token.(string)
			of = memberOf(t, name)
		}
		if err := d.value(of); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // which ends it
		return errNotJSON
	}
	return nil
}

func checkText(text string, t reflect.Type) error {
	if t != Type() {
		return nil
	}
	return Check(strings.TrimSpace(text))
}

func elementOf(t reflect.Type) reflect.Type {
	if t == nil || (t.Kind() != reflect.Slice && t.Kind() != reflect.Array) {
		return nil
	}
	return t.Elem()
}

// memberOf is the type of a member of an object.
func memberOf(t reflect.Type, name string) reflect.Type {
	switch {
	case t == nil:
		return nil
	case t.Kind() == reflect.Map:
		return t.Elem()
	case t.Kind() != reflect.Struct:
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag != "" && strings.EqualFold(tag, name) {
			return f.Type
		}
		if tag == "" && f.Anonymous {
			if of := memberOf(f.Type, name); of != nil {
				return of
			}
		}
	}
	return nil
}
