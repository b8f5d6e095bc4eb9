package store

import (
	"strconv"
	"sync/atomic"
)

// Item is one object at one revision, in the forms it is served in. Everything in it is immutable
// once the item has been published; readers share it and must not change it.
type Item struct {
	// Key is the full etcd key.
	Key string
	// Namespace and Name are the object's own; Namespace is empty for cluster-scoped objects.
	Namespace, Name string
	// Revision of the object's last change; its resourceVersion.
	Revision int64
	// Value is the stored form.
	Value []byte
	// JSON is the object without kind and apiVersion: {"metadata":{...},...}. It carries the resourceVersion.
	JSON []byte
	// MetaEnd is the offset in JSON just behind the metadata object: JSON[:MetaEnd] is {"metadata":{...}.
	MetaEnd int
	// Labels are the object's labels.
	Labels map[string]string
	// Fields are the values of the resource's selectable fields beyond name and namespace, in the order in which the resource
	// names them. A map per object would cost more memory than a small object, and time at each collection.
	Fields []string
	// Completed tells that the object has defaults that Value lacks.
	Completed bool
	// Broken is set where the stored value cannot be decoded; such an item has a Key, a Revision and a Value only.
	Broken error
	// Row holds what the reader of tables derives from the object, at most once per revision.
	Row atomic.Pointer[Row]
}

// Row is the cached part of a table row: the JSON of the cells, and of what follows them, in Parts, with a hole between each two
// parts for a cell that changes with time.
type Row struct {
	Parts [][]byte
	// Times fills the holes: unix seconds from which the cell counts, 0 for unknown.
	Times []int64
}

// Codec turns a stored value into an item, which may refer to the value. It is called from several goroutines at once. On
// error the value is kept as a broken item.
type Codec func(key string, value []byte, revision int64) (*Item, error)

// Draft is an object encoded before its revision is known. At completes it.
type Draft struct {
	item       Item // without Revision; JSON holds the bytes before the revision
	tail       []byte
	metaBehind int // distance from the revision's start to the end of metadata, in tail
}

// NewDraft prepares an item whose JSON holds a placeholder for the resourceVersion, a string of any content. It
// reports false if the metadata has no resourceVersion or is not the first field.
func NewDraft(item *Item) (*Draft, bool) {
	start, end, ok := findRevision(item.JSON)
	if !ok || end > item.MetaEnd || item.MetaEnd > len(item.JSON) {
		return nil, false
	}
	d := &Draft{tail: item.JSON[end:], metaBehind: item.MetaEnd - end}
	d.item.Key, d.item.Namespace, d.item.Name = item.Key, item.Namespace, item.Name
	d.item.Value, d.item.Labels, d.item.Fields, d.item.Completed = item.Value, item.Labels, item.Fields, item.Completed
	d.item.JSON = item.JSON[:start:start]
	return d, true
}

// At returns the item as stored at the revision.
func (d *Draft) At(revision int64) *Item {
	var digits [20]byte
	rv := strconv.AppendInt(digits[:0], revision, 10)
	b := make([]byte, 0, len(d.item.JSON)+len(rv)+len(d.tail))
	b = append(append(append(b, d.item.JSON...), rv...), d.tail...)
	return &Item{
		Key: d.item.Key, Namespace: d.item.Namespace, Name: d.item.Name, Revision: revision,
		Value: d.item.Value, JSON: b, MetaEnd: len(d.item.JSON) + len(rv) + d.metaBehind,
		Labels: d.item.Labels, Fields: d.item.Fields, Completed: d.item.Completed,
	}
}

// Unsaved returns the item as it would be stored, without a resourceVersion: the answer to a dry run.
func (d *Draft) Unsaved() *Item {
	i := d.At(0)
	field := len(d.item.JSON) - len(revisionField)
	rest := d.tail[1:] // behind the closing quote
	if len(rest) > 0 && rest[0] == ',' {
		rest = rest[1:]
	} else if field > 0 && d.item.JSON[field-1] == ',' {
		field--
	}
	i.JSON = append(append(make([]byte, 0, field+len(rest)), d.item.JSON[:field]...), rest...)
	i.MetaEnd = len(i.JSON) - (len(d.tail) - d.metaBehind)
	return i
}

// AtRevision returns a copy of the item that carries another resourceVersion, as the last state of
// a deleted object does.
func (i *Item) AtRevision(revision int64) *Item {
	if i.Broken != nil {
		return &Item{Key: i.Key, Namespace: i.Namespace, Name: i.Name, Value: i.Value, Revision: revision, Broken: i.Broken}
	}
	d, ok := NewDraft(i)
	if !ok { // never so for an item of a codec that keeps its promise
		return &Item{
			Key: i.Key, Namespace: i.Namespace, Name: i.Name, Revision: revision, Value: i.Value,
			JSON: i.JSON, MetaEnd: i.MetaEnd, Labels: i.Labels, Fields: i.Fields, Completed: i.Completed,
		}
	}
	return d.At(revision)
}
