package quota

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
)

// services charges for services, and for what of the outside world they take: node ports and load balancers.
func services() *evaluator {
	number := countOf(schema.GroupResource{Resource: "services"})
	return &evaluator{
		touches:  func(a *admission.Attributes) bool { return a.Subresource == "" && a.Writes() },
		measures: oneOf(number, corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers),
		usage: func(o runtime.Object) (amounts, error) {
			svc, err := as[*corev1.Service](o)
			if err != nil {
				return nil, err
			}
			ports, balancers := int64(0), int64(0)
			switch svc.Spec.Type {
			case corev1.ServiceTypeNodePort:
				ports = int64(len(svc.Spec.Ports))
			case corev1.ServiceTypeLoadBalancer:
				ports, balancers = balancedPorts(svc), 1
			}
			return amounts{
				number: count(1), corev1.ResourceServices: count(1),
				corev1.ResourceServicesNodePorts: count(ports), corev1.ResourceServicesLoadBalancers: count(balancers),
			}, nil
		},
	}
}

// balancedPorts is how many node ports a load balancer takes: all, or those that the service asks for if none are allocated.
func balancedPorts(svc *corev1.Service) (ports int64) {
	if allocate := svc.Spec.AllocateLoadBalancerNodePorts; allocate == nil || *allocate {
		return int64(len(svc.Spec.Ports))
	}
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			ports++
		}
	}
	return ports
}

// ofStorageClass is between the name of a storage class and what is limited for it.
const ofStorageClass = ".storageclass.storage.k8s.io/"

// volumeClaims charges for claims and the storage that they ask for, in all and for each storage class.
func volumeClaims() *evaluator {
	number := countOf(schema.GroupResource{Resource: "persistentvolumeclaims"})
	return &evaluator{
		touches: func(a *admission.Attributes) bool {
			// The status says how much has been given, and which attributes a volume has by now.
			return a.Writes() && (a.Subresource == "" || a.Subresource == "status")
		},
		measures: func(name corev1.ResourceName) bool {
			if name == number || name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage {
				return true
			}
			return strings.HasSuffix(string(name), ofStorageClass+string(corev1.ResourcePersistentVolumeClaims)) ||
				strings.HasSuffix(string(name), ofStorageClass+string(corev1.ResourceRequestsStorage))
		},
		usage: func(o runtime.Object) (amounts, error) {
			claim, err := as[*corev1.PersistentVolumeClaim](o)
			if err != nil {
				return nil, err
			}
			return volumeClaimUsage(claim, number), nil
		},
		matches: volumeClaimMatches,
	}
}

func volumeClaimUsage(claim *corev1.PersistentVolumeClaim, number corev1.ResourceName) amounts {
	used := amounts{number: count(1), corev1.ResourcePersistentVolumeClaims: count(1)}
	class := storageClassOf(claim)
	prefix := corev1.ResourceName(class + ofStorageClass)
	if class != "" {
		used[prefix+corev1.ResourcePersistentVolumeClaims] = count(1)
	}
	asked, ok := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		return used
	}
	if given, ok := claim.Status.AllocatedResources[corev1.ResourceStorage]; ok && given.Cmp(wholeBytes(asked)) > 0 {
		asked = given
	}
	used[corev1.ResourceRequestsStorage] = wholeBytes(asked)
	if class != "" {
		used[prefix+corev1.ResourceRequestsStorage] = wholeBytes(asked)
	}
	return used
}

// wholeBytes rounds up, as a quota cannot hold parts of bytes.
func wholeBytes(q resource.Quantity) resource.Quantity {
	rounded := q.DeepCopy()
	if rounded.RoundUp(0) {
		return q.DeepCopy()
	}
	return rounded
}

// storageClassOf is the name of the claim's class: the annotation comes before the field.
func storageClassOf(claim *corev1.PersistentVolumeClaim) string {
	if class, ok := claim.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName
	}
	return ""
}

// volumeClaimMatches reports whether the claim is in the scope: the one for claims goes by the volume attributes classes that it has,
// is getting or wants.
func volumeClaimMatches(s selector, o runtime.Object) (bool, error) {
	claim, err := as[*corev1.PersistentVolumeClaim](o)
	if err != nil || s.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass {
		return false, err
	}
	var classes []string
	for _, name := range []*string{claim.Spec.VolumeAttributesClassName, claim.Status.CurrentVolumeAttributesClassName} {
		if name != nil && *name != "" {
			classes = append(classes, *name)
		}
	}
	if m := claim.Status.ModifyVolumeStatus; m != nil && m.TargetVolumeAttributesClassName != "" {
		classes = append(classes, m.TargetVolumeAttributesClassName)
	}
	if s.Operator == corev1.ScopeSelectorOpExists {
		return len(classes) > 0, nil
	}
	return selects(s, classes...)
}
