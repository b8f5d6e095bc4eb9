// Package admission decides on decoded objects: it changes them, then validates them, before they are stored.
//
// A [Chain] runs mutators and then validators in order; the first refusal ends it. Plugins are safe for concurrent use and, but for
// those who wait for a quota, hold no state of their own. Every refusal is an [*api.Error] that names the plugin's reason or the policy. Whether a user may make the request at
// all has been decided before; admission cannot allow what was refused.
package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Operation is what is done to an object.
type Operation string

// Operations.
const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE" // update, patch and apply, also of a subresource
	Delete  Operation = "DELETE" // one object; a deletecollection is one DELETE for each object
	Connect Operation = "CONNECT"
)

// Attributes is one object's way through admission. It belongs to one request and is not safe for concurrent use.
type Attributes struct {
	// Permit is the request's authorization; plugins that decide by user or verb read it.
	Permit    authz.Permit
	Operation Operation
	// Kind is that of Object, which for a subresource may differ from the kind behind Resource.
	Kind        schema.GroupVersionKind
	Resource    schema.GroupVersionResource
	Subresource string
	// Namespace is empty for cluster-scoped objects. Name may be empty on Create.
	Namespace, Name string
	// Object is nil on Delete, OldObject on Create. Mutators change what Object points to; OldObject is never changed.
	Object, OldObject runtime.Object
	DryRun            bool
	// Warnings receives texts for the client; nil drops them.
	Warnings *api.Warnings
	// Annotate adds to the audit record; nil drops what is added.
	Annotate func(key, value string)
	// Served makes what the client sent and was shown before, with its kind, where that is not the stored object: the Scale of an update of
	// one. It is nil otherwise.
	Served func() (kind schema.GroupVersionKind, object, old runtime.Object, err error)
	// Options makes the options of the request, for those who are told of them; nil stands for none.
	Options func() runtime.Object

	round     round
	namespace *corev1.Namespace // what NamespaceLifecycle has seen, while objects were changed
}

// SeenNamespace is the namespace that a create is admitted to, as it was seen: the write must not be made if the namespace has changed
// since. Nil means that nobody has looked.
func (a *Attributes) SeenNamespace() *corev1.Namespace {
	if a.Operation != Create {
		return nil
	}
	return a.namespace
}

// NamespaceOf returns the namespace of the request: of a create as it was seen, and from what is given otherwise.
func (a *Attributes) NamespaceOf(ctx context.Context, from Namespaces) (*corev1.Namespace, bool, error) {
	if ns := a.SeenNamespace(); ns != nil {
		return ns, true, nil
	}
	return from.Namespace(ctx, a.Namespace)
}

// Mutator changes objects.
type Mutator interface {
	// Mutate changes a.Object in place, or refuses with an [*api.Error].
	Mutate(ctx context.Context, a *Attributes) error
}

// Validator refuses objects.
type Validator interface {
	// Validate changes nothing and returns nil or an [*api.Error].
	Validate(ctx context.Context, a *Attributes) error
}

// ErrNoPermit is the cause of the refusal of attributes without a valid permit.
var ErrNoPermit = errors.New("admission without a permit")

// Chain is the plugins of a server in their order. The zero Chain admits what carries a valid permit.
type Chain struct {
	Mutators   []Mutator
	Validators []Validator
	// MutatorNames and ValidatorNames are what Metrics call them, in the same order; those without a name are not told apart.
	MutatorNames, ValidatorNames []string
	// Metrics counts; nil counts nothing.
	Metrics *Metrics
}

// name is the i-th of the names, if there is one.
func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

// Mutate runs the mutators until one refuses, and all of them once more if one asked for it.
func (c *Chain) Mutate(ctx context.Context, a *Attributes) (err error) {
	if !a.Permit.Valid() {
		return api.Internal(ErrNoPermit)
	}
	began := time.Now()
	defer func() { c.Metrics.step(stepAdmit, a, began, err) }()
	if err := c.mutate(ctx, a); err != nil || !a.round.again {
		return err
	}
	a.round.second = true
	return c.mutate(ctx, a)
}

func (c *Chain) mutate(ctx context.Context, a *Attributes) error {
	for i, m := range c.Mutators {
		began := time.Now()
		err := m.Mutate(ctx, a)
		c.Metrics.plugin(name(c.MutatorNames, i), stepAdmit, a, began, err)
		if err != nil {
			return err
		}
	}
	return nil
}

// Validate runs the validators until one refuses.
func (c *Chain) Validate(ctx context.Context, a *Attributes) (err error) {
	if !a.Permit.Valid() {
		return api.Internal(ErrNoPermit)
	}
	began := time.Now()
	defer func() { c.Metrics.step(stepValidate, a, began, err) }()
	for i, v := range c.Validators {
		began := time.Now()
		err := v.Validate(ctx, a)
		c.Metrics.plugin(name(c.ValidatorNames, i), stepValidate, a, began, err)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Attributes) annotate(key, value string) {
	if a.Annotate != nil {
		a.Annotate(key, value)
	}
}

// Concerns reports whether the request is for objects of the resource themselves, not for a subresource.
func (a *Attributes) Concerns(group, resource string) bool {
	return a.Resource.Group == group && a.Resource.Resource == resource && a.Subresource == ""
}

// Writes reports whether the request creates or updates.
func (a *Attributes) Writes() bool { return a.Operation == Create || a.Operation == Update }

// Undecoded is the refusal of an object that is not what its resource holds.
func (a *Attributes) Undecoded() *api.Error {
	return api.Internal(fmt.Errorf("admission: %s: unexpected %T", a.Resource.GroupResource(), a.Object))
}

// displayName is what a refusal calls the object: its name, or what the name will be generated from.
func (a *Attributes) displayName() string {
	if a.Name != "" {
		return a.Name
	}
	m, err := meta.Accessor(a.Object)
	if err != nil {
		return ""
	}
	return cmp.Or(m.GetName(), m.GetGenerateName(), "Unknown") // as kube-apiserver calls it
}

// Forbidden is 403 for the object under admission.
func (a *Attributes) Forbidden(why error) *api.Error {
	return api.Forbidden(a.Resource.GroupResource(), a.displayName(), why)
}
