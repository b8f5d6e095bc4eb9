package standalone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// The end of a namespace: what is in it is deleted, pods first, and then its finalizer is taken away.

const whyEmpty = "namespace deletion"

// deletesAtOnce is how many objects of a namespace are deleted at once.
const deletesAtOnce = 8

// content is what is left in a namespace.
type content struct {
	remaining  map[string]int // objects by "plural.group"
	finalizers map[string]int // objects by what holds them
	errs       []error
}

// empty deletes the content of a namespace that is being deleted and then lets the namespace go. It fails with errRemaining until then.
func (w *work) empty(ctx context.Context, name string) error {
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	n := w.node("namespaces", "", name)
	if n == nil || !n.deleting {
		return nil
	}
	ns, found, err := decode[*corev1.Namespace](n)
	if err != nil || !found || !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return err
	}
	left := w.deleteContent(ctx, ns)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if updateConditions(&ns.Status, left, metav1.NewTime(time.Now().Truncate(time.Second))) {
		if err := w.writeNamespace(ctx, n, ns, "status"); err != nil {
			return err
		}
	}
	if err := errors.Join(left.errs...); err != nil {
		return err
	}
	if len(left.remaining) > 0 {
		return fmt.Errorf("namespace %s: %w", name, errRemaining)
	}
	return w.finalize(ctx, n)
}

// finalize takes the finalizer away, of the namespace in its present state.
func (w *work) finalize(ctx context.Context, n *node) error {
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	ns, found, err := decode[*corev1.Namespace](n)
	if err != nil || !found {
		return err
	}
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	return w.writeNamespace(ctx, n, ns, "finalize")
}

// writeNamespace updates a part of the namespace, at the revision that it was read at.
func (w *work) writeNamespace(ctx context.Context, n *node, ns *corev1.Namespace, part string) error {
	info := infoOf(n.feed.Type, "update", "", n.name)
	info.Subresource = part
	return orGone(w.send(ctx, whyEmpty, info, ns))
}

// deleteContent deletes what is in the namespace and says what is left. While there are pods, all else stays: what they do may depend
// on it.
func (w *work) deleteContent(ctx context.Context, ns *corev1.Namespace) *content {
	left := &content{remaining: map[string]int{}, finalizers: map[string]int{}}
	pods := w.core("pods")
	w.deleteAll(ctx, pods, ns.Name, left)
	if len(left.remaining) > 0 {
		return left
	}
	for _, f := range w.feeds {
		if f != pods && f.Type.Namespaced && f.Type.Serves("delete", "") {
			w.deleteAll(ctx, f, ns.Name, left)
		}
	}
	return left
}

// deleteAll deletes the objects of a resource in the namespace that are not being deleted yet, and counts what is left of them.
func (w *work) deleteAll(ctx context.Context, f *resource.Feed, namespace string, left *content) {
	items, errs := list(f, namespace), []error(nil)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(deletesAtOnce)
	for _, item := range items {
		group.Go(func() error {
			if err := w.deleteItem(ctx, f.Type, item); err != nil && !api.IsReason(err, metav1.StatusReasonConflict) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
			return nil
		})
	}
	_ = group.Wait() // which have put their errors into errs
	if len(items) == 0 || ctx.Err() != nil {
		return
	}
	if _, err := w.Resources.Mirror.Fresh(ctx); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		left.errs = append(left.errs, fmt.Errorf("%s: %d objects could not be deleted, the first of them: %w", f.Type.GR(), len(errs), errs[0]))
	}
	for _, item := range list(f, namespace) {
		left.remaining[f.Type.Resource+"."+f.Type.Group]++
		for _, finalizer := range item.Finalizers {
			left.finalizers[finalizer]++
		}
	}
}

// list returns what the cache has of a resource in the namespace.
func list(f *resource.Feed, namespace string) (items []*resource.Metadata) {
	f.List(namespace, func(m *resource.Metadata) { items = append(items, m) })
	return items
}

// deleteItem deletes one object, and leaves its dependents alone: they are in the namespace too, or not to be touched.
func (w *work) deleteItem(ctx context.Context, t *resource.Type, m *resource.Metadata) error {
	if m.Err != nil || m.DeletionTimestamp != nil {
		return m.Err
	}
	policy := metav1.DeletePropagationBackground
	return w.remove(ctx, whyEmpty, t, m.Namespace, m.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &m.UID}, PropagationPolicy: &policy,
	})
}
