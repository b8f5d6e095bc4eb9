package resource

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// change makes the new state of an object from its current one, which it does not modify and shares no memory with. It is called again
// with a fresher state when another write came first.
type change func(current Object) (Object, error)

// update changes an existing object.
func (s *Service) update(ctx context.Context, p authz.Permit, t *Type, part part, w Write, change change) (Result, error) {
	return s.optimistic(ctx, t, p.Info().Namespace, p.Info().Name, w.Options.DryRun, func(now state) (*store.Item, Result, error) {
		return s.tryUpdate(ctx, p, t, part, w, now, change)
	})
}

// state is the object that an attempt to change it starts from. It is live if it was read from etcd during the request; one from
// the cache may be older than that.
type state struct {
	*store.Item
	live bool
}

// attempt tries a change once. A nil item with a nil error means done; an item means that another write came first
// and is what to try again on.
type attempt func(now state) (*store.Item, Result, error)

// optimistic is the loop behind every verb that changes an existing object. It starts from the cached state, which is nearly
// always the current one and costs nothing, and goes on with what etcd holds where it was not. No refusal is given on a state
// that may be stale. A dry run starts live, as it writes nothing that would show the difference. The context bounds the loop.
func (s *Service) optimistic(ctx context.Context, t *Type, namespace, name string, live bool, try attempt) (Result, error) {
	key := s.key(t, namespace, name)
	now, err := s.current(ctx, t, key, name, live)
	if err != nil {
		return Result{}, err
	}
	for {
		next, result, err := try(now)
		switch {
		case err == nil && next == nil:
			return result, nil
		case err == nil:
			now = state{next, true}
		case now.live:
			return Result{}, err
		default:
			fresh, e := s.current(ctx, t, key, name, true)
			if e != nil {
				return Result{}, e
			}
			if fresh.Revision == now.Revision {
				return Result{}, err // The state was the current one, so the refusal stands.
			}
			now = fresh
		}
		if ctx.Err() != nil {
			return Result{}, api.ToError(ctx.Err())
		}
	}
}

// current returns the object's state: from etcd if it must be live or the cache has none, from the cache otherwise.
func (s *Service) current(ctx context.Context, t *Type, key, name string, live bool) (state, error) {
	cache := s.caches[t.Prefix]
	if item := cache.Get(key); item != nil && !live {
		return state{item, false}, nil
	}
	kv, found, _, err := s.Mirror.Etcd().Get(ctx, key)
	if err != nil {
		return state{}, storeError(t, name, err)
	}
	if !found {
		return state{}, api.NotFound(t.GR(), name)
	}
	return state{cache.Decode(kv), true}, nil
}

// tryUpdate attempts one update.
func (s *Service) tryUpdate(ctx context.Context, p authz.Permit, t *Type, part part, w Write, now state, change change) (*store.Item, Result, error) {
	old, err := s.object(t, now.Item)
	if err != nil {
		return nil, Result{}, err
	}
	o, err := change(old)
	if err != nil {
		return nil, Result{}, err
	}
	a := s.attributes(p, t, admission.Update, o, old, w)
	if part == nodeOnly {
		a.Subresource = "binding" // also where the request is for the resource bindings
	}
	if a.Subresource == "scale" {
		a.Served = func() (schema.GroupVersionKind, runtime.Object, runtime.Object, error) { return scalesOf(o, old) }
	}
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return nil, Result{}, err
	}
	if err := s.checkVersion(t, o, old); err != nil {
		return nil, Result{}, err
	}
	held, err := s.allocate(ctx, o, old, part, w.Options.DryRun)
	if err == nil {
		err = s.beforeUpdate(ctx, p, t, o, old, part, w)
	}
	if err == nil {
		err = s.Admission.Validate(ctx, a)
	}
	if err != nil || finished(o) {
		held.drop(ctx)
	}
	switch {
	case err != nil:
		return nil, Result{}, err
	case finished(o):
		next, result, err := s.removeByUpdate(ctx, t, o, now, w.Options.DryRun)
		s.released(ctx, old, next == nil && err == nil && !w.Options.DryRun)
		return next, result, err
	}
	keepTimes(o, old)
	next, result, err := s.commitUpdate(ctx, t, o, now, w.Options.DryRun)
	if disown(o, err, w) {
		next, result, err = s.commitUpdate(ctx, t, o, now, w.Options.DryRun)
	}
	held.settle(ctx, next == nil, err)
	return next, result, err
}

