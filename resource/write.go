package resource

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// Write is what every changing verb is given besides its permit.
type Write struct {
	Options WriteOptions
	// Warnings collects what the client is told in Warning headers.
	Warnings *api.Warnings
	// Annotate adds to the audit record; nil is allowed.
	Annotate func(key, value string)
}

// Create stores a new object, or answers a request to a virtual resource or subresource.
func (s *Service) Create(ctx context.Context, p authz.Permit, body Body, w Write) (Result, error) {
	t, err := s.target(p, "create")
	if err != nil {
		return Result{}, err
	}
	info := p.Info()
	if info.Subresource != "" || !t.Persisted() {
		return s.createVirtual(ctx, p, t, body, w)
	}
	o := t.New()
	if err := decodeInto(o, t.GVK(), body, w.Options.Validation, w.Warnings); err != nil {
		return Result{}, err
	}
	if err := matchNamespace(t, o, info); err != nil {
		return Result{}, err
	}
	return s.create(ctx, p, t, o, w)
}

// create runs the rest of a create: admission, the server's own fields, validation, commit.
func (s *Service) create(ctx context.Context, p authz.Permit, t *Type, o Object, w Write) (Result, error) {
	base := ""
	if o.GetName() == "" {
		if base = o.GetGenerateName(); base == "" {
			return Result{}, api.Invalid(t.GK(), "", field.ErrorList{field.Required(field.NewPath("metadata", "name"), errNoName.Error())})
		}
		name, err := generateName(base)
		if err != nil {
			return Result{}, api.Internal(err)
		}
		o.SetName(name)
	}
	a := s.attributes(p, t, admission.Create, o, nil, w)
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return Result{}, err
	}
	if err := s.beforeCreate(t, o, p); err != nil {
		return Result{}, err
	}
	for try := 1; ; try++ {
		if err := s.Admission.Validate(ctx, a); err != nil {
			return Result{}, err
		}
		item, err := s.commitCreate(ctx, t, o, w.Options.DryRun)
		if err == nil {
			return Result{Type: t, Item: item, Code: http.StatusCreated}, nil
		}
		if base == "" || try == generateTries || !errors.Is(err, store.ErrExists) {
			return Result{}, storeError(t, o.GetName(), err)
		}
		name, err := generateName(base)
		if err != nil {
			return Result{}, api.Internal(err)
		}
		o.SetName(name)
		a.Name = name
	}
}

func (s *Service) attributes(p authz.Permit, t *Type, op admission.Operation, o, old Object, w Write) *admission.Attributes {
	info := p.Info()
	a := &admission.Attributes{
		Permit: p, Operation: op, Kind: t.GVK(), Resource: t.GVR(), Subresource: info.Subresource, Namespace: info.Namespace,
		Name: info.Name, DryRun: w.Options.DryRun, Warnings: w.Warnings, Annotate: w.Annotate,
	}
	if o != nil {
		a.Object, a.Name = o, o.GetName()
	}
	if old != nil {
		a.OldObject = old
	}
	if t.Resource == "namespaces" && a.Namespace == "" {
		a.Namespace = a.Name
	}
	return a
}

// encode prepares an object for storage: the stored value, and the draft from which both the answer and
// the cache's item are made once the revision is known.
func (s *Service) encode(t *Type, o Object) (value []byte, draft *store.Draft, err error) {
	if t.StoredAs != nil {
		if o, err = t.StoredAs.ToStored(o); err != nil {
			return nil, nil, api.BadRequest("%v", err)
		}
		t = s.stored(t)
	}
	if value, err = t.encodeValue(o); err != nil {
		return nil, nil, api.Internal(err)
	}
	item, err := t.newItem(s.key(t, o.GetNamespace(), o.GetName()), o, value, 0)
	if err != nil {
		return nil, nil, api.Internal(err)
	}
	draft, ok := store.NewDraft(item)
	if !ok {
		return nil, nil, api.Internal(errors.New("encoded object has no resourceVersion"))
	}
	return value, draft, nil
}

