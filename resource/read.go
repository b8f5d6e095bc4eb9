package resource

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// Get reads one object, or its status or scale. An empty resourceVersion reads the latest state, "0" whatever the cache has,
// any other one not older than that.
func (s *Service) Get(ctx context.Context, p authz.Permit, resourceVersion string) (Result, error) {
	t, err := s.target(p, "get")
	if err != nil {
		return Result{}, err
	}
	info := p.Info()
	if !t.Persisted() {
		return s.getComponent(ctx, t, info.Name)
	}
	if err := s.reach(ctx, resourceVersion); err != nil {
		return Result{}, err
	}
	item := s.caches[t.Prefix].Get(s.key(t, info.Namespace, info.Name))
	if item == nil {
		return Result{}, api.NotFound(t.GR(), info.Name)
	}
	if info.Subresource == "scale" {
		return s.getScale(t, item)
	}
	item, err = s.served(t, item)
	return Result{Type: t, Item: item, Code: http.StatusOK}, err
}

// reach waits until the caches are as fresh as the resourceVersion asks.
func (s *Service) reach(ctx context.Context, resourceVersion string) error {
	if resourceVersion == "" {
		_, err := s.Mirror.Fresh(ctx)
		return storeError(&Type{}, "", err)
	}
	revision, err := parseRevision(resourceVersion)
	if err != nil {
		return err
	}
	err = s.Mirror.WaitFor(ctx, revision)
	if errors.Is(err, store.ErrFuture) {
		asked, _ := strconv.ParseUint(resourceVersion, 10, 64) // as the client wrote it, which may be more than a revision can be
		return api.ResourceVersionTooLarge(asked, uint64(s.Mirror.Observed())).Wrap(err)
	}
	return storeError(&Type{}, "", err)
}

// List is a consistent list: the state at Revision.
type List struct {
	Type     *Type
	Revision int64
	// Continue is the token of the next page, empty on the last.
	Continue string
	// Remaining is how many objects follow this page; nil where it is not known.
	Remaining *int64
	Items     []*store.Item
	// Bytes is the size of the items' JSON, or of what had to be read from etcd for this list alone, whichever is more.
	Bytes int64
}

// List reads a collection.
func (s *Service) List(ctx context.Context, p authz.Permit, o ListOptions) (*List, error) {
	t, err := s.target(p, "list")
	if err != nil {
		return nil, err
	}
	if !t.Persisted() {
		return s.listComponents(ctx, t, p.Info(), o)
	}
	return s.list(ctx, t, p.Info(), o)
}

func (s *Service) list(ctx context.Context, t *Type, info api.RequestInfo, o ListOptions) (*List, error) {
	match, err := s.matcher(t, info, o)
	if err != nil {
		return nil, err
	}
	prefix := s.key(t, info.Namespace, "")
	from := ""
	var snapshot store.Snapshot
	if o.Continue != "" {
		snapshot, from, err = s.nextPage(ctx, t, prefix, &o)
	} else {
		snapshot, err = s.snapshot(ctx, t, prefix, &o)
	}
	if err != nil {
		return nil, err
	}
	l := &List{Type: t, Revision: snapshot.Revision}
	if err := s.collect(l, snapshot, prefix, from, match, o.Limit); err != nil {
		return nil, err
	}
	l.Bytes = max(l.Bytes, snapshot.Read)
	if l.Continue != "" && snapshot.Read == 0 {
		s.caches[t.Prefix].KeepPage(snapshot)
	}
	return l, nil
}

// snapshot picks the state a first page is read from.
func (s *Service) snapshot(ctx context.Context, t *Type, prefix string, o *ListOptions) (store.Snapshot, error) {
	if err := o.check(); err != nil {
		return store.Snapshot{}, err
	}
	revision, err := parseRevision(o.ResourceVersion)
	if err != nil {
		return store.Snapshot{}, err
	}
	exact := o.Match == metav1.ResourceVersionMatchExact || (o.Match == "" && revision > 0 && o.Limit > 0)
	if err := s.reach(ctx, o.ResourceVersion); err != nil {
		return store.Snapshot{}, err
	}
	if exact {
		return s.at(ctx, t, prefix, revision)
	}
	if o.ResourceVersion == "0" && !t.isEvents() {
		o.Limit = 0 // the reference ignores the limit of a list that may be stale
	}
	return s.caches[t.Prefix].Snapshot(), nil
}

