package rules

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/diff"
)

// Shown is v as the value of a field error. The reference checks types of its own that have no JSON names, so what clients read in its
// messages are Go names, in the order of those types and with nothing left out. Numbers, strings and bools are returned as they are.
func Shown(v any) any {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return v
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map:
		return unversioned{v}
	default:
		return v
	}
}

// Diff shows as a unified diff how two values differ, each as [Shown] has it.
func Diff(old, v any) string { return diff.Diff(Shown(old), Shown(v)) }

type unversioned struct{ value any }

// MarshalJSON writes the value under Go names.
func (u unversioned) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := show(&b, reflect.ValueOf(u.value)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func show(b *bytes.Buffer, v reflect.Value) error {
	switch {
	case !v.IsValid() || nilable(v.Kind()) && v.IsNil():
		b.WriteString("null")
		return nil
	case marshalsItself(v.Type()):
		return showJSON(b, v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return show(b, v.Elem())
	case reflect.Map:
		return showMap(b, v)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			return showSlice(b, v)
		}
	case reflect.Struct:
		if strings.HasPrefix(v.Type().PkgPath(), "k8s.io/api/") {
			b.WriteByte('{')
			defer b.WriteByte('}')
			return showFields(b, v)
		}
	}
	return showJSON(b, v)
}

func nilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Interface || k == reflect.Map || k == reflect.Slice
}

func marshalsItself(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

func showJSON(b *bytes.Buffer, v reflect.Value) error {
	if v.Kind() != reflect.Pointer {
		p := reflect.New(v.Type()) // Some types marshal by pointer only.
		p.Elem().Set(v)
		v = p
	}
	text, err := json.Marshal(v.Interface())
	b.Write(text)
	return err
}

func showMap(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	for i, k := range sortedKeys(v) {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(k.String())
		if err != nil {
			return err
		}
		b.Write(key)
		b.WriteByte(':')
		if err := show(b, v.MapIndex(k)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func showSlice(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := show(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

// showFields writes the fields of a struct without the braces.
func showFields(b *bytes.Buffer, v reflect.Value) error {
	for _, f := range fieldsOf(v.Type()) {
		inner := v
		if f.index >= 0 {
			inner = v.Field(f.index)
		}
		if f.inline {
			if err := showInline(b, inner); err != nil {
				return err
			}
			continue
		}
		separate(b)
		b.WriteString(strconv.Quote(f.name) + ":")
		if f.index < 0 {
			b.WriteString(f.literal)
			continue
		}
		if f.host != nil {
			inner = withHost(inner, v, f.host)
		}
		if err := show(b, inner); err != nil {
			return err
		}
	}
	return nil
}

// showInline writes an embedded struct, which is either one of the API's or metadata with its own JSON names.
func showInline(b *bytes.Buffer, v reflect.Value) error {
	if strings.HasPrefix(v.Type().PkgPath(), "k8s.io/api/") {
		return showFields(b, v)
	}
	text, err := json.Marshal(v.Interface())
	if inner := bytes.TrimSuffix(bytes.TrimPrefix(text, []byte("{")), []byte("}")); len(inner) > 0 {
		separate(b)
		b.Write(inner)
	}
	return err
}

func separate(b *bytes.Buffer) {
	if text := b.Bytes(); len(text) > 0 && text[len(text)-1] != '{' {
		b.WriteByte(',')
	}
}

type shownField struct {
	name    string
	index   int // -1 for a field that only the reference has; literal is what it holds then
	literal string
	inline  bool
	host    []int // fields beside it that the reference has in it, before its own
}

// hostShared is a security context that begins with fields from beside it.
type hostShared struct{ own, host []byte }

// MarshalJSON joins both.
func (h hostShared) MarshalJSON() ([]byte, error) {
	return slices.Concat([]byte("{"), h.host, h.own, []byte("}")), nil
}

// withHost puts the given fields of v before those of its field inner, which the reference never has as null.
func withHost(inner, v reflect.Value, fields []int) reflect.Value {
	if inner.IsNil() {
		inner = reflect.New(inner.Type().Elem())
	}
	var host, own bytes.Buffer
	for _, i := range fields {
		host.WriteString(strconv.Quote(v.Type().Field(i).Name) + ":")
		if v.Type().Field(i).Type.Kind() == reflect.Bool {
			host.WriteString(strconv.FormatBool(v.Field(i).Bool()))
		} else if show(&host, v.Field(i)) != nil {
			host.WriteString("null")
		}
		host.WriteByte(',')
	}
	if err := showFields(&own, inner.Elem()); err != nil {
		return inner
	}
	return reflect.ValueOf(hostShared{own: own.Bytes(), host: host.Bytes()})
}

// fieldsOf lists the fields of a struct as the reference has them.
func fieldsOf(t reflect.Type) []shownField {
	var fields []shownField
	for i := range t.NumField() {
		f := t.Field(i)
		fields = append(fields, shownField{name: f.Name, index: i, inline: f.Anonymous && f.Type.Kind() == reflect.Struct})
	}
	if pod, ok := t.FieldByName("HostIPC"); ok && pod.Type.Kind() == reflect.Bool {
		markHost(t, fields)
	}
	order := layout(strings.TrimPrefix(t.PkgPath(), "k8s.io/api/") + "." + t.Name())
	if order == "" {
		return fields
	}
	var ordered []shownField
	for name := range strings.FieldsSeq(order) {
		name, literal, missing := strings.Cut(name, "=")
		i := slices.IndexFunc(fields, func(f shownField) bool { return f.name == name })
		switch {
		case missing:
			ordered = append(ordered, shownField{name: name, index: -1, literal: literal})
		case i >= 0:
			ordered = append(ordered, fields[i])
		}
	}
	return ordered
}

func markHost(t reflect.Type, fields []shownField) {
	at := slices.IndexFunc(fields, func(f shownField) bool { return f.name == "SecurityContext" })
	for _, name := range []string{"HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers"} {
		if f, ok := t.FieldByName(name); ok && at >= 0 {
			fields[at].host = append(fields[at].host, f.Index[0])
		}
	}
}