func (s *Service) commitCreate(ctx context.Context, t *Type, o Object, dryRun bool) (*store.Item, error) {
	value, draft, err := s.encode(t, o)
	if err != nil {
		return nil, err
	}
	key := s.key(t, o.GetNamespace(), o.GetName())
	cache := s.caches[t.Prefix]
	if dryRun {
		if cache.Get(key) != nil {
			return nil, store.ErrExists
		}
		return s.served(t, draft.Unsaved())
	}
	cache.Announce(draft)
	revision, err := s.Mirror.Etcd().Create(ctx, key, value, s.ttl(t))
	if err != nil {
		cache.Retract(draft)
		return nil, err
	}
	return s.served(t, draft.At(revision))
}

func (s *Service) ttl(t *Type) time.Duration {
	if t.Prefix == "events" {
		return s.EventTTL
	}
	return 0
}

// change makes the new state of an object from its current one, which it may modify and return. It is called again with a fresher
// state when another write came first.
type change func(current Object) (Object, error)

// update is the optimistic loop behind every verb that changes an existing object. It starts from the cached
// state; where that turns out to be stale it goes on with what etcd holds. The loop is bounded by the context.
func (s *Service) update(ctx context.Context, p authz.Permit, t *Type, part part, w Write, change change) (Result, error) {
	info := p.Info()
	key := s.key(t, info.Namespace, info.Name)
	item, err := s.current(ctx, t, key, info.Name, false)
	if err != nil {
		return Result{}, err
	}
	live := false
	for {
		next, result, err := s.tryUpdate(ctx, p, t, part, w, item, change)
		switch {
		case err == nil && next == nil:
			return result, nil
		case err != nil && (live || !mayBeStale(err)):
			return Result{}, err
		case next != nil:
			item, live = next, true
		default: // a refusal that a fresher state could change
			if item, err = s.current(ctx, t, key, info.Name, true); err != nil {
				return Result{}, err
			}
			live = true
		}
		if ctx.Err() != nil {
			return Result{}, api.ToError(ctx.Err())
		}
	}
}

// mayBeStale reports whether an error can come from having looked at an old state.
func mayBeStale(err error) bool {
	return api.IsReason(err, metav1.StatusReasonConflict) || api.IsReason(err, metav1.StatusReasonInvalid) ||
		api.IsReason(err, metav1.StatusReasonNotFound)
}

// current returns the object's item, from the cache or, for a live read or where the cache has none, from etcd.
func (s *Service) current(ctx context.Context, t *Type, key, name string, live bool) (*store.Item, error) {
	cache := s.caches[t.Prefix]
	if item := cache.Get(key); item != nil && !live {
		return item, nil
	}
	kv, found, _, err := s.Mirror.Etcd().Get(ctx, key)
	if err != nil {
		return nil, storeError(t, name, err)
	}
	if !found {
		return nil, api.NotFound(t.GR(), name)
	}
	return cache.Decode(kv), nil
}

// tryUpdate attempts one round. A nil next with a nil error means done; a next item means that another
// write came first and the round is to be repeated on it.
func (s *Service) tryUpdate(ctx context.Context, p authz.Permit, t *Type, part part, w Write, item *store.Item, change change) (next *store.Item, r Result, err error) {
	old, err := s.object(t, item)
	if err != nil {
		return nil, r, err
	}
	o, err := change(old.DeepCopyObject().(Object))
	if err != nil {
		return nil, r, err
	}
	a := s.attributes(p, t, admission.Update, o, old, w)
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return nil, r, err
	}
	if err := s.checkVersion(t, o, old); err != nil {
		return nil, r, err
	}
	if err := s.beforeUpdate(t, o, old, part); err != nil {
		return nil, r, err
	}
	if err := s.Admission.Validate(ctx, a); err != nil {
		return nil, r, err
	}
	if finished(o) {
		return s.tryRemove(ctx, t, o, item, w.Options.DryRun)
	}
	return s.commitUpdate(ctx, t, o, item, w.Options.DryRun)
}