// at returns the state at exactly the revision, from the cache where it is remembered and from etcd where not.
func (s *Service) at(ctx context.Context, t *Type, prefix string, revision int64) (store.Snapshot, error) {
	cache := s.caches[t.Prefix]
	if snapshot, ok := cache.Page(revision); ok {
		return snapshot, nil
	}
	snapshot, err := cache.LoadAt(ctx, prefix, revision)
	if errors.Is(err, store.ErrCompacted) {
		return store.Snapshot{}, api.Expired("The provided resource version is too old to be listed.").Wrap(err)
	}
	return snapshot, storeError(t, "", err)
}

// collect appends the matching items in key order, up to the limit.
func (s *Service) collect(l *List, snapshot store.Snapshot, prefix, from string, match *matcher, limit int64) error {
	if match.key != "" {
		if item := snapshot.Get(match.key); item != nil && from == "" {
			return s.add(l, item, match)
		}
		return nil
	}
	var failed error
	more := false
	last := ""
	rest := int64(0)
	snapshot.Ascend(prefix, from, func(item *store.Item) bool {
		if more {
			rest++
			return match.all
		}
		if limit > 0 && int64(len(l.Items)) == limit {
			more, rest = true, 1
			return match.all
		}
		last = item.Key
		failed = s.add(l, item, match)
		return failed == nil
	})
	if failed != nil || !more {
		return failed
	}
	l.Continue = encodeContinue(l.Revision, last[len(prefix):])
	if match.all {
		l.Remaining = &rest
	}
	return nil
}

func (s *Service) add(l *List, item *store.Item, match *matcher) error {
	item, err := s.served(l.Type, item)
	if err != nil {
		return err
	}
	if match.matches(item) {
		if l.Items == nil {
			l.Items = make([]*store.Item, 0, 64)
		}
		l.Items = append(l.Items, item)
		l.Bytes += int64(len(item.JSON))
	}
	return nil
}

// matcher is a compiled pair of selectors.
type matcher struct {
	all    bool   // everything matches
	key    string // the only key that can match, or empty
	labels labels.Selector
	terms  []term
}

// term is one requirement of a field selector. Where is the field's place in Item.Fields, or one of the two below.
type term struct {
	where int
	value string
	equal bool
}

const (
	atName      = -1
	atNamespace = -2
)

func (t *Type) term(r fields.Requirement) term {
	out := term{where: slices.Index(t.FieldNames, r.Field), value: r.Value, equal: r.Operator != selection.NotEquals}
	switch r.Field {
	case "metadata.name":
		out.where = atName
	case "metadata.namespace":
		out.where = atNamespace
	}
	return out
}

// cannotSelect refuses a field in the words that the reference has for the type.
func (t *Type) cannotSelect(label string) error {
	switch {
	case t.FieldNames == nil:
		return api.BadRequest("%q is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", label)
	case t.Resource == "jobs":
		return api.BadRequest("field label %q not supported for Job", label)
	case t.Resource == "resourceslices":
		return api.BadRequest("field label not supported for %s: %s", t.GVK(), label)
	}
	return api.BadRequest("field label not supported: %s", label)
}

// matcher checks the field selector against the fields that the type supports.
func (s *Service) matcher(t *Type, info api.RequestInfo, o ListOptions) (*matcher, error) {
	m := &matcher{labels: o.Labels}
	if m.labels == nil {
		m.labels = labels.Everything()
	}
	if o.Fields != nil {
		for _, r := range o.Fields.Requirements() {
			if !t.selects(r.Field) {
				return nil, t.cannotSelect(r.Field)
			}
			m.terms = append(m.terms, t.term(r))
		}
	}
	name := info.Name
	if name != "" {
		// The request was authorized for this name, so the selector can narrow it down only.
		m.terms = append(m.terms, term{where: atName, value: name, equal: true})
	}
	if name != "" && (info.Namespace != "" || !t.Namespaced) && !strings.Contains(name, "/") {
		m.key = s.key(t, info.Namespace, name)
	}
	m.all = len(m.terms) == 0 && m.labels.Empty()
	return m, nil
}

