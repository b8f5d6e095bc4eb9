package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/store"
)

// protobufMagic begins every stored protobuf value, as the reference writes them.
var protobufMagic = []byte("k8s\x00")

// metaPrefix begins the JSON of every item.
var metaPrefix = []byte(`{"metadata":`)

// encodeValue is the stored form: the magic bytes and an envelope with apiVersion and kind around the
// object's protobuf. The resourceVersion is not stored; it is the revision of the key.
func (t *Type) encodeValue(o Object) ([]byte, error) {
	o.SetResourceVersion("")
	if t.StoredJSON {
		value, err := t.encodeJSONValue(o)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", t.Kind, err)
		}
		return append(value, '\n'), nil
	}
	raw, err := o.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", t.Kind, err)
	}
	version := t.Version
	if t.StoredVersion != "" {
		version = t.StoredVersion
	}
	envelope := runtime.Unknown{
		TypeMeta: runtime.TypeMeta{APIVersion: schema.GroupVersion{Group: t.Group, Version: version}.String(), Kind: t.Kind},
		Raw:      raw,
	}
	value := make([]byte, len(protobufMagic)+envelope.Size())
	copy(value, protobufMagic)
	if _, err := envelope.MarshalTo(value[len(protobufMagic):]); err != nil {
		return nil, fmt.Errorf("encode %s: %w", t.Kind, err)
	}
	return value, nil
}

// encodeJSONValue is the stored form of a type that is kept as JSON, without the line feed at its end.
func (t *Type) encodeJSONValue(o Object) ([]byte, error) {
	if t.storedForm != nil {
		return t.storedForm.encode(o)
	}
	o.GetObjectKind().SetGroupVersionKind(t.GVK())
	return json.Marshal(o)
}

// rawProtobuf returns the object's message inside a stored value and the type in its envelope, both encoded, without copying them.
func rawProtobuf(value []byte) (raw, typeMeta []byte, err error) {
	if !bytes.HasPrefix(value, protobufMagic) {
		return nil, nil, errors.New("the stored value is not in the protobuf storage format")
	}
	for b := value[len(protobufMagic):]; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, fmt.Errorf("storage envelope: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if typ != protowire.BytesType {
			return nil, nil, fmt.Errorf("storage envelope: field %d is not bytes", num)
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, nil, fmt.Errorf("storage envelope: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch num {
		case 1:
			typeMeta = v
		case 2:
			raw = v
		}
	}
	return raw, typeMeta, nil
}

// decodeValue reads a stored value.
func (t *Type) decodeValue(value []byte, revision int64) (Object, error) {
	o, _, err := t.decodeStored(value, revision)
	return o, err
}

// decodeStored reads a stored value and reports whether the object is more than what is stored, because defaults were added.
func (t *Type) decodeStored(value []byte, revision int64) (o Object, completed bool, err error) {
	if t.StoredJSON {
		o, err = t.decodeJSONValue(value, revision)
		return o, false, err
	}
	raw, typeMeta, err := rawProtobuf(value)
	if err != nil {
		return nil, false, err
	}
	var meta runtime.TypeMeta
	if err := meta.Unmarshal(typeMeta); err != nil {
		return nil, false, fmt.Errorf("storage envelope: %w", err)
	}
	if meta.Kind != t.Kind {
		return nil, false, fmt.Errorf("the stored value is a %s, not a %s", meta.Kind, t.Kind)
	}
	o = t.New()
	if err := o.Unmarshal(raw); err != nil {
		return nil, false, fmt.Errorf("decode %s: %w", t.Kind, err)
	}
	t.Rules.Default(o) // An older server may have stored it before a field had its default.
	if t.onRead != nil {
		t.onRead(o)
	}
	completed = o.Size() != len(raw) // A default fills in what was not there, which takes room.
	o.SetResourceVersion(formatRevision(revision))
	return o, completed, nil
}

