package standalone

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/resource"
)

// Garbage collection: what has owners goes with the last of them.

const whyCollect = "garbage collection"

// errUncertain is in the chain of the errors about owners of which it is not known whether they exist.
var errUncertain = errors.New("it is not certain that the owner is gone")

// kinds finds the resource of a kind. All versions of a kind share one store, so the version does not matter.
type kinds map[schema.GroupKind]*resource.Feed

// kindsOf includes the kinds that are served in a converted form only.
func kindsOf(table *resource.Table, feeds []*resource.Feed) kinds {
	k := kinds{}
	for _, f := range feeds {
		for _, t := range table.Types() {
			if t.Prefix == f.Type.Prefix && k[t.GK()] == nil {
				k[t.GK()] = f
			}
		}
	}
	return k
}

// owners are the owners of an object by what has become of them.
type owners struct {
	solid, gone, waiting []metav1.OwnerReference
}

// collect deletes the object with the uid if all of its owners are gone, and finishes the deletion of one that waits for its dependents.
func (w *work) collect(ctx context.Context, uid types.UID) error {
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	n := w.graph.get(uid)
	switch {
	case n == nil:
		return nil
	case n.foreground:
		return w.finishForeground(ctx, n)
	case n.deleting || len(n.owners) == 0:
		return nil
	}
	m, err := w.current(n)
	if err != nil || m == nil {
		return err
	}
	owners, err := w.classify(n, m.OwnerReferences)
	if err != nil {
		return err
	}
	switch {
	case len(owners.solid) > 0 && len(owners.gone)+len(owners.waiting) == 0:
		return nil
	case len(owners.solid) > 0:
		return w.disown(ctx, whyCollect, n, m, uidsOf(owners.gone, owners.waiting))
	case len(owners.waiting) > 0 && len(w.graph.owned(uid)) > 0:
		return w.deleteForeground(ctx, n, m)
	}
	return w.delete(ctx, whyCollect, n, m, policyOf(m))
}

// policyOf keeps what has been decided about the dependents of an object already.
func policyOf(m *resource.Metadata) metav1.DeletionPropagation {
	switch {
	case has(m, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case has(m, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// classify finds out what has become of the owners. The graph is not older than the job.
func (w *work) classify(n *node, refs []metav1.OwnerReference) (owners, error) {
	var o owners
	for _, ref := range refs {
		owner, err := w.owner(n, ref)
		switch {
		case err != nil:
			return owners{}, err
		case owner == nil:
			o.gone = append(o.gone, ref)
		case owner.foreground:
			o.waiting = append(o.waiting, ref)
		default:
			o.solid = append(o.solid, ref)
		}
	}
	return o, nil
}

// owner finds the owner that a reference names; nil means that there certainly is none. Nobody who exists anywhere has the uid then, and
// the place where the reference says that the owner is can be read and holds nobody with the uid.
func (w *work) owner(n *node, ref metav1.OwnerReference) (*node, error) {
	uncertain := func(why string) error {
		return fmt.Errorf("%s: owner %s %s %s: %s: %w", n.key, ref.APIVersion, ref.Kind, ref.Name, why, errUncertain)
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil || ref.UID == "" {
		return nil, uncertain("the reference cannot be read")
	}
	feed := w.kinds[schema.GroupKind{Group: gv.Group, Kind: ref.Kind}]
	switch {
	case feed == nil:
		return nil, uncertain("the kind is not served")
	case feed.Type.Namespaced && n.namespace == "":
		return nil, uncertain("an object without a namespace cannot be owned by one in a namespace")
	}
	if owner := w.graph.get(ref.UID); owner != nil {
		if owner.key != feed.Key(n.namespace, ref.Name) {
			return nil, uncertain("it exists elsewhere, as " + owner.key)
		}
		return owner, nil
	}
	switch m := feed.Get(n.namespace, ref.Name); {
	case m == nil:
		return nil, nil
	case m.Err != nil:
		return nil, uncertain(m.Err.Error())
	case m.UID == ref.UID: // of a resource that the graph leaves out, or made in this moment
		return &node{feed: feed, key: m.Key, uid: m.UID}, nil
	}
	return nil, nil
}

func uidsOf(lists ...[]metav1.OwnerReference) []types.UID {
	var uids []types.UID
	for _, ref := range slices.Concat(lists...) {
		uids = append(uids, ref.UID)
	}
	return uids
}

// deleteForeground passes a deletion in the foreground on to an object that has dependents itself. Where one of these waits for its
// dependents too, they may own each other in a circle, in which nothing must block.
func (w *work) deleteForeground(ctx context.Context, n *node, m *resource.Metadata) error {
	if slices.ContainsFunc(w.graph.owned(n.uid), func(dependent *node) bool { return dependent.foreground }) {
		refs := slices.Clone(m.OwnerReferences)
		changed := false
		for i := range refs {
			if refs[i].BlockOwnerDeletion != nil && *refs[i].BlockOwnerDeletion {
				refs[i].BlockOwnerDeletion, changed = new(bool), true
			}
		}
		if changed {
			if err := w.patchMeta(ctx, whyCollect, n, m, "ownerReferences", refs); err != nil {
				return err
			}
			w.collectLater(n.uid) // of which the resourceVersion is another one now
			return nil
		}
	}
	return w.delete(ctx, whyCollect, n, m, metav1.DeletePropagationForeground)
}

// finishForeground lets an object go that waits for its dependents, once none of them holds it up, and looks after those that do.
func (w *work) finishForeground(ctx context.Context, n *node) error {
	held := false
	for _, dependent := range w.graph.owned(n.uid) {
		if !dependent.blocks(n.uid) || !w.mayHold(dependent, n) {
			continue
		}
		held = true
		if !dependent.deleting {
			w.collectLater(dependent.uid)
		}
	}
	if held {
		return nil // The end of the last of them calls for this job again.
	}
	return w.removeFinalizer(ctx, whyCollect, n, metav1.FinalizerDeleteDependents)
}

// mayHold reports whether a dependent that blocks the deletion of the owner has it for an owner indeed: whoever knows a uid could
// name it from another namespace, where nobody who deletes the owner can do anything about it. What cannot be read counts as one that may.
func (w *work) mayHold(dependent, owner *node) bool {
	m, err := w.current(dependent)
	if err != nil || m == nil {
		return true
	}
	return slices.ContainsFunc(m.OwnerReferences, func(ref metav1.OwnerReference) bool {
		if ref.UID != owner.uid || ref.BlockOwnerDeletion == nil || !*ref.BlockOwnerDeletion {
			return false
		}
		_, err := w.owner(dependent, ref)
		return err == nil
	})
}

// orphan takes an object's reference away from all its dependents and then lets it go.
func (w *work) orphan(ctx context.Context, uid types.UID) error {
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	n := w.graph.get(uid)
	if n == nil || !n.orphaning {
		return nil
	}
	const why = "orphaning of dependents"
	var errs []error
	for _, dependent := range w.graph.owned(uid) {
		m, err := w.current(dependent)
		if err == nil && m != nil {
			err = w.disown(ctx, why, dependent, m, []types.UID{uid})
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// One that was made meanwhile would be collected once its owner is gone.
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	if left := len(w.graph.owned(uid)); left > 0 {
		return fmt.Errorf("%s: %d dependents were made while the others were let go", n.key, left)
	}
	return w.removeFinalizer(ctx, why, n, metav1.FinalizerOrphanDependents)
}
