package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate/content"

	"github.com/gatehouse/gatehouse/api"
)

// RuntimeClasses finds runtime classes.
type RuntimeClasses interface {
	// RuntimeClass returns the class of that name, which the caller does not change, and whether there is one.
	RuntimeClass(ctx context.Context, name string) (*nodev1.RuntimeClass, bool, error)
}

// RuntimeClass gives pods the overhead of their runtime class and where it can run, and refuses what contradicts that. It is a Mutator and a
// Validator, and decides like the plugin of that name in kube-apiserver.
type RuntimeClass struct {
	// Classes is required.
	Classes RuntimeClasses
}

// Mutate sets the overhead, the node selector and the tolerations of new pods. It refuses with 403 a class that does not exist and
// pods that ask for something else than it says.
func (r RuntimeClass) Mutate(ctx context.Context, a *Attributes) error {
	pod, class, err := r.find(ctx, a)
	if err != nil || class == nil {
		return err
	}
	if class.Overhead != nil {
		if len(pod.Spec.Overhead) > 0 && !apiequality.Semantic.DeepEqual(class.Overhead.PodFixed, pod.Spec.Overhead) {
			return a.Forbidden(errOverhead)
		}
		pod.Spec.Overhead = class.Overhead.PodFixed.DeepCopy()
	}
	if class.Scheduling == nil {
		return nil
	}
	want := class.Scheduling.NodeSelector
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if had, ok := pod.Spec.NodeSelector[key]; ok && had != want[key] {
			return a.Forbidden(fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s",
				key, want[key], key, had))
		}
	}
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = maps.Clone(want)
	} else {
		maps.Copy(pod.Spec.NodeSelector, want)
	}
	pod.Spec.Tolerations = mergeTolerations(slices.Concat(pod.Spec.Tolerations, class.DeepCopy().Scheduling.Tolerations))
	return nil
}

var errOverhead = errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")

// Validate refuses with 403 an overhead that is not that of the class.
func (r RuntimeClass) Validate(ctx context.Context, a *Attributes) error {
	pod, class, err := r.find(ctx, a)
	switch {
	case err != nil || pod == nil:
		return err
	case class != nil && class.Overhead != nil:
		if !apiequality.Semantic.DeepEqual(class.Overhead.PodFixed, pod.Spec.Overhead) {
			return a.Forbidden(errOverhead)
		}
	case pod.Spec.Overhead != nil:
		return a.Forbidden(errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
	}
	return nil
}

// find returns the pod to be created, nil for other requests, and its class, nil for none. What can be no name is left to validation.
func (r RuntimeClass) find(ctx context.Context, a *Attributes) (*corev1.Pod, *nodev1.RuntimeClass, error) {
	if !a.Concerns("", "pods") || a.Operation != Create {
		return nil, nil, nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return nil, nil, a.Undecoded()
	}
	name := pod.Spec.RuntimeClassName
	if name == nil || len(content.IsPathSegmentName(*name)) > 0 {
		return pod, nil, nil
	}
	class, found, err := r.Classes.RuntimeClass(ctx, *name)
	if err != nil {
		return nil, nil, api.ToError(err)
	}
	if !found {
		return nil, nil, a.Forbidden(fmt.Errorf("pod rejected: RuntimeClass %q not found", *name))
	}
	return pod, class, nil
}

// mergeTolerations leaves out those that say nothing beyond another one: the first of equal ones stays.
func mergeTolerations(all []corev1.Toleration) []corev1.Toleration {
	var merged []corev1.Toleration
	for i, t := range all {
		covered := slices.ContainsFunc(merged, func(other corev1.Toleration) bool { return covers(other, t) }) ||
			slices.ContainsFunc(all[i+1:], func(other corev1.Toleration) bool {
				return !apiequality.Semantic.DeepEqual(t, other) && covers(other, t)
			})
		if !covered {
			merged = append(merged, t)
		}
	}
	return merged
}

// covers reports whether whatever t tolerates is tolerated by the wider one too.
func covers(wider, t corev1.Toleration) bool {
	switch {
	case apiequality.Semantic.DeepEqual(wider, t):
		return true
	case t.Key != wider.Key && (wider.Key != "" || wider.Operator != corev1.TolerationOpExists):
		return false
	case t.Effect != wider.Effect && wider.Effect != "":
		return false
	}
	if limit := wider.TolerationSeconds; wider.Effect == corev1.TaintEffectNoExecute && limit != nil &&
		(t.TolerationSeconds == nil || *t.TolerationSeconds > *limit) {
		return false
	}
	switch wider.Operator {
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpEqual, "":
		return t.Operator == corev1.TolerationOpEqual && t.Value == wider.Value
	}
	return false
}