func (t *Type) decodeJSONValue(value []byte, revision int64) (Object, error) {
	if f := t.storedForm; f != nil {
		var head metav1.TypeMeta
		if err := utiljson.UnmarshalCaseSensitivePreserveInts(value, &head); err != nil {
			return nil, fmt.Errorf("decode %s: %w", t.Kind, err)
		}
		if head.APIVersion == f.version && head.Kind == t.Kind {
			o, err := f.decode(value)
			if err != nil {
				return nil, fmt.Errorf("decode %s: %w", t.Kind, err)
			}
			o.SetResourceVersion(formatRevision(revision))
			return o, nil
		}
	}
	o := t.New()
	if err := utiljson.UnmarshalCaseSensitivePreserveInts(value, o); err != nil {
		return nil, fmt.Errorf("decode %s: %w", t.Kind, err)
	}
	if gvk := o.GetObjectKind().GroupVersionKind(); gvk != t.GVK() {
		return nil, fmt.Errorf("the stored value is a %s, not a %s", gvk, t.GVK())
	}
	o.SetResourceVersion(formatRevision(revision))
	return o, nil
}

// message returns the object's protobuf message, which most values hold as it is; others were stored by a server that leaves defaults to
// its readers.
func (t *Type) message(i *store.Item) ([]byte, error) {
	if t.StoredJSON {
		o, err := t.decodeJSONValue(i.Value, 0)
		if err != nil {
			return nil, err
		}
		o.SetResourceVersion("")
		return o.Marshal()
	}
	if i.Completed {
		o, err := t.decodeValue(i.Value, 0)
		if err != nil {
			return nil, err
		}
		o.SetResourceVersion("")
		return o.Marshal()
	}
	raw, _, err := rawProtobuf(i.Value)
	return raw, err
}

// Decode returns the item as a typed object that the caller may change.
func (t *Type) Decode(item *store.Item) (Object, error) {
	if item.Broken != nil {
		return nil, item.Broken
	}
	return t.decodeValue(item.Value, item.Revision)
}

// newItem encodes the served form of an object. value is its stored form.
func (t *Type) newItem(key string, o Object, value []byte, revision int64) (*store.Item, error) {
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	o.SetResourceVersion(formatRevision(revision))
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", t.Kind, err)
	}
	end := metadataEnd(b)
	if end < 0 {
		return nil, fmt.Errorf("encode %s: the JSON form does not begin with metadata", t.Kind)
	}
	item := &store.Item{
		Key: key, Namespace: o.GetNamespace(), Name: o.GetName(), Revision: revision,
		Value: value, JSON: b, MetaEnd: end, Labels: o.GetLabels(),
	}
	if t.Fields != nil {
		values := t.Fields(o)
		item.Fields = make([]string, len(t.FieldNames))
		for i, name := range t.FieldNames {
			item.Fields[i] = values[name]
		}
	}
	return item, nil
}

// codec makes the cache's items of the type.
func (t *Type) codec() store.Codec {
	return func(key string, value []byte, revision int64) (*store.Item, error) {
		o, completed, err := t.decodeStored(value, revision)
		if err != nil {
			return nil, err
		}
		item, err := t.newItem(key, o, value, revision)
		if err != nil {
			return nil, err
		}
		item.Completed = completed
		return item, nil
	}
}

// metadataEnd returns the offset behind the object that follows metaPrefix, or -1.
func metadataEnd(b []byte) int {
	if !bytes.HasPrefix(b, metaPrefix) {
		return -1
	}
	depth, inString := 0, false
	for i := len(metaPrefix); i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// setStatus copies the status of from into to, or clears it where from is nil. It does nothing for types without one.
func (t *Type) setStatus(to, from Object) {
	if t.statusIndex < 0 {
		return
	}
	dst := structOf(to).Field(t.statusIndex)
	if from == nil {
		dst.SetZero()
		return
	}
	dst.Set(structOf(from).Field(t.statusIndex))
}
