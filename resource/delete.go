//lint:file-ignore SA1019 OrphanDependents is deprecated for clients; a server has to read it.

package resource

import (
	"context"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// defaultGrace is how long a pod that does not say may take to stop, in seconds.
const defaultGrace = 30

// Delete removes an object, or marks it for removal where finalizers or a grace period stand before that. An object that cannot
// be decoded is not deleted, since neither its finalizers nor what admission says of it are known: that is a 500 which
// names it, and such an object has to be repaired or removed in etcd.
func (s *Service) Delete(ctx context.Context, p authz.Permit, o metav1.DeleteOptions, w Write) (Result, error) {
	t, err := s.target(p, "delete")
	if err != nil {
		return Result{}, err
	}
	w.Options.DryRun = len(o.DryRun) > 0
	warnOfOrphans(t, o, w)
	return s.optimistic(ctx, t, p.Info().Namespace, p.Info().Name, w.Options.DryRun, func(now state) (*store.Item, Result, error) {
		return s.tryDelete(ctx, p, t, now, o, w)
	})
}

// warnOfOrphans tells who deletes a job without saying what becomes of its pods that they stay.
func warnOfOrphans(t *Type, o metav1.DeleteOptions, w Write) {
	if t.Group == "batch" && t.Resource == "jobs" && o.PropagationPolicy == nil && o.OrphanDependents == nil {
		w.Warnings.Add("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them " +
			"or set propagationPolicy=Orphan to suppress this warning")
	}
}

// tryDelete attempts one deletion.
func (s *Service) tryDelete(ctx context.Context, p authz.Permit, t *Type, now state, o metav1.DeleteOptions, w Write) (*store.Item, Result, error) {
	old, err := s.object(t, now.Item)
	if err != nil {
		return nil, Result{}, err
	}
	check, named := checkPreconditions, schema.GroupResource{Group: t.Group, Resource: t.Kind}
	if t.StoredAs != nil {
		named.Group = t.StoredAs.Group
	}
	if t.Resource == "namespaces" {
		check, named = checkNamespacePreconditions, t.GR()
	}
	if err := check(named, old, o.Preconditions); err != nil {
		return nil, Result{}, err
	}
	a := s.attributes(p, t, admission.Delete, nil, old, w)
	a.Name, a.Namespace = old.GetName(), old.GetNamespace()
	a.Options = func() runtime.Object { return deleteOptions(o) }
	if t.Resource == "namespaces" {
		a.Namespace = a.Name
	}
	if err := s.Admission.Validate(ctx, a); err != nil {
		return nil, Result{}, err
	}
	return s.tryMark(ctx, t, old, now, o, w)
}

// tryMark attempts the deletion of an object that may be deleted.
func (s *Service) tryMark(ctx context.Context, t *Type, old Object, now state, o metav1.DeleteOptions, w Write) (*store.Item, Result, error) {
	marked := old.DeepCopyObject().(Object)
	changed := s.mark(t, marked, o)
	if err := s.guard(ctx, marked); err != nil {
		return nil, Result{}, err
	}
	if changed && finished(marked) {
		if _, graceful := old.(*corev1.Pod); !graceful {
			marked = old // Only what could have lingered is shown as deleted.
		}
		next, r, err := s.tryRemove(ctx, t, marked, now, w.Options.DryRun)
		s.released(ctx, old, next == nil && err == nil && !w.Options.DryRun)
		return next, r, err
	}
	next, r, err := s.commitUpdate(ctx, t, marked, now, w.Options.DryRun)
	if o.OrphanDependents != nil && !*o.OrphanDependents {
		r.Code = http.StatusAccepted // The dependents are yet to be deleted, and the object after them.
	}
	return next, r, err
}

// mark sets what a deletion request leaves on the object: the time, the grace period and the finalizers of its propagation policy.
// It reports false where nothing changes.
func (s *Service) mark(t *Type, o Object, opts metav1.DeleteOptions) bool {
	grace := graceOf(o, opts)
	if o.GetDeletionTimestamp() != nil {
		if _, graceful := o.(*corev1.Pod); !graceful {
			return remark(t, o, opts)
		}
		had := o.GetDeletionGracePeriodSeconds()
		if had == nil || grace >= *had {
			// Not shortened: only an object that nothing holds any more is removed now.
			return finished(o)
		}
		at := metav1.NewTime(o.GetDeletionTimestamp().Add(time.Duration(grace-*had) * time.Second))
		o.SetDeletionTimestamp(&at)
		o.SetDeletionGracePeriodSeconds(&grace)
		return true
	}
	at := metav1.NewTime(s.now().Add(time.Duration(grace) * time.Second))
	o.SetDeletionTimestamp(&at)
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
	} else {
		o.SetDeletionGracePeriodSeconds(&grace)
	}
	if o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	setPropagation(t, o, opts)
	return true
}

// remark repeats the deletion of an object without a grace period that something still holds: what its dependents are to become can be
// decided anew, and the object goes if that was all that held it.
func remark(t *Type, o Object, opts metav1.DeleteOptions) bool {
	if ns, ok := o.(*corev1.Namespace); ok && len(ns.Spec.Finalizers) > 0 {
		return false
	}
	setPropagation(t, o, opts)
	return finished(o)
}

