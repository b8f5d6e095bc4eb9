package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// LimitRanges finds limit ranges.
type LimitRanges interface {
	// LimitRanges returns those of the namespace, which the caller does not change.
	LimitRanges(ctx context.Context, namespace string) ([]*corev1.LimitRange, error)
}

// LimitRanger gives containers that do not say what they need the defaults of the namespace, and refuses pods and claims outside
// of its bounds. It is a Mutator and a Validator.
type LimitRanger struct {
	// Ranges is required.
	Ranges LimitRanges
}

// annotationDefaulted tells what a pod was given that did not ask for it.
const annotationDefaulted = "kubernetes.io/limit-ranger"

// Mutate fills in the requests and limits of containers, and notes on the pod which.
func (l LimitRanger) Mutate(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !limited(a) {
		return nil
	}
	ranges, err := l.Ranges.LimitRanges(ctx, a.Namespace)
	if err != nil {
		return api.ToError(err)
	}
	for _, r := range ranges {
		setDefaults(pod, r)
	}
	return nil
}

// Validate refuses with 403, which tells everything that is out of the bounds of one range.
func (l LimitRanger) Validate(ctx context.Context, a *admission.Attributes) error {
	if !limited(a) {
		return nil
	}
	ranges, err := l.Ranges.LimitRanges(ctx, a.Namespace)
	if err != nil {
		return api.ToError(err)
	}
	for _, r := range ranges {
		var errs []error
		switch o := a.Object.(type) {
		case *corev1.Pod:
			errs = podFaults(o, r)
		case *corev1.PersistentVolumeClaim:
			errs = claimFaults(o, r)
		}
		if err := utilerrors.NewAggregate(errs); err != nil {
			return a.Forbidden(err)
		}
	}
	return nil
}

// limited reports whether the request can change what is limited: of a pod, after its creation, only a resize does. What is on its way
// out is left alone.
func limited(a *admission.Attributes) bool {
	if !a.Writes() {
		return false
	}
	if old, err := meta.Accessor(a.OldObject); err == nil && old.GetDeletionTimestamp() != nil {
		return false
	}
	switch a.Object.(type) {
	case *corev1.Pod:
		return (a.Subresource == "" && a.Operation == admission.Create) || (a.Subresource == "resize" && a.Operation == admission.Update)
	case *corev1.PersistentVolumeClaim:
		return a.Subresource == ""
	}
	return false
}

// setDefaults applies one range. Where it has several items for containers, the last counts.
func setDefaults(pod *corev1.Pod, r *corev1.LimitRange) {
	requests, limits := amounts{}, amounts{}
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for name, q := range item.DefaultRequest {
			requests[name] = q.DeepCopy()
		}
		for name, q := range item.Default {
			limits[name] = q.DeepCopy()
		}
	}
	var notes []string
	for _, list := range []struct {
		what       string
		containers []corev1.Container
	}{{"container", pod.Spec.Containers}, {"init container", pod.Spec.InitContainers}} {
		for i := range list.containers {
			c := &list.containers[i]
			if added := fill(&c.Resources.Requests, requests); added != "" {
				notes = append(notes, added+" request for "+list.what+" "+c.Name)
			}
			if added := fill(&c.Resources.Limits, limits); added != "" {
				notes = append(notes, added+" limit for "+list.what+" "+c.Name)
			}
		}
	}
	if len(notes) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[annotationDefaulted] = "LimitRanger plugin set: " + strings.Join(notes, "; ")
}

// fill adds what is missing and returns its names.
func fill(list *amounts, defaults amounts) string {
	var added []string
	for name, q := range defaults {
		if _, ok := (*list)[name]; ok {
			continue
		}
		if *list == nil {
			*list = amounts{}
		}
		(*list)[name] = q.DeepCopy()
		added = append(added, string(name))
	}
	slices.Sort(added)
	return strings.Join(added, ", ")
}

func podFaults(pod *corev1.Pod, r *corev1.LimitRange) (errs []error) {
	for _, item := range r.Spec.Limits {
		switch item.Type {
		case corev1.LimitTypeContainer:
			for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
				errs = append(errs, faults(item, c.Resources.Requests, c.Resources.Limits)...)
			}
		case corev1.LimitTypePod:
			requests, limits := specified(pod)
			errs = append(errs, faults(item, requests, limits)...)
		}
	}
	return errs
}

// claimFaults goes by requests alone: claims have no limits of their own.
func claimFaults(claim *corev1.PersistentVolumeClaim, r *corev1.LimitRange) (errs []error) {
	requests := claim.Spec.Resources.Requests
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypePersistentVolumeClaim {
			continue
		}
		errs = append(errs, each(item.Min, func(b bound) error { return b.min(item.Type, requests, nil) })...)
		errs = append(errs, each(item.Max, func(b bound) error {
			q, ok := requests[b.name]
			switch {
			case !ok:
				return fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", b.name, item.Type, b.value.String())
			case b.less(b.value, q):
				return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", b.name, item.Type, b.value.String(), q.String())
			}
			return nil
		})...)
	}
	return errs
}

// faults are what is wrong with the requests and limits of one container, or of a pod.
func faults(item corev1.LimitRangeItem, requests, limits amounts) []error {
	return slices.Concat(
		each(item.Min, func(b bound) error { return b.min(item.Type, requests, limits) }),
		each(item.Max, func(b bound) error { return b.max(item.Type, requests, limits) }),
		each(item.MaxLimitRequestRatio, func(b bound) error { return b.ratio(item.Type, requests, limits) }),
	)
}

// each asks about the bounds in the order of their names.
func each(bounds amounts, ask func(bound) error) (errs []error) {
	for _, name := range names(bounds) {
		if err := ask(bound{name, bounds[name]}); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