// removeByUpdate removes an object of which the update took away the last thing that held it. The answer is the object as it
// would have been stored, with the revision it had.
func (s *Service) removeByUpdate(ctx context.Context, t *Type, o Object, now state, dryRun bool) (*store.Item, Result, error) {
	if next, _, err := s.remove(ctx, t, now, dryRun); next != nil || err != nil {
		return next, Result{}, err
	}
	_, draft, err := s.encode(t, o)
	if err != nil {
		return nil, Result{}, err
	}
	served, err := s.served(t, draft.At(now.Revision))
	return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
}

// checkVersion enforces optimistic concurrency: a resourceVersion in the update must be the current one, and an update without
// one takes the current one where the kind allows that.
func (s *Service) checkVersion(t *Type, o, old Object) error {
	revision := o.GetResourceVersion()
	if revision == "" || revision == "0" {
		if t.NeedsRevision {
			return api.Invalid(schema.GroupKind{Group: t.Group, Kind: t.Resource}, o.GetName(), field.ErrorList{
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

// commitUpdate stores the object unless that would change nothing, which is only known of a live state.
func (s *Service) commitUpdate(ctx context.Context, t *Type, o Object, now state, dryRun bool) (*store.Item, Result, error) {
	value, draft, err := s.encode(t, o)
	if err != nil {
		return nil, Result{}, err
	}
	if bytes.Equal(value, now.Value) {
		if !now.live {
			fresh, err := s.current(ctx, t, now.Key, now.Name, true)
			if err != nil || fresh.Revision != now.Revision {
				return fresh.Item, Result{}, err
			}
		}
		served, err := s.served(t, now.Item)
		return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
	}
	if dryRun {
		served, err := s.served(t, draft.At(now.Revision))
		return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
	}
	cache := s.caches[t.Prefix]
	cache.Announce(draft)
	revision, winner, err := s.Mirror.Etcd().Update(ctx, now.Key, value, now.Revision, s.ttl(t))
	if err != nil {
		cache.Retract(draft)
		next, err := s.lost(t, now.Item, winner, err)
		return next, Result{}, err
	}
	s.note(t, revision)
	served, err := s.served(t, draft.At(revision))
	return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
}

// lost turns a conflict into the state to try again on.
func (s *Service) lost(t *Type, item *store.Item, winner store.KV, err error) (*store.Item, error) {
	if !errors.Is(err, store.ErrConflict) {
		return nil, storeError(t, item.Name, err)
	}
	if winner.Revision == 0 {
		return nil, api.NotFound(t.GR(), item.Name)
	}
	return s.caches[t.Prefix].Decode(winner), nil
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
	if err := s.decode(ctx, o, t.GVK(), t.shape(), body, w); err != nil {
		return Result{}, err
	}
	if err := matchUpdate(t, o, info.Name, info.Namespace); err != nil {
		return Result{}, err
	}
	t.Rules.Default(o)
	uniqueOwners(o, ownersInRequest, w)
	uid := o.GetUID()
	result, err := s.update(ctx, p, t, partOf(info.Subresource), w, func(current Object) (Object, error) {
		if err := checkExpected(t.GR(), current, uid, ""); err != nil {
			return nil, err
		}
		next := o.DeepCopyObject().(Object)
		s.own(t, info.Subresource, current, next, w)
		return next, nil
	})
	if t.CreateOnUpdate && info.Subresource == "" && uid == "" && api.IsReason(err, metav1.StatusReasonNotFound) {
		o.SetResourceVersion("")
		return s.onFreshCaches(ctx, func() (Result, error) {
			return s.createByUpdate(ctx, p, t, o.DeepCopyObject().(Object), w)
		})
	}
	return result, err
}

// createByUpdate creates the object that a PUT did not find, for the kinds that allow it. The right to create it is asked
// for, of the deniers too, since the permit is for an update.
func (s *Service) createByUpdate(ctx context.Context, p authz.Permit, t *Type, o Object, w Write) (Result, error) {
	info := p.Info()
	info.Verb = "create"
	if p.IsSystem() {
		return s.create(ctx, p, t, o, w)
	}
	if s.Authorizer == nil {
		return Result{}, authz.Refusal(p.User(), info, "").Wrap(authz.ErrDenied)
	}
	decision, reason, err := s.Authorizer.Authorize(ctx, p.User(), info)
	if err != nil || decision != authz.Allow {
		return Result{}, authz.Refusal(p.User(), info, reason).Wrap(errors.Join(err, authz.ErrDenied))
	}
	return s.create(ctx, p, t, o, w)
}
