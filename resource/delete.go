package resource

import (
	"context"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// defaultGrace is how long a pod that does not say may take to stop, in seconds.
const defaultGrace = 30

// Delete removes an object, or marks it for removal where finalizers or a grace period stand before that.
func (s *Service) Delete(ctx context.Context, p authz.Permit, o metav1.DeleteOptions, w Write) (Result, error) {
	t, err := s.target(p, "delete")
	if err != nil {
		return Result{}, err
	}
	w.Options.DryRun = len(o.DryRun) > 0
	return s.delete(ctx, p, t, p.Info().Namespace, p.Info().Name, o, w)
}

func (s *Service) delete(ctx context.Context, p authz.Permit, t *Type, namespace, name string, o metav1.DeleteOptions, w Write) (Result, error) {
	key := s.key(t, namespace, name)
	item, err := s.current(ctx, t, key, name, false)
	if err != nil {
		return Result{}, err
	}
	for live := false; ; live = true {
		next, result, err := s.tryDelete(ctx, p, t, item, o, w)
		switch {
		case err != nil && !live && mayBeStale(err):
			if next, err = s.current(ctx, t, key, name, true); err != nil {
				return Result{}, err
			}
		case err != nil || next == nil:
			return result, err
		}
		if item = next; ctx.Err() != nil {
			return Result{}, api.ToError(ctx.Err())
		}
	}
}

// tryDelete attempts one round, like tryUpdate.
func (s *Service) tryDelete(ctx context.Context, p authz.Permit, t *Type, item *store.Item, o metav1.DeleteOptions, w Write) (*store.Item, Result, error) {
	old, err := s.object(t, item)
	if err != nil {
		return nil, Result{}, err
	}
	uid, revision := preconditions(o.Preconditions)
	if err := checkExpected(t, old, uid, revision); err != nil {
		return nil, Result{}, err
	}
	a := s.attributes(p, t, admission.Delete, nil, old, w)
	a.Name = old.GetName()
	if err := s.Admission.Validate(ctx, a); err != nil {
		return nil, Result{}, err
	}
	marked := old.DeepCopyObject().(Object)
	if !s.mark(t, marked, o) {
		served, err := s.served(t, item)
		return nil, Result{Type: t, Item: served, Code: http.StatusOK}, err
	}
	if finished(marked) {
		return s.tryRemove(ctx, t, marked, item, w.Options.DryRun)
	}
	return s.commitUpdate(ctx, t, marked, item, w.Options.DryRun)
}

// mark sets what a deletion request leaves on the object: the time, the grace period and the finalizers of its propagation policy.
// It reports false where nothing changes.
func (s *Service) mark(t *Type, o Object, opts metav1.DeleteOptions) bool {
	grace := graceOf(o, opts)
	if o.GetDeletionTimestamp() != nil {
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
	if t.HasGeneration && o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	setPropagation(o, opts)
	return true
}

// setPropagation keeps at most one of the two finalizers by which the garbage collector is told what to do with dependents.
func setPropagation(o Object, opts metav1.DeleteOptions) {
	policy := metav1.DeletePropagationBackground
	switch {
	case opts.PropagationPolicy != nil:
		policy = *opts.PropagationPolicy
	case opts.OrphanDependents != nil && *opts.OrphanDependents:
		policy = metav1.DeletePropagationOrphan
	case opts.OrphanDependents == nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case opts.OrphanDependents == nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents):
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

// tryRemove deletes the key. The answer is the object in its last state for the kinds of which the reference returns
// it, and a Status for the others.
func (s *Service) tryRemove(ctx context.Context, t *Type, o Object, item *store.Item, dryRun bool) (*store.Item, Result, error) {
	revision := item.Revision
	if !dryRun {
		var now store.KV
		var err error
		if revision, now, err = s.Mirror.Etcd().Delete(ctx, item.Key, item.Revision); err != nil {
			return s.lost(t, item, now, err)
		}
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

// DeleteCollection deletes what a list with the same selectors shows, each object on its own, and returns that list. It stops at
// the first failure; objects that vanish meanwhile are passed over.
func (s *Service) DeleteCollection(ctx context.Context, p authz.Permit, list ListOptions, o metav1.DeleteOptions, w Write) (*List, error) {
	t, err := s.target(p, "deletecollection")
	if err != nil {
		return nil, err
	}
	w.Options.DryRun = len(o.DryRun) > 0
	l, err := s.list(ctx, t, p.Info(), list)
	if err != nil {
		return nil, err
	}
	for _, item := range l.Items {
		_, err := s.delete(ctx, p, t, item.Namespace, item.Name, o, w)
		if err != nil && !api.IsReason(err, metav1.StatusReasonNotFound) {
			return nil, err
		}
	}
	return l, nil
}
