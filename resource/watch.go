package resource

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// The types of a change as watches name them.
const (
	changeAdded    = "ADDED"
	changeModified = "MODIFIED"
	changeDeleted  = "DELETED"
	changeBookmark = "BOOKMARK"
)

// bookmarkEvery is how often a watch that asked for bookmarks gets one while nothing happens.
const bookmarkEvery = time.Minute

// watchBatch is how many changes a watch hands out at once.
const watchBatch = 100

// Change is one event of a watch.
type Change struct {
	// Type is ADDED, MODIFIED, DELETED or BOOKMARK.
	Type string
	// Item is the object; nil for a bookmark.
	Item *store.Item
	// Revision is what a bookmark says: everything up to it has been sent.
	Revision int64
	// InitialEnd marks the bookmark behind the initial objects.
	InitialEnd bool
}

// Watch streams the changes of a collection. Use it from one goroutine.
type Watch struct {
	// Type of the objects.
	Type *Type

	service   *Service
	match     *matcher
	prefix    string
	after     int64 // changes up to here are not sent
	watcher   *store.Watcher
	bookmarks bool
	skip      bool // objects that cannot be decoded are left out

	initial      []*store.Item // still to be sent as ADDED
	initialBytes int64
	initialEnd   int64 // revision of the bookmark behind them; 0 when it has been sent or is not wanted
	events       []*store.Event
	nextBookmark time.Time
}