// setPropagation keeps at most one of the two finalizers by which the garbage collector is told what to do with dependents.
func setPropagation(t *Type, o Object, opts metav1.DeleteOptions) {
	if t.isEvents() {
		return // The garbage collector does not look at them.
	}
	policy := metav1.DeletePropagationBackground
	if t.OrphansByDefault {
		policy = metav1.DeletePropagationOrphan
	}
	switch {
	case opts.PropagationPolicy != nil:
		policy = *opts.PropagationPolicy
	case opts.OrphanDependents != nil && *opts.OrphanDependents:
		policy = metav1.DeletePropagationOrphan
	case opts.OrphanDependents != nil:
		policy = metav1.DeletePropagationBackground
	case slices.Contains(o.GetFinalizers(), metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	if no := opts.OrphanDependents; t.Resource == "namespaces" && no != nil && !*no {
		policy = metav1.DeletePropagationForeground
	}
	finalizers := without(without(o.GetFinalizers(), metav1.FinalizerOrphanDependents), metav1.FinalizerDeleteDependents)
	switch policy {
	case metav1.DeletePropagationOrphan:
		finalizers = append(finalizers, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		finalizers = append(finalizers, metav1.FinalizerDeleteDependents)
	}
	o.SetFinalizers(finalizers)
}

// graceOf is the grace period of a deletion in seconds: only pods that run on a node have one.
func graceOf(o Object, opts metav1.DeleteOptions) int64 {
	pod, ok := o.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return 0
	}
	grace := int64(defaultGrace)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		grace = *pod.Spec.TerminationGracePeriodSeconds
	}
	if opts.GracePeriodSeconds != nil {
		grace = *opts.GracePeriodSeconds
	}
	if grace < 0 {
		return 1
	}
	return grace
}

// finished reports whether a deleted object can be removed: its grace period is over and no finalizer is left.
func finished(o Object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 {
		return false
	}
	if ns, ok := o.(*corev1.Namespace); ok {
		return len(ns.Spec.Finalizers) == 0
	}
	grace := o.GetDeletionGracePeriodSeconds()
	return grace != nil && *grace == 0
}

// tryRemove deletes an object that nothing holds. The answer is the object in its last state for the kinds of which the
// reference returns it, and a Status for the others.
func (s *Service) tryRemove(ctx context.Context, t *Type, o Object, now state, dryRun bool) (*store.Item, Result, error) {
	next, revision, err := s.remove(ctx, t, now, dryRun)
	if next != nil || err != nil {
		return next, Result{}, err
	}
	if !t.ReturnsDeleted {
		return nil, deleted(t, o), nil
	}
	_, draft, err := s.encode(t, o)
	if err != nil {
		return nil, Result{}, err
	}
	served, err := s.served(t, draft.At(revision))
	return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
}

// remove deletes the key, or with dryRun finds out whether it could. It returns the revision of the deletion.
func (s *Service) remove(ctx context.Context, t *Type, now state, dryRun bool) (next *store.Item, revision int64, err error) {
	if dryRun {
		return nil, now.Revision, nil
	}
	revision, winner, err := s.Mirror.Etcd().Delete(ctx, now.Key, now.Revision)
	if err != nil {
		next, err = s.lost(t, now.Item, winner, err)
	} else {
		s.note(t, revision)
	}
	return next, revision, err
}

// DeleteCollection deletes what a list with the same selectors shows, each object on its own, and returns that list. It stops at
// the first failure; objects that vanish or cease to match meanwhile are passed over.
func (s *Service) DeleteCollection(ctx context.Context, p authz.Permit, list ListOptions, o metav1.DeleteOptions, w Write) (*List, error) {
	t, err := s.target(p, "deletecollection")
	if err != nil {
		return nil, err
	}
	w.Options.DryRun = len(o.DryRun) > 0
	match, err := s.matcher(t, p.Info(), list)
	if err != nil {
		return nil, err
	}
	if err := list.check(); err != nil {
		return nil, err
	}
	warnOfOrphans(t, o, w)
	if revision, err := parseRevision(list.ResourceVersion); err == nil && revision > 0 && list.Match == "" && list.Continue == "" {
		list.Match = metav1.ResourceVersionMatchExact // The reference reads pages, which are exact where nothing else is said.
	}
	l, err := s.list(ctx, t, p.Info(), list)
	if err != nil {
		return nil, err
	}
	try := func(now state) (*store.Item, Result, error) {
		item, err := s.served(t, now.Item)
		if err != nil || !match.matches(item) {
			return nil, Result{}, err
		}
		return s.tryDelete(ctx, p, t, now, o, w)
	}
	for _, item := range l.Items {
		_, err := s.optimistic(ctx, t, item.Namespace, item.Name, w.Options.DryRun, try)
		if err != nil && !api.IsReason(err, metav1.StatusReasonNotFound) {
			return nil, err
		}
	}
	return l, nil
}
