package resource

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/quantity"
)

// decodeProtobuf reads a body in the protobuf wire format.
func decodeProtobuf(o runtime.Object, want schema.GroupVersionKind, shape *shape, data []byte) error {
	bad := func(err error) error {
		return api.BadRequest("%s in version %q cannot be handled as a %s: %v", want.Kind, want.Version, want.Kind, err)
	}
	unrecognized := func(err error) error {
		return api.BadRequest("the object provided is unrecognized (must be of type %s): %v", want.Kind, err)
	}
	m, ok := o.(interface{ Unmarshal([]byte) error })
	if !ok {
		return api.UnsupportedMediaType("%s has no protobuf form", want.Kind)
	}
	if !bytes.HasPrefix(data, protobufMagic) {
		return unrecognized(fmt.Errorf("provided data does not appear to be a protobuf message, expected prefix %v", []byte(protobufMagic)))
	}
	if len(data) == len(protobufMagic) {
		return unrecognized(errors.New("empty body"))
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(data[len(protobufMagic):]); err != nil {
		return unrecognized(err)
	}
	if err := checkTyped(envelope.APIVersion, envelope.Kind, want); err != nil {
		return err
	}
	if shape == nil {
		shape = shapeOf(reflect.TypeOf(o))
	}
	switch left := shape.spend(envelope.Raw, MaxElements); {
	case left == badQuantity:
		return bad(quantity.ErrBounds)
	case left < 0:
		return bad(fmt.Errorf("it has more than %d messages", MaxElements))
	}
	if err := m.Unmarshal(envelope.Raw); err != nil {
		return bad(err)
	}
	o.GetObjectKind().SetGroupVersionKind(want)
	return nil
}

// envelopeVersion is the group and version that a body in the protobuf wire format says it is of; zero where it says none.
func envelopeVersion(data []byte) schema.GroupVersion {
	raw, ok := bytes.CutPrefix(data, protobufMagic)
	var envelope runtime.Unknown
	if !ok || envelope.Unmarshal(raw) != nil {
		return schema.GroupVersion{}
	}
	gv, err := schema.ParseGroupVersion(envelope.APIVersion)
	if err != nil {
		return schema.GroupVersion{}
	}
	return gv
}

// shape says which fields of a message are messages themselves. Two bytes on the wire can become a Go struct of a kilobyte, so
// they are counted before anything is decoded. Quantities are messages with a text that is checked.
type shape struct {
	fields   map[protowire.Number]*shape
	quantity bool
}

// badQuantity is what is left of a budget after a quantity that must not be parsed.
const badQuantity = math.MinInt

// shapeOf reads the struct tags of a generated type.
func shapeOf(t reflect.Type) *shape { return shapes{}.of(t) }

// shapes are those found already; types may contain themselves.
type shapes map[reflect.Type]*shape

func (known shapes) of(t reflect.Type) *shape {
	t = element(t)
	if s := known[t]; s != nil {
		return s
	}
	s := &shape{fields: map[protowire.Number]*shape{}, quantity: t == quantity.Type()}
	known[t] = s
	for i := range t.NumField() {
		f := t.Field(i)
		parts := strings.Split(f.Tag.Get("protobuf"), ",")
		if len(parts) < 2 || parts[0] != "bytes" {
			continue
		}
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			continue
		}
		number := protowire.Number(n) //nolint:gosec // It is from a tag in the source.
		switch e := element(f.Type); {
		case e.Kind() == reflect.Struct:
			s.fields[number] = known.of(e)
		case e.Kind() == reflect.Map:
			entry := &shape{}
			if v := element(e.Elem()); v.Kind() == reflect.Struct {
				entry.fields = map[protowire.Number]*shape{2: known.of(v)}
			}
			s.fields[number] = entry
		}
	}
	return s
}

// element is what a field holds one or more of.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// spend takes the messages within a message off a budget and stops when it is used up or where the bytes are no message, which the
// decoder will find as well.
func (s *shape) spend(b []byte, left int) int {
	for len(b) > 0 && left >= 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return left
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
			return left
		}
		if wire == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			if inner := s.fields[number]; inner != nil {
				left = inner.spend(v, left-1)
			} else if s.quantity && quantity.Check(string(v)) != nil {
				return badQuantity
			}
		}
		b = b[n:]
	}
	return left
}