// selects reports whether a field selector may name the field.
func (t *Type) selects(name string) bool {
	switch name {
	case "metadata.name":
		return true
	case "metadata.namespace":
		return t.Namespaced || t.FieldNames == nil
	}
	return slices.Contains(t.FieldNames, name)
}

func (m *matcher) matches(item *store.Item) bool {
	if m.all {
		return true
	}
	if m.key != "" && item.Key != m.key {
		return false
	}
	for _, t := range m.terms {
		have := ""
		switch {
		case t.where == atName:
			have = item.Name
		case t.where == atNamespace:
			have = item.Namespace
		case t.where < len(item.Fields):
			have = item.Fields[t.where]
		}
		if (have == t.value) != t.equal {
			return false
		}
	}
	return m.labels.Empty() || m.labels.Matches(labels.Set(item.Labels))
}

// continueToken is the wire form of a place in a list, the same as the reference's.
type continueToken struct {
	APIVersion string `json:"v"`
	Revision   int64  `json:"rv"`
	Start      string `json:"start"`
}

const continueVersion = "meta.k8s.io/v1"

// encodeContinue names the place behind the key, given relative to the list's prefix.
func encodeContinue(revision int64, lastKey string) string {
	b, err := json.Marshal(continueToken{APIVersion: continueVersion, Revision: revision, Start: "/" + lastKey + "\x00"})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// maxContinue bounds a continue token, in bytes: a key is at most some hundred.
const maxContinue = 4 << 10

// decodeContinue reads a token. The place is relative to the prefix of the request's own collection, so a forged token can
// name no other.
func decodeContinue(token string) (revision int64, start string, err error) {
	bad := func(why string) error {
		return api.BadRequest("invalid continue token: continue key is not valid: %s", why)
	}
	if len(token) > maxContinue {
		return 0, "", bad("it is too long")
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(token, "="))
	if err != nil {
		return 0, "", bad("it is not base64url")
	}
	var c continueToken
	if err := json.Unmarshal(b, &c); err != nil {
		return 0, "", bad("it does not hold what this server issued")
	}
	switch {
	case c.APIVersion != continueVersion:
		return 0, "", bad("it is of an unknown version")
	case c.Revision == 0 || c.Revision < -1:
		return 0, "", bad("it has no resource version")
	}
	start = "/" + strings.TrimPrefix(c.Start, "/")
	if c.Start == "" || path.Clean(start) != start {
		return 0, "", bad("its start is not a place in this collection")
	}
	return c.Revision, start[1:], nil
}

// nextPage finds the state a later page is read from, and where in it to go on.
func (s *Service) nextPage(ctx context.Context, t *Type, prefix string, o *ListOptions) (store.Snapshot, string, error) {
	if err := o.check(); err != nil {
		return store.Snapshot{}, "", err
	}
	revision, start, err := decodeContinue(o.Continue)
	if err != nil {
		return store.Snapshot{}, "", err
	}
	if o.ResourceVersion != "" && o.ResourceVersion != "0" {
		return store.Snapshot{}, "", api.BadRequest("specifying resource version is not allowed when using continue")
	}
	if o.ResourceVersion == "0" && !t.isEvents() {
		o.Limit = 0 // the reference ignores it here as on a first page
	}
	from := prefix + start
	if revision == -1 {
		if err := s.reach(ctx, ""); err != nil {
			return store.Snapshot{}, "", err
		}
		return s.caches[t.Prefix].Snapshot(), from, nil
	}
	if err := s.reach(ctx, formatRevision(revision)); err != nil {
		return store.Snapshot{}, "", err
	}
	snapshot, err := s.at(ctx, t, prefix, revision)
	if err != nil {
		var e *api.Error
		if errors.As(err, &e) && e.Reason() == metav1.StatusReasonExpired {
			return store.Snapshot{}, "", expiredPage(start)
		}
		return store.Snapshot{}, "", err
	}
	return snapshot, from, nil
}

// expiredPage is the 410 whose continue token goes on in the current state, for clients that can live with that.
func expiredPage(start string) error {
	e := api.Expired("The provided continue parameter is too old to display a consistent list result. " +
		"You can start a new list without the continue parameter, or use the continue token in this response to retrieve " +
		"the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that " +
		"were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.")
	e.Status.ListMeta.Continue = encodeContinue(-1, strings.TrimSuffix(start, "\x00"))
	return e
}
