package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// What the loops do to objects. Each write has a permit of the system's for just that object and is recorded.

// manager owns the fields that the loops write.
const manager = "gatehouse-standalone"

// infoOf is the request for an object of a type; an empty name means the collection.
func infoOf(t *resource.Type, verb, namespace, name string) api.RequestInfo {
	return api.RequestInfo{
		IsResource: true, Verb: verb, Group: t.Group, Version: t.Version, Resource: t.Resource, Namespace: namespace, Name: name,
	}
}

// audited does one write, when there is room for it. Lists of what is to be written are old by then, so that a term which has ended meanwhile
// must not write any more: ctx is that of the term.
func (l *Loops) audited(ctx context.Context, why string, info api.RequestInfo, do func(authz.Permit, resource.Write) error) error {
	if err := l.room.Wait(ctx); err != nil {
		return err
	}
	return l.Audited(ctx, why, info, func(w resource.Write) error {
		w.Options.FieldManager = manager
		return do(authz.System(why, info), w)
	})
}

// send creates or updates an object, or a subresource of it.
func (l *Loops) send(ctx context.Context, why string, info api.RequestInfo, o any) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return l.audited(ctx, why, info, func(p authz.Permit, w resource.Write) error {
		do := l.Resources.Update
		if info.Verb == "create" {
			do = l.Resources.Create
		}
		_, err := do(ctx, p, resource.Body{Data: data}, w)
		return err
	})
}

// current reads the metadata that an object has now; nil means that it is another object by now, or none. The graph knows of that
// soon.
func (w *work) current(n *node) (*resource.Metadata, error) {
	m := n.feed.Get(n.namespace, n.name)
	switch {
	case m == nil || m.UID != n.uid && m.Err == nil:
		return nil, nil
	case m.Err != nil:
		return nil, m.Err
	}
	return m, nil
}

// delete deletes the object in the state that m is of. That there is none is no error.
func (w *work) delete(ctx context.Context, why string, n *node, m *resource.Metadata, policy metav1.DeletionPropagation) error {
	return w.remove(ctx, why, n.feed.Type, n.namespace, n.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &n.uid, ResourceVersion: &m.ResourceVersion}, PropagationPolicy: &policy,
	})
}

func (l *Loops) remove(ctx context.Context, why string, t *resource.Type, namespace, name string, o metav1.DeleteOptions) error {
	err := l.audited(ctx, why, infoOf(t, "delete", namespace, name), func(p authz.Permit, w resource.Write) error {
		_, err := l.Resources.Delete(ctx, p, o, w)
		return err
	})
	return orGone(err)
}

// disown takes away the references to owners.
func (w *work) disown(ctx context.Context, why string, n *node, m *resource.Metadata, owners []types.UID) error {
	left := slices.DeleteFunc(slices.Clone(m.OwnerReferences), func(ref metav1.OwnerReference) bool { return slices.Contains(owners, ref.UID) })
	if len(left) == len(m.OwnerReferences) {
		return nil
	}
	return w.patchMeta(ctx, why, n, m, "ownerReferences", left)
}

// removeFinalizer takes a finalizer away from the object as it is now.
func (w *work) removeFinalizer(ctx context.Context, why string, n *node, finalizer string) error {
	m, err := w.current(n)
	if err != nil || m == nil || !has(m, finalizer) {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(m.Finalizers), func(f string) bool { return f == finalizer })
	return w.patchMeta(ctx, why, n, m, "finalizers", left)
}

// patchMeta replaces one list in the metadata of the object in the state that m is of.
func (w *work) patchMeta(ctx context.Context, why string, n *node, m *resource.Metadata, field string, list any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": m.UID, "resourceVersion": m.ResourceVersion, field: list}})
	if err != nil {
		return err
	}
	err = w.audited(ctx, why, infoOf(n.feed.Type, "patch", n.namespace, n.name), func(p authz.Permit, write resource.Write) error {
		_, err := w.Resources.Patch(ctx, p, resource.Body{ContentType: string(types.MergePatchType), Data: body}, write)
		return err
	})
	return orGone(err)
}

// orGone passes over that there is nothing to change.
func orGone(err error) error {
	if api.IsReason(err, metav1.StatusReasonNotFound) {
		return nil
	}
	return err
}

// expected tells the failures that are part of the work: somebody else wrote first, or it is not done yet.
func expected(err error) bool {
	return api.IsReason(err, metav1.StatusReasonConflict) || errors.Is(err, errRemaining) || api.IsReason(err, metav1.StatusReasonExpired)
}

// errRemaining is in the chain of the error of a job that is waiting for others to do their part.
var errRemaining = errors.New("something remains")

// decode reads a whole object, for the few that the loops have to understand.
func decode[T resource.Object](n *node) (o T, found bool, err error) {
	any, err := n.feed.Object(n.namespace, n.name)
	if err != nil || any == nil {
		return o, false, err
	}
	o, ok := any.(T)
	return o, ok && o.GetUID() == n.uid, nil
}
