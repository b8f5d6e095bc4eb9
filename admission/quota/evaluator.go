package quota

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/gatehouse/gatehouse/admission"
)

// selector is one term of a quota's scopes.
type selector = corev1.ScopedResourceSelectorRequirement

// evaluator knows what the objects of one resource are charged for. Every evaluator has touches, measures and usage.
type evaluator struct {
	// touches reports whether a request can change what its object is charged for.
	touches func(a *admission.Attributes) bool
	// measures reports whether what a quota limits by this name is charged for objects of the resource.
	measures func(name corev1.ResourceName) bool
	// usage is what an object is charged for.
	usage func(o runtime.Object) (amounts, error)
	// matches reports whether the object is in the scope; nil means that no scope has such objects.
	matches func(s selector, o runtime.Object) (bool, error)
	// demands returns why an object that is limited in the given ways may not leave something open; nil demands nothing.
	demands func(limited []corev1.ResourceName, o runtime.Object) error
}

// charges reports whether the quota is about the object: it limits something that the object is charged for, and all of its scopes
// have the object.
func (e *evaluator) charges(q *corev1.ResourceQuota, o runtime.Object) (bool, error) {
	about := false
	for name := range q.Status.Hard {
		about = about || e.measures(name)
	}
	if !about {
		return false, nil
	}
	for _, s := range scopesOf(q) {
		if e.matches == nil {
			return false, nil
		}
		if ok, err := e.matches(s, o); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func scopesOf(q *corev1.ResourceQuota) []selector {
	var all []selector
	for _, scope := range q.Spec.Scopes {
		all = append(all, selector{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists})
	}
	if q.Spec.ScopeSelector != nil {
		all = append(all, q.Spec.ScopeSelector.MatchExpressions...)
	}
	return all
}

// selects reports whether the selector, as one on labels, has an object for which the name of the scope has one of the values.
func selects(s selector, values ...string) (bool, error) {
	op, ok := map[corev1.ScopeSelectorOperator]selection.Operator{
		corev1.ScopeSelectorOpIn: selection.In, corev1.ScopeSelectorOpNotIn: selection.NotIn,
		corev1.ScopeSelectorOpExists: selection.Exists, corev1.ScopeSelectorOpDoesNotExist: selection.DoesNotExist,
	}[s.Operator]
	if !ok {
		return false, fmt.Errorf("%q is not a valid scope selector operator", s.Operator)
	}
	r, err := labels.NewRequirement(string(s.ScopeName), op, s.Values)
	if err != nil {
		return false, err
	}
	if len(values) == 0 {
		return r.Matches(labels.Set{}), nil
	}
	for _, v := range values {
		if r.Matches(labels.Set{string(s.ScopeName): v}) {
			return true, nil
		}
	}
	return false, nil
}

// countOf is the name by which the number of objects of a resource is limited.
func countOf(r schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName("count/" + r.String())
}

// evaluatorOf returns the evaluator of a resource; nil where quota is not charged.
func (q *ResourceQuota) evaluatorOf(ctx context.Context, r schema.GroupResource) *evaluator {
	switch r {
	case schema.GroupResource{Resource: "pods"}:
		return q.pods()
	case schema.GroupResource{Resource: "services"}:
		return services()
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return volumeClaims()
	case schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}:
		return q.deviceClaims(ctx)
	case schema.GroupResource{Resource: "bindings"}, schema.GroupResource{Resource: "componentstatuses"},
		schema.GroupResource{Resource: "events"}, schema.GroupResource{Group: "events.k8s.io", Resource: "events"}:
		return nil
	}
	if r.Group == "authentication.k8s.io" || (r.Group == "authorization.k8s.io" && strings.HasSuffix(r.Resource, "reviews")) {
		return nil
	}
	return counted(r)
}

// counted charges for the number of objects, for some of the core group also under the name that came before.
func counted(r schema.GroupResource) *evaluator {
	list := []corev1.ResourceName{countOf(r)}
	switch r {
	case schema.GroupResource{Resource: "configmaps"}, schema.GroupResource{Resource: "resourcequotas"},
		schema.GroupResource{Resource: "replicationcontrollers"}, schema.GroupResource{Resource: "secrets"}:
		list = append(list, corev1.ResourceName(r.Resource))
	}
	return &evaluator{
		touches:  func(a *admission.Attributes) bool { return a.Subresource == "" && a.Operation == admission.Create },
		measures: oneOf(list...),
		usage: func(runtime.Object) (amounts, error) {
			used := amounts{}
			for _, name := range list {
				used[name] = count(1)
			}
			return used, nil
		},
	}
}

// oneOf tells the names.
func oneOf(list ...corev1.ResourceName) func(corev1.ResourceName) bool {
	return func(name corev1.ResourceName) bool {
		for _, n := range list {
			if n == name {
				return true
			}
		}
		return false
	}
}

// as is the object as what the resource holds.
func as[T runtime.Object](o runtime.Object) (T, error) {
	typed, ok := o.(T)
	if !ok {
		return typed, fmt.Errorf("quota: %T where a %T is charged", o, typed)
	}
	return typed, nil
}
