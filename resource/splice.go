package resource

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse/gatehouse/store"
)

// Every answer is spliced from the bytes that the cache holds. An item's JSON is the object without kind and apiVersion, as it stands
// in a list; one object is that with the type in front; metadata alone is its beginning; a table row is cached cells
// and the metadata. In protobuf an item is the stored message itself with one more metadata field behind it that holds the
// resourceVersion: repeated embedded messages merge. Nothing on these paths decodes or encodes an object.

// AppendObject appends the object as JSON, with kind and apiVersion.
func (t *Type) AppendObject(b []byte, i *store.Item) []byte {
	b = t.appendHead(b, t.Kind)
	return append(b, i.JSON[1:]...)
}

// appendHead appends {"kind":K,"apiVersion":V, with the comma.
func (t *Type) appendHead(b []byte, kind string) []byte {
	b = append(b, `{"kind":"`...)
	b = append(b, kind...)
	b = append(b, `","apiVersion":"`...)
	if t.Group != "" {
		b = append(append(b, t.Group...), '/')
	}
	return append(append(b, t.Version...), `",`...)
}

// AppendPartial appends the object's metadata as a PartialObjectMetadata.
func (t *Type) AppendPartial(b []byte, i *store.Item, version MetaVersion) []byte {
	b = version.appendHead(b, "PartialObjectMetadata")
	return append(append(b, i.JSON[1:i.MetaEnd]...), '}')
}

// AppendProtobuf appends the object in the protobuf wire format, magic and envelope included.
func (t *Type) AppendProtobuf(b []byte, i *store.Item) ([]byte, error) {
	raw, err := t.message(i)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Key, err)
	}
	var tail [revisionTail]byte
	suffix := appendRevision(tail[:0], i.Revision)
	b = t.appendEnvelope(b, t.Kind, len(raw)+len(suffix))
	return AppendEnvelopeEnd(append(append(b, raw...), suffix...)), nil
}

// AppendPartialProtobuf appends the object's metadata as a PartialObjectMetadata in the protobuf wire format. It is field 1 there as it
// is in every object, so the bytes are the stored ones.
func (t *Type) AppendPartialProtobuf(b []byte, i *store.Item) ([]byte, error) {
	meta, err := t.partialProtobuf(i)
	if err != nil {
		return nil, err
	}
	var tail [revisionTail]byte
	suffix := appendRevision(tail[:0], i.Revision)
	b = AppendEnvelope(b, protobufMetaVersion, "PartialObjectMetadata", len(meta)+len(suffix))
	return AppendEnvelopeEnd(append(append(b, meta...), suffix...)), nil
}

// partialProtobuf returns the metadata of an item as the message holds it: field 1 with its tag, without the resourceVersion.
func (t *Type) partialProtobuf(i *store.Item) ([]byte, error) {
	raw, err := t.message(i)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Key, err)
	}
	for b := raw; len(b) > 0; {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil, fmt.Errorf("%s: %w", i.Key, protowire.ParseError(n))
		}
		if num == 1 {
			return b[:n], nil
		}
		b = b[n:]
	}
	return nil, nil
}

// appendEnvelope appends the magic and the envelope up to a message of n bytes, which the caller appends.
func (t *Type) appendEnvelope(b []byte, kind string, n int) []byte {
	return AppendEnvelope(b, t.GroupVersion(), kind, n)
}

// AppendEnvelope appends the head of a protobuf document: magic, apiVersion, kind, and the length of the message of n bytes
// that the caller appends next, followed by [AppendEnvelopeEnd].
func AppendEnvelope(b []byte, apiVersion, kind string, n int) []byte {
	b = append(b, protobufMagic...)
	meta := protowire.SizeTag(1) + protowire.SizeBytes(len(apiVersion)) + protowire.SizeTag(2) + protowire.SizeBytes(len(kind))
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.BytesType), uint64(meta))
	b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), apiVersion)
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), kind)
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.BytesType), uint64(n))
}

// AppendEnvelopeEnd appends the two empty fields that the reference writes behind the message.
func AppendEnvelopeEnd(b []byte) []byte { return append(b, 0x1a, 0, 0x22, 0) }

// revisionTail bounds what appendRevision appends.
const revisionTail = 32

// appendRevision appends metadata (field 1) holding resourceVersion (field 6); nothing for the 0 of a dry run.
func appendRevision(b []byte, revision int64) []byte {
	if revision == 0 {
		return b
	}
	var digits [20]byte
	rv := strconv.AppendInt(digits[:0], revision, 10)
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.BytesType), uint64(protowire.SizeTag(6)+protowire.SizeBytes(len(rv))))
	return protowire.AppendBytes(protowire.AppendTag(b, 6, protowire.BytesType), rv)
}

