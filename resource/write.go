package resource

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"

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
	// Named tells the audit record the name of an object to be created, which the path does not hold; nil is allowed.
	Named func(name string)
	// UserAgent is the header of the request. The program that it names owns what is written if Options.FieldManager is empty.
	UserAgent string

	applied bool // who owns what has been decided by an apply
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
	return s.onFreshCaches(ctx, func() (Result, error) {
		o := t.New()
		if err := s.decode(ctx, o, t.GVK(), t.shape(), body, w); err != nil {
			return Result{}, err
		}
		if err := matchRequest(t, o, o.GetName(), info.Namespace); err != nil {
			return Result{}, err
		}
		t.Rules.Default(o)
		uniqueOwners(o, ownersInRequest, w)
		return s.create(ctx, p, t, o, w)
	})
}

// create runs the rest of a create: admission, the server's own fields, validation, commit. A name is generated once mutating admission is
// through; one that is taken is generated again, with everything that follows from it.
func (s *Service) create(ctx context.Context, p authz.Permit, t *Type, o Object, w Write) (Result, error) {
	if o.GetName() == "" && o.GetGenerateName() == "" && t.NamesItself {
		o.SetName(uuid.NewString())
	}
	a, err := s.mutateNew(ctx, p, t, o, w)
	if err != nil {
		return Result{}, err
	}
	base := o.GetGenerateName()
	if o.GetName() != "" || base == "" { // Without a name it is told all that is wrong, the missing name first.
		return s.tryCreate(ctx, p, t, a, o, w)
	}
	for try := 1; ; try++ {
		name, err := generateName(base)
		if err != nil {
			return Result{}, api.Internal(err)
		}
		named := o.DeepCopyObject().(Object)
		named.SetName(name)
		a.Object, a.Name = named, name
		if t.Resource == "namespaces" {
			a.Namespace = name
		}
		r, err := s.tryCreate(ctx, p, t, a, named, w)
		if try == generateTries || !errors.Is(err, store.ErrExists) {
			return r, err
		}
	}
}

// mutateNew has mutating admission look at a new object and returns the attributes for the validating one.
func (s *Service) mutateNew(ctx context.Context, p authz.Permit, t *Type, o Object, w Write) (*admission.Attributes, error) {
	name := o.GetName()
	if w.Named != nil && name != "" {
		w.Named(name)
	}
	if t.Inert != "" {
		w.Warnings.Add(t.Inert)
	}
	if !w.applied {
		wipe(o)
		s.own(t, "", nil, o, w)
	}
	a := s.attributes(p, t, admission.Create, o, nil, w)
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return nil, err
	}
	if name == "" {
		name = o.GetName() // A mutation may choose the name that is to be generated: no name has been authorized.
	}
	a.Name = name
	// Where the object goes has been authorized; a mutation must not take it elsewhere.
	return a, matchRequest(t, o, name, p.Info().Namespace)
}

// tryCreate attempts to create an object that has been mutated and has a name.
func (s *Service) tryCreate(ctx context.Context, p authz.Permit, t *Type, a *admission.Attributes, o Object, w Write) (Result, error) {
	name := o.GetName()
	if w.Named != nil && name != "" {
		w.Named(name)
	}
	held, err := s.allocate(ctx, o, nil, wholeObject, w.Options.DryRun)
	if err == nil {
		err = s.beforeCreate(ctx, p, t, o, w)
	}
	if err == nil {
		err = s.Admission.Validate(ctx, a)
	}
	if err != nil {
		held.drop(ctx)
		return Result{}, err
	}
	var item *store.Item
	seen, err := s.seen(a)
	if err == nil {
		item, err = s.commitCreate(ctx, t, o, w.Options.DryRun, seen)
	}
	if disown(o, err, w) {
		item, err = s.commitCreate(ctx, t, o, w.Options.DryRun, seen)
	}
	held.settle(ctx, true, err)
	if err != nil {
		return Result{}, s.taken(ctx, t, o, storeError(t, name, err))
	}
	return Result{Type: t, Item: item, Code: http.StatusCreated}, nil
}

// taken says more of a create that failed because there is such an object: that it is on its way out, or that the name was generated.
func (s *Service) taken(ctx context.Context, t *Type, o Object, err error) error {
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	told := api.ToError(err)
	if o.GetGenerateName() != "" {
		told.Status.Message += ", the server was not able to generate a unique name for the object"
		told.Status.Details.RetryAfterSeconds = 1
	}
	now, failed := s.current(ctx, t, s.key(t, o.GetNamespace(), o.GetName()), o.GetName(), true)
	if failed != nil {
		return told
	}
	if there, failed := s.object(t, now.Item); failed == nil && there.GetDeletionTimestamp() != nil {
		told.Status.Message = "object is being deleted: " + told.Status.Message
	}
	return told
}

func (s *Service) attributes(p authz.Permit, t *Type, op admission.Operation, o, old Object, w Write) *admission.Attributes {
	info := p.Info()
	a := &admission.Attributes{
		Permit: p, Operation: op, Kind: t.GVK(), Resource: t.GVR(), Subresource: info.Subresource, Namespace: info.Namespace,
		Name: info.Name, DryRun: w.Options.DryRun, Warnings: w.Warnings, Annotate: w.Annotate,
	}
	a.Options = func() runtime.Object { return w.Options.asObject(op) }
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

// commitCreate stores the object if nothing has changed of what was seen.
func (s *Service) commitCreate(ctx context.Context, t *Type, o Object, dryRun bool, seen []store.Seen) (*store.Item, error) {
	value, draft, err := s.encode(t, o)
	if err != nil {
		return nil, err
	}
	key := s.key(t, o.GetNamespace(), o.GetName())
	cache := s.caches[t.Prefix]
	if dryRun {
		_, found, _, err := s.Mirror.Etcd().Get(ctx, key)
		if err != nil {
			return nil, err
		}
		if found {
			return nil, store.ErrExists
		}
		return s.served(t, draft.Unsaved())
	}
	cache.Announce(draft)
	revision, err := s.Mirror.Etcd().Create(ctx, key, value, s.ttl(t), seen...)
	if err != nil {
		cache.Retract(draft)
		return nil, err
	}
	s.note(t, revision)
	return s.served(t, draft.At(revision))
}

func (s *Service) ttl(t *Type) time.Duration {
	if t.isEvents() {
		return s.EventTTL
	}
	return 0
}
