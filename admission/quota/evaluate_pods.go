package quota

import (
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse/gatehouse/admission"
)

// pods charges for what pods ask for and may take, as long as they are not over.
func (q *ResourceQuota) pods() *evaluator {
	known := oneOf(
		countOf(schema.GroupResource{Resource: "pods"}), corev1.ResourcePods,
		corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU,
		corev1.ResourceMemory, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory,
		corev1.ResourceEphemeralStorage, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage,
	)
	return &evaluator{
		touches: touchesPod,
		measures: func(name corev1.ResourceName) bool {
			return known(name) || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) ||
				strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix) || limitsExtended(name)
		},
		usage:   func(o runtime.Object) (amounts, error) { return podUsage(o, q.now()) },
		matches: podMatches,
		demands: demandsOfPod,
	}
}

func touchesPod(a *admission.Attributes) bool {
	switch {
	case a.Subresource == "resize":
		return a.Operation == admission.Update
	case a.Subresource != "":
		return false
	case a.Operation == admission.Create:
		return true
	}
	pod, ok := a.Object.(*corev1.Pod)
	old, had := a.OldObject.(*corev1.Pod)
	return a.Operation == admission.Update && ok && had && bounded(pod) != bounded(old) // it changes its scope
}

// bounded tells pods that end by themselves at a time.
func bounded(pod *corev1.Pod) bool {
	return pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
}

// limitsExtended tells the names by which extended resources are limited. They have no limits above the requests, so only those can be.
func limitsExtended(name corev1.ResourceName) bool {
	rest, ok := strings.CutPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
	return ok && (!native(string(name)) || strings.HasPrefix(rest, resourcev1.ResourceDeviceClassPrefix))
}

// native tells the names of Kubernetes' own resources.
func native(name string) bool {
	return !strings.Contains(name, "/") || strings.Contains(name, corev1.ResourceDefaultNamespacePrefix)
}

// extended tells the names of resources that are charged as extended ones.
func extended(name string) bool {
	if strings.HasPrefix(name, resourcev1.ResourceDeviceClassPrefix) {
		return true
	}
	return !native(name) && !strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+name)) == 0
}

// podUsage is the count alone for pods that are over, or should have been for as long as they were given to stop: whose node is
// lost cannot be helped.
func podUsage(o runtime.Object, now time.Time) (amounts, error) {
	pod, err := as[*corev1.Pod](o)
	if err != nil {
		return nil, err
	}
	used := amounts{countOf(schema.GroupResource{Resource: "pods"}): count(1)}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return used, nil
	}
	if pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil &&
		now.After(pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds)*time.Second)) {
		return used, nil
	}
	addTo(used, chargesFor(podRequests(pod), podLimits(pod)))
	return used, nil
}

// chargesFor puts requests and limits under the names by which quotas limit them.
func chargesFor(requests, limits amounts) amounts {
	used := amounts{corev1.ResourcePods: count(1)}
	for name, q := range requests {
		key := corev1.ResourceName(corev1.DefaultResourceRequestsPrefix + string(name))
		switch {
		case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage,
			strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			used[name], used[key] = q.DeepCopy(), q.DeepCopy()
		case extended(string(name)):
			used[key] = q.DeepCopy()
		}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := limits[name]; ok {
			used["limits."+name] = q.DeepCopy()
		}
	}
	return used
}

// demandsOfPod refuses containers that leave open how much of a limited resource they need, unless the pod says it for all of them.
func demandsOfPod(limited []corev1.ResourceName, o runtime.Object) error {
	pod, ok := o.(*corev1.Pod)
	if !ok || setsResources(pod) {
		return nil // What is no pod is refused when its usage is asked for.
	}
	mustBeSet := oneOf(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory)
	var missing []string
	for _, name := range limited { // which are sorted
		if !mustBeSet(name) {
			continue
		}
		var in []string
		for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
			if _, ok := chargesFor(c.Resources.Requests, c.Resources.Limits)[name]; !ok {
				in = append(in, c.Name)
			}
		}
		if slices.Sort(in); len(in) > 0 {
			missing = append(missing, string(name)+" for: "+strings.Join(slices.Compact(in), ","))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errors.New("must specify " + strings.Join(missing, "; "))
}