// AppendRow appends the object's table row. The cells are computed once per revision of the object, those that change
// with the clock excepted.
func (s *Service) AppendRow(b []byte, t *Type, i *store.Item, form TableForm, now time.Time) ([]byte, error) {
	row := i.Row.Load()
	if row == nil {
		var err error
		if row, err = s.row(t, i); err != nil {
			return nil, err
		}
		i.Row.Store(row)
	}
	b = appendCells(b, row, now)
	switch form.Include {
	case IncludeNone:
		b = append(b, "null"...)
	case IncludeWhole:
		b = t.AppendObject(b, i)
	default:
		b = t.AppendPartial(b, i, form.Version)
	}
	return append(b, '}'), nil
}

// appendCells begins a row, up to the value of its object.
func appendCells(b []byte, row *store.Row, now time.Time) []byte {
	b = append(b, `{"cells":[`...)
	for n, part := range row.Parts {
		if n > 0 {
			b = appendAge(b, row.Times[n-1], now)
		}
		b = append(b, part...)
	}
	return append(b, `,"object":`...)
}

// row computes the cells of an item. An item that was converted for this answer holds the served type's own value.
func (s *Service) row(t *Type, i *store.Item) (*store.Row, error) {
	o, err := t.decodeValue(i.Value, i.Revision)
	if err != nil {
		return nil, broken(t, i, err)
	}
	return t.row(o)
}

// row computes the cells of an object.
func (t *Type) row(o Object) (*store.Row, error) {
	row := &store.Row{}
	var part []byte
	for n, cell := range t.columns.Cells(o) {
		if n > 0 {
			part = append(part, ',')
		}
		if a, ok := cell.(age); ok {
			row.Parts = append(row.Parts, append(append(part, '"'), a.before...))
			part = append([]byte(a.after), '"')
			seconds := int64(0)
			if !a.t.IsZero() {
				seconds = a.t.Unix()
			}
			row.Times = append(row.Times, seconds)
			continue
		}
		text, err := json.Marshal(cell)
		if err != nil {
			return nil, fmt.Errorf("cell %d of %s %s/%s: %w", n, t.Kind, o.GetNamespace(), o.GetName(), err)
		}
		part = append(part, text...)
	}
	part = append(part, ']')
	if t.columns.Conditions != nil {
		if conditions := t.columns.Conditions(o); len(conditions) > 0 {
			text, err := json.Marshal(conditions)
			if err != nil {
				return nil, fmt.Errorf("row conditions of %s %s/%s: %w", t.Kind, o.GetNamespace(), o.GetName(), err)
			}
			part = append(append(part, `,"conditions":`...), text...)
		}
	}
	row.Parts = append(row.Parts, part)
	return row, nil
}

// appendAge fills a hole of a row. What stands around it, the quotes included, is in the parts.
func appendAge(b []byte, since int64, now time.Time) []byte {
	if since == 0 {
		return append(b, `\u003cunknown\u003e`...)
	}
	return append(b, duration.HumanDuration(now.Sub(time.Unix(since, 0)))...)
}

// chunk is how many bytes of a list are gathered before they are written. Writes of this size are what the HTTP/2 server
// sends with the least work per byte.
const chunk = 256 << 10

// Chunks writes a long answer in pieces of about 256 KiB from one reused buffer. The zero value with W set is ready.
type Chunks struct {
	W   io.Writer
	Buf []byte
}

// flushIfFull writes the buffer out once it holds a chunk.
func (c *Chunks) flushIfFull() error {
	if len(c.Buf) < chunk {
		return nil
	}
	return c.Flush()
}

// Flush writes what is buffered.
func (c *Chunks) Flush() error {
	_, err := c.W.Write(c.Buf)
	c.Buf = c.Buf[:0]
	return err
}

// appendListMeta appends "metadata":{...} of a list.
func (l *List) appendListMeta(b []byte) []byte {
	if l.Revision == 0 { // computed and not stored
		return append(b, `"metadata":{}`...)
	}
	b = append(b, `"metadata":{"resourceVersion":"`...)
	b = append(strconv.AppendInt(b, l.Revision, 10), '"')
	if l.Continue != "" {
		b = append(append(append(b, `,"continue":"`...), l.Continue...), '"')
	}
	if l.Remaining != nil {
		b = strconv.AppendInt(append(b, `,"remainingItemCount":`...), *l.Remaining, 10)
	}
	return append(b, '}')
}

// WriteJSON writes the list as JSON.
func (l *List) WriteJSON(c *Chunks) error {
	c.Buf = l.appendListMeta(l.Type.appendHead(c.Buf, l.Type.Kind+"List"))
	c.Buf = append(c.Buf, `,"items":[`...)
	return l.eachItem(c, func(b []byte, i *store.Item) ([]byte, error) { return append(b, i.JSON...), nil })
}