// Watch starts a watch. With an empty resourceVersion, "0" or initial events asked for, it begins with the
// current objects; otherwise with the first change after the resourceVersion. A version that is too old is
// a 410, which a client gets inside the stream.
func (s *Service) Watch(ctx context.Context, p authz.Permit, o ListOptions) (*Watch, error) {
	t, err := s.target(p, "watch")
	if err != nil {
		return nil, err
	}
	if err := o.checkWatch(); err != nil {
		return nil, err
	}
	info := p.Info()
	match, err := s.matcher(t, info, o)
	if err != nil {
		return nil, err
	}
	revision, err := parseRevision(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	w := &Watch{
		Type: t, service: s, match: match, prefix: s.key(t, info.Namespace, ""), bookmarks: o.Bookmarks, skip: o.SkipBroken,
		events: make([]*store.Event, 0, watchBatch), nextBookmark: s.Now().Add(bookmarkEvery),
	}
	cache := s.caches[t.Prefix]
	initial := revision == 0
	if o.InitialEvents != nil {
		initial = *o.InitialEvents
	}
	if !initial {
		if revision == 0 {
			// From now on: without a version that is what etcd has seen, with "0" what the cache has.
			if err := s.reach(ctx, o.ResourceVersion); err != nil {
				return nil, err
			}
			revision = s.Mirror.Observed()
		}
		w.after = revision
		w.watcher, err = cache.Watch(revision)
		return w, storeError(t, "", err)
	}
	if err := s.reach(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	var snapshot store.Snapshot
	snapshot, w.watcher = cache.WatchFromNow()
	return w, w.begin(snapshot)
}

// begin prepares the initial objects.
func (w *Watch) begin(snapshot store.Snapshot) error {
	var failed error
	snapshot.Ascend(w.prefix, "", func(item *store.Item) bool {
		if item.Broken != nil && w.skip {
			return true
		}
		if item, failed = w.service.served(w.Type, item); failed != nil {
			return false
		}
		if w.match.matches(item) {
			w.initial = append(w.initial, item)
			w.initialBytes += int64(len(item.JSON))
		}
		return true
	})
	if w.bookmarks {
		w.initialEnd = snapshot.Revision
	}
	return failed
}

// Next waits for changes and returns at least one, in buf[:0]. It ends with the context's error, or with an
// [*api.Error] that the client is told inside the stream.
func (w *Watch) Next(ctx context.Context, buf []Change) ([]Change, error) {
	buf = buf[:0]
	for len(w.initial) > 0 && len(buf) < watchBatch {
		buf = append(buf, Change{Type: changeAdded, Item: w.initial[0]})
		w.initial = w.initial[1:]
	}
	if len(w.initial) == 0 && w.initialEnd > 0 {
		buf = append(buf, Change{Type: changeBookmark, Revision: w.initialEnd, InitialEnd: true})
		w.initial, w.initialEnd = nil, 0
	}
	for len(buf) == 0 {
		events, changed, err := w.watcher.Poll(w.events)
		if err != nil {
			return nil, storeError(w.Type, "", err)
		}
		for _, e := range events {
			if buf, err = w.translate(buf, e); err != nil {
				return nil, err
			}
		}
		if len(events) > 0 {
			continue
		}
		if b, err := w.wait(ctx, changed); err != nil || b.Type != "" {
			return append(buf, b), err
		}
	}
	return buf, nil
}

// wait returns when the cache has changed, a bookmark is due or the context has ended.
func (w *Watch) wait(ctx context.Context, changed <-chan struct{}) (Change, error) {
	var due <-chan time.Time
	if w.bookmarks {
		timer := time.NewTimer(w.nextBookmark.Sub(w.service.Now()))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
		return Change{}, nil
	case <-due:
		return w.Bookmark(), nil
	case <-ctx.Done():
		return Change{}, ctx.Err()
	}
}

// Bookmark returns a bookmark of the present moment, or a Change without a type if changes are still to be read.
func (w *Watch) Bookmark() Change {
	w.nextBookmark = w.service.Now().Add(bookmarkEvery)
	revision, ok := w.watcher.Drained()
	if !ok || len(w.initial) > 0 || w.initialEnd > 0 || revision < w.after {
		return Change{}
	}
	return Change{Type: changeBookmark, Revision: revision}
}

// InitialBytes is the size of the JSON of the objects that the watch began with.
func (w *Watch) InitialBytes() int64 { return w.initialBytes }

// WantsBookmarks reports whether the client asked for bookmarks.
func (w *Watch) WantsBookmarks() bool { return w.bookmarks }

// translate appends what an event means to this watch: an object that begins to match a selector is ADDED, one that no longer
// does is DELETED, in the state in which it last matched.
func (w *Watch) translate(buf []Change, e *store.Event) ([]Change, error) {
	if e.Item.Revision <= w.after || !strings.HasPrefix(e.Item.Key, w.prefix) {
		return buf, nil
	}
	if w.skip && (e.Item.Broken != nil || (e.Prev != nil && e.Prev.Broken != nil)) {
		return w.translateBroken(buf, e)
	}
	item, err := w.service.served(w.Type, e.Item)
	if err != nil {
		return nil, err
	}
	now := e.Type != store.Deleted && w.match.matches(item)
	if e.Prev == nil {
		if now {
			buf = append(buf, Change{Type: changeAdded, Item: item})
		}
		return buf, nil
	}
	if w.match.all && now {
		return append(buf, Change{Type: changeModified, Item: item}), nil
	}
	prev, err := w.service.served(w.Type, e.Prev)
	if err != nil {
		return nil, err
	}
	switch before := w.match.matches(prev); {
	case now && before:
		buf = append(buf, Change{Type: changeModified, Item: item})
	case now:
		buf = append(buf, Change{Type: changeAdded, Item: item})
	case before && e.Type == store.Deleted:
		buf = append(buf, Change{Type: changeDeleted, Item: item})
	case before:
		buf = append(buf, Change{Type: changeDeleted, Item: prev.AtRevision(item.Revision)})
	}
	return buf, nil
}

// translateBroken takes an object that cannot be decoded for one that does not exist.
func (w *Watch) translateBroken(buf []Change, e *store.Event) ([]Change, error) {
	seen := *e
	if seen.Prev != nil && seen.Prev.Broken != nil {
		seen.Prev = nil
	}
	switch {
	case seen.Item.Broken == nil && seen.Type == store.Deleted:
		return buf, nil // it had no readable state before
	case seen.Item.Broken == nil:
		return w.translate(buf, &seen)
	case seen.Prev == nil:
		return buf, nil
	}
	seen.Type, seen.Item = store.Deleted, seen.Prev.AtRevision(e.Item.Revision)
	return w.translate(buf, &seen)
}

// initialEventsEnd is the annotation of the bookmark behind the initial objects.
const initialEventsEnd = "k8s.io/initial-events-end"

// bookmarkObject is the object that a bookmark carries: empty but for the resourceVersion and for what the reference shows
// in an object of the kind in which nothing is set.
func (t *Type) bookmarkObject(c Change) Object {
	o := t.New()
	o.SetResourceVersion(formatRevision(c.Revision))
	if c.InitialEnd {
		o.SetAnnotations(map[string]string{initialEventsEnd: "true"})
	}
	if t.onBookmark != nil {
		t.onBookmark(o)
	}
	o.GetObjectKind().SetGroupVersionKind(t.GVK())
	return o
}

// Bookmark objects are rare, so they are encoded when they are sent.

// AppendBookmark appends a bookmark's object as JSON.
func (t *Type) AppendBookmark(b []byte, c Change) ([]byte, error) {
	text, err := json.Marshal(t.bookmarkObject(c))
	if err != nil {
		return nil, api.Internal(err)
	}
	return append(b, text...), nil
}

// AppendPartialBookmark appends a bookmark's object as a PartialObjectMetadata.
func (t *Type) AppendPartialBookmark(b []byte, c Change, version MetaVersion) ([]byte, error) {
	text, err := json.Marshal(t.bookmarkObject(c))
	if err != nil {
		return nil, api.Internal(err)
	}
	var meta struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return nil, api.Internal(err)
	}
	b = append(version.appendHead(b, "PartialObjectMetadata"), `"metadata":`...)
	return append(append(b, meta.Metadata...), '}'), nil
}

// AppendPartialProtobufBookmark appends a bookmark's object as a PartialObjectMetadata in the protobuf wire format.
func (t *Type) AppendPartialProtobufBookmark(b []byte, c Change) ([]byte, error) {
	o := t.bookmarkObject(c)
	partial := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: o.GetResourceVersion(), Annotations: o.GetAnnotations()}}
	raw, err := partial.Marshal()
	if err != nil {
		return nil, api.Internal(err)
	}
	b = append(AppendEnvelope(b, protobufMetaVersion, "PartialObjectMetadata", len(raw)), raw...)
	return AppendEnvelopeEnd(b), nil
}

// AppendProtobufBookmark appends a bookmark's object in the protobuf wire format.
func (t *Type) AppendProtobufBookmark(b []byte, c Change) ([]byte, error) {
	raw, err := t.bookmarkObject(c).Marshal()
	if err != nil {
		return nil, api.Internal(err)
	}
	b = append(t.appendEnvelope(b, t.Kind, len(raw)), raw...)
	return AppendEnvelopeEnd(b), nil
}

// Idle reports whether everything that has happened so far has been returned.
func (w *Watch) Idle() bool {
	_, ok := w.watcher.Drained()
	return ok && len(w.initial) == 0
}