// checkVersion enforces optimistic concurrency: a resourceVersion in the update must be the current one, and an update without
// one takes the current one where the kind allows that.
func (s *Service) checkVersion(t *Type, o, old Object) error {
	revision := o.GetResourceVersion()
	if revision == "" || revision == "0" {
		if t.NeedsRevision {
			return api.Invalid(t.GK(), o.GetName(), field.ErrorList{
				field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update"),
			})
		}
		o.SetResourceVersion(old.GetResourceVersion())
		return nil
	}
	if revision != old.GetResourceVersion() {
		if _, err := parseRevision(revision); err != nil {
			return err
		}
		return api.Conflict(t.GR(), o.GetName(), errModified)
	}
	return nil
}

func (s *Service) commitUpdate(ctx context.Context, t *Type, o Object, item *store.Item, dryRun bool) (*store.Item, Result, error) {
	value, draft, err := s.encode(t, o)
	if err != nil {
		return nil, Result{}, err
	}
	if bytes.Equal(value, item.Value) {
		served, err := s.served(t, item)
		return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
	}
	if dryRun {
		served, err := s.served(t, draft.At(item.Revision))
		return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
	}
	cache := s.caches[t.Prefix]
	cache.Announce(draft)
	revision, now, err := s.Mirror.Etcd().Update(ctx, item.Key, value, item.Revision, s.ttl(t))
	if err != nil {
		cache.Retract(draft)
		return s.lost(t, item, now, err)
	}
	served, err := s.served(t, draft.At(revision))
	return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
}

// lost turns a conflict into the state to try again on.
func (s *Service) lost(t *Type, item *store.Item, now store.KV, err error) (*store.Item, Result, error) {
	if !errors.Is(err, store.ErrConflict) {
		return nil, Result{}, storeError(t, item.Name, err)
	}
	if now.Revision == 0 {
		return nil, Result{}, api.NotFound(t.GR(), item.Name)
	}
	return s.caches[t.Prefix].Decode(now), Result{}, nil
}

// Update replaces an object, or its status, scale or other subresource.
func (s *Service) Update(ctx context.Context, p authz.Permit, body Body, w Write) (Result, error) {
	t, err := s.target(p, "update")
	if err != nil {
		return Result{}, err
	}
	info := p.Info()
	if info.Subresource == "scale" {
		return s.updateScale(ctx, p, t, body, w)
	}
	o := t.New()
	if err := decodeInto(o, t.GVK(), body, w.Options.Validation, w.Warnings); err != nil {
		return Result{}, err
	}
	if err := errors.Join(matchName(o, info), matchNamespace(t, o, info)); err != nil {
		return Result{}, api.ToError(err)
	}
	uid := o.GetUID()
	result, err := s.update(ctx, p, t, partOf(info.Subresource), w, func(current Object) (Object, error) {
		if err := checkExpected(t, current, uid, ""); err != nil {
			return nil, err
		}
		return o.DeepCopyObject().(Object), nil
	})
	if t.CreateOnUpdate && info.Subresource == "" && uid == "" && api.IsReason(err, metav1.StatusReasonNotFound) {
		o.SetResourceVersion("")
		return s.createByUpdate(ctx, p, t, o, w)
	}
	return result, err
}

// createByUpdate creates the object that a PUT did not find, for the kinds that allow it. The right to create is
// checked again, since the permit is for an update.
func (s *Service) createByUpdate(ctx context.Context, p authz.Permit, t *Type, o Object, w Write) (Result, error) {
	info := p.Info()
	info.Verb, info.Name = "create", ""
	if !p.IsSystem() {
		decision, reason, err := s.Authorizer.Authorize(ctx, p.User(), info)
		if err != nil || decision != authz.Allow {
			info.Name = o.GetName()
			return Result{}, authz.Refusal(p.User(), info, reason).Wrap(errors.Join(err, authz.ErrDenied))
		}
	}
	return s.create(ctx, p, t, o, w)
}