// WritePartial writes the metadata of the objects as a PartialObjectMetadataList.
func (l *List) WritePartial(c *Chunks, version MetaVersion) error {
	c.Buf = version.appendHead(c.Buf, "PartialObjectMetadataList")
	c.Buf = append(l.appendListMeta(c.Buf), `,"items":[`...)
	return l.eachItem(c, func(b []byte, i *store.Item) ([]byte, error) { return l.Type.AppendPartial(b, i, version), nil })
}

// WriteTable writes the list as a Table.
func (s *Service) WriteTable(l *List, c *Chunks, form TableForm, now time.Time) error {
	c.Buf = l.appendListMeta(form.Version.appendHead(c.Buf, "Table"))
	c.Buf = append(append(append(c.Buf, `,"columnDefinitions":`...), l.Type.columnDefinitions...), `,"rows":`...)
	if len(l.Items) == 0 && l.Type.columns.Bare {
		c.Buf = append(c.Buf, "null}\n"...)
		return c.Flush()
	}
	c.Buf = append(c.Buf, '[')
	return l.inOrder().eachItem(c, func(b []byte, i *store.Item) ([]byte, error) { return s.AppendRow(b, l.Type, i, form, now) })
}

// inOrder is the list in the order in which a table of its type shows it.
func (l *List) inOrder() *List {
	order := l.Type.columns.Order
	if order == nil {
		return l
	}
	ordered := *l
	ordered.Items = slices.Clone(l.Items)
	ranks := make(map[*store.Item]int32, len(l.Items))
	for _, i := range l.Items {
		if o, err := l.Type.Decode(i); err == nil {
			ranks[i] = order(o)
		}
	}
	slices.SortStableFunc(ordered.Items, func(a, b *store.Item) int { return cmp.Compare(ranks[a], ranks[b]) })
	return &ordered
}

func (l *List) eachItem(c *Chunks, add func([]byte, *store.Item) ([]byte, error)) (err error) {
	for n, i := range l.Items {
		if n > 0 {
			c.Buf = append(c.Buf, ',')
		}
		if c.Buf, err = add(c.Buf, i); err != nil {
			return err
		}
		if err := c.flushIfFull(); err != nil {
			return err
		}
	}
	c.Buf = append(c.Buf, "]}\n"...)
	return c.Flush()
}

// WriteProtobuf writes the list in the protobuf wire format.
func (l *List) WriteProtobuf(c *Chunks) error {
	return l.writeProtobuf(c, l.Type.GroupVersion(), l.Type.Kind+"List", l.Type.message)
}

// WritePartialProtobuf writes the metadata of the objects as a PartialObjectMetadataList in the protobuf wire format.
func (l *List) WritePartialProtobuf(c *Chunks) error {
	return l.writeProtobuf(c, protobufMetaVersion, "PartialObjectMetadataList", l.Type.partialProtobuf)
}

// writeProtobuf goes over the items twice, as the length stands before the content.
func (l *List) writeProtobuf(c *Chunks, apiVersion, kind string, content func(*store.Item) ([]byte, error)) error {
	meta := l.protobufMeta()
	size := len(meta)
	var tail [revisionTail]byte
	for _, i := range l.Items {
		raw, err := content(i)
		if err != nil {
			return broken(l.Type, i, err)
		}
		size += protowire.SizeTag(2) + protowire.SizeBytes(len(raw)+len(appendRevision(tail[:0], i.Revision)))
	}
	c.Buf = append(AppendEnvelope(c.Buf, apiVersion, kind, size), meta...)
	for _, i := range l.Items {
		raw, err := content(i)
		if err != nil {
			return broken(l.Type, i, err)
		}
		suffix := appendRevision(tail[:0], i.Revision)
		c.Buf = protowire.AppendVarint(protowire.AppendTag(c.Buf, 2, protowire.BytesType), uint64(len(raw)+len(suffix)))
		c.Buf = append(append(c.Buf, raw...), suffix...)
		if err := c.flushIfFull(); err != nil {
			return err
		}
	}
	c.Buf = AppendEnvelopeEnd(c.Buf)
	return c.Flush()
}

// protobufMeta is ListMeta as field 1: selfLink 1, resourceVersion 2, continue 3, remainingItemCount 4.
func (l *List) protobufMeta() []byte {
	m := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "")
	m = protowire.AppendString(protowire.AppendTag(m, 2, protowire.BytesType), formatRevision(l.Revision))
	m = protowire.AppendString(protowire.AppendTag(m, 3, protowire.BytesType), l.Continue)
	if l.Remaining != nil {
		m = protowire.AppendVarint(protowire.AppendTag(m, 4, protowire.VarintType), uint64(*l.Remaining))
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), m)
}
