package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// Metadata is what the server's own loops look at of an object, without decoding the rest of it.
type Metadata struct {
	// Key identifies the place of the object among all objects of all resources.
	Key             string `json:"-"`
	Namespace, Name string `json:"-"`

	UID               types.UID               `json:"uid"`
	ResourceVersion   string                  `json:"resourceVersion"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
	Finalizers        []string                `json:"finalizers"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`

	// Err says why the object cannot be decoded; only Key is set then.
	Err error `json:"-"`
}

// metadataOf parses the metadata of an item.
func metadataOf(item *store.Item) *Metadata {
	if item.Broken != nil {
		return &Metadata{Key: item.Key, Err: fmt.Errorf("%s cannot be decoded: %w", item.Key, item.Broken)}
	}
	if raw, _, err := rawProtobuf(item.Value); err == nil {
		return storedMetadata(item, raw)
	}
	text, found := bytes.CutPrefix(item.JSON[:item.MetaEnd], []byte(`{"metadata":`))
	m := &Metadata{}
	err := json.Unmarshal(text, m)
	if !found || err != nil {
		return &Metadata{Key: item.Key, Err: fmt.Errorf("metadata of %s: %w", item.Key, errors.Join(err, errNoMetadata))}
	}
	m.Key, m.Namespace, m.Name = item.Key, item.Namespace, item.Name
	return m
}

// storedMetadata reads the metadata of a stored message, which is the first field of every kind, and passes over its other fields.
func storedMetadata(item *store.Item, raw []byte) *Metadata {
	var o metav1.PartialObjectMetadata
	if err := o.Unmarshal(raw); err != nil {
		return &Metadata{Key: item.Key, Err: fmt.Errorf("metadata of %s: %w", item.Key, err)}
	}
	return &Metadata{
		Key: item.Key, Namespace: item.Namespace, Name: item.Name, UID: o.UID, ResourceVersion: formatRevision(item.Revision),
		DeletionTimestamp: o.DeletionTimestamp, Finalizers: o.Finalizers, OwnerReferences: o.OwnerReferences,
	}
}

var errNoMetadata = errors.New("it does not begin with metadata")

// Feed follows a stored resource in all namespaces, without waiting, for the server's own loops. What it returns is the present state of the
// cache; after Mirror.Fresh that is all that was committed before. Poll must not be called by two at once; the other methods may.
type Feed struct {
	// Type is the resource.
	Type *Type

	cache   *store.Cache
	watcher *store.Watcher // nil until the first Poll
	events  []*store.Event // room for a poll
}

// feedBatch is how many changes of a feed are read at once.
const feedBatch = 64

// Feed begins a feed. The permit is one to watch the resource everywhere, which must be one that stores its own form.
func (s *Service) Feed(p authz.Permit) (*Feed, error) {
	t, err := s.target(p, "watch")
	if err != nil {
		return nil, err
	}
	if !p.IsSystem() || p.Info().Namespace != "" || t.StoredAs != nil {
		return nil, api.Internal(fmt.Errorf("a feed of %s was asked for by a client, in a namespace or in a converted form", t.GVR()))
	}
	return &Feed{Type: t, cache: s.caches[t.Prefix]}, nil
}

// Poll visits every object the first time, and then what has changed since the time before: removed objects in their last state.
// The channel is closed when there is more. It fails with reason Expired when it has fallen behind the history, or the caches were
// loaded again; only a new feed helps then.
func (f *Feed) Poll(visit func(m *Metadata, removed bool)) (more <-chan struct{}, err error) {
	if f.watcher == nil {
		var initial store.Snapshot
		initial, f.watcher = f.cache.WatchFromNow()
		f.events = make([]*store.Event, 0, feedBatch)
		initial.Ascend(f.cache.Prefix(), "", func(item *store.Item) bool {
			visit(metadataOf(item), false)
			return true
		})
	}
	for {
		events, more, err := f.watcher.Poll(f.events)
		if err != nil {
			return nil, storeError(f.Type, "", err)
		}
		if len(events) == 0 {
			return more, nil
		}
		for _, e := range events {
			visit(metadataOf(e.Item), e.Type == store.Deleted)
		}
	}
}

// Key is what Metadata.Key is of the object.
func (f *Feed) Key(namespace, name string) string {
	if f.Type.Namespaced {
		name = namespace + "/" + name
	}
	return f.cache.Prefix() + name
}

// Get returns the metadata of an object as it is now, or nil.
func (f *Feed) Get(namespace, name string) *Metadata {
	item := f.cache.Get(f.Key(namespace, name))
	if item == nil {
		return nil
	}
	return metadataOf(item)
}

// Object decodes an object as it is now; nil means that there is none.
func (f *Feed) Object(namespace, name string) (Object, error) {
	item := f.cache.Get(f.Key(namespace, name))
	if item == nil {
		return nil, nil
	}
	o, err := f.Type.Decode(item)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be decoded: %w", item.Key, err)
	}
	return o, nil
}

// List visits the metadata of what is in a namespace.
func (f *Feed) List(namespace string, visit func(*Metadata)) {
	f.cache.Snapshot().Ascend(f.cache.Prefix()+namespace+"/", "", func(item *store.Item) bool {
		visit(metadataOf(item))
		return true
	})
}

// Any decodes the objects in a namespace (everywhere if that is empty) whose JSON has the given part, until match returns true. It fails at
// the first object that cannot be decoded, since nothing is known of that.
func (f *Feed) Any(namespace, part string, match func(Object) bool) (found bool, err error) {
	prefix := f.cache.Prefix()
	if namespace != "" {
		prefix += namespace + "/"
	}
	f.cache.Snapshot().Ascend(prefix, "", func(item *store.Item) bool {
		if item.Broken == nil && !bytes.Contains(item.JSON, []byte(part)) {
			return true
		}
		o, e := f.Type.Decode(item)
		if e != nil {
			err = fmt.Errorf("%s cannot be decoded: %w", item.Key, e)
			return false
		}
		found = match(o)
		return !found
	})
	return found && err == nil, err
}
