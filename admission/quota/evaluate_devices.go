package quota

import (
	"context"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
)

// deviceClaims charges for claims of devices by their class, at the worst, and under the names of the extended resources by which
// pods can ask for the same devices. The classes are read when they are first asked for.
func (q *ResourceQuota) deviceClaims(ctx context.Context) *evaluator {
	number := countOf(schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"})
	classes := sync.OnceValues(func() (map[string]string, error) { return q.extendedNames(ctx) })
	return &evaluator{
		touches: func(a *admission.Attributes) bool { return a.Subresource == "" && a.Writes() },
		measures: func(name corev1.ResourceName) bool {
			if name == number || strings.HasSuffix(string(name), corev1.ResourceClaimsPerClass) {
				return true
			}
			if !limitsExtended(name) {
				return false
			}
			known, _ := classes() // an error is found by the usage
			if class, ok := strings.CutPrefix(string(name), corev1.ResourceImplicitExtendedClaimsPerClass); ok {
				_, exists := known[class]
				return exists
			}
			for _, extended := range known {
				if corev1.DefaultResourceRequestsPrefix+extended == string(name) {
					return true
				}
			}
			return false
		},
		usage: func(o runtime.Object) (amounts, error) {
			claim, err := as[*resourcev1.ResourceClaim](o)
			if err != nil {
				return nil, err
			}
			known, err := classes()
			if err != nil {
				return nil, err
			}
			devices := devicesOf(claim)
			used := sumOf(amounts{number: count(1)}, devices)
			addTo(used, q.beyondPod(ctx, claim, devices, known))
			return used, nil
		},
	}
}

// extendedNames maps all device classes to the extended resources that stand for them by their own choice, or to nothing.
func (q *ResourceQuota) extendedNames(ctx context.Context) (map[string]string, error) {
	list, err := q.objects.DeviceClasses(ctx)
	byClass := map[string]string{}
	for _, c := range list {
		byClass[c.Name] = ""
		if c.Spec.ExtendedResourceName != nil {
			byClass[c.Name] = *c.Spec.ExtendedResourceName
		}
	}
	return byClass, err
}

// devicesOf counts by class. A request with alternatives counts for each class as the largest of them.
func devicesOf(claim *resourcev1.ResourceClaim) amounts {
	used := amounts{}
	for _, r := range claim.Spec.Devices.Requests {
		one := amounts{}
		switch {
		case len(r.FirstAvailable) > 0:
			for _, s := range r.FirstAvailable {
				raiseTo(one, ofClass(s.DeviceClassName, s.AllocationMode, s.Count))
			}
			for name, n := range one {
				if n.Sign() <= 0 {
					delete(one, name)
				}
			}
		case r.Exactly != nil:
			one = ofClass(r.Exactly.DeviceClassName, r.Exactly.AllocationMode, r.Exactly.Count)
		}
		addTo(used, one)
	}
	return used
}

func ofClass(class string, mode resourcev1.DeviceAllocationMode, n int64) amounts {
	switch mode {
	case resourcev1.DeviceAllocationModeExactCount:
	case resourcev1.DeviceAllocationModeAll:
		n = resourcev1.AllocationResultsMaxSize
	default:
		n = 0
	}
	return amounts{corev1.ResourceName(class + corev1.ResourceClaimsPerClass): count(n)}
}

// beyondPod is what the devices are charged for as extended resources, less what the pod that the claim was made for is charged already.
func (q *ResourceQuota) beyondPod(ctx context.Context, claim *resourcev1.ResourceClaim, devices amounts, classes map[string]string) amounts {
	more := amounts{}
	for name, n := range devices {
		class := strings.TrimSuffix(string(name), corev1.ResourceClaimsPerClass)
		if class == "" {
			continue
		}
		more[corev1.ResourceName(corev1.ResourceImplicitExtendedClaimsPerClass+class)] = n
		if extended := classes[class]; extended != "" {
			more[corev1.ResourceName(corev1.DefaultResourceRequestsPrefix+extended)] = n
		}
	}
	return growth(more, q.chargedToPod(ctx, claim))
}

// chargedToPod is what the pod is charged that the scheduler made the claim for; nothing unless pod and claim know one another.
func (q *ResourceQuota) chargedToPod(ctx context.Context, claim *resourcev1.ResourceClaim) amounts {
	owner := podOf(claim)
	if owner == nil {
		return nil
	}
	pod, found, err := q.objects.Pod(ctx, claim.Namespace, owner.Name)
	if err != nil || !found || pod.UID != owner.UID {
		return nil
	}
	if s := pod.Status.ExtendedResourceClaimStatus; s != nil && s.ResourceClaimName != claim.Name {
		return nil
	} else if s == nil && !q.isFirst(ctx, claim, owner) {
		return nil
	}
	used, err := podUsage(pod, q.now())
	if err != nil {
		return nil
	}
	return used
}

// podOf is the pod that the claim was made for, nil for a claim that was not.
func podOf(claim *resourcev1.ResourceClaim) *metav1.OwnerReference {
	owner := metav1.GetControllerOfNoCopy(claim)
	if claim.Annotations[resourcev1.ExtendedResourceClaimAnnotation] != "true" || owner == nil || owner.Kind != "Pod" || owner.APIVersion != "v1" {
		return nil
	}
	return owner
}

// isFirst reports whether no claim was made for the pod before this one: only one can be charged less.
func (q *ResourceQuota) isFirst(ctx context.Context, claim *resourcev1.ResourceClaim, owner *metav1.OwnerReference) bool {
	list, err := q.objects.ResourceClaims(ctx, claim.Namespace)
	if err != nil {
		return false
	}
	for _, other := range list {
		if o := podOf(other); o == nil || o.UID != owner.UID {
			continue
		}
		switch c := other.CreationTimestamp.Compare(claim.CreationTimestamp.Time); {
		case c < 0, c == 0 && other.Name < claim.Name:
			return false
		}
	}
	return true
}
