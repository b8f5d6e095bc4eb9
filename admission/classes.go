package admission

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// Classes finds the classes that objects are of. The objects are not changed by the caller.
type Classes interface {
	// StorageClasses and IngressClasses return all of them in any order.
	StorageClasses(ctx context.Context) ([]*storagev1.StorageClass, error)
	IngressClasses(ctx context.Context) ([]*networkingv1.IngressClass, error)
}

// DefaultStorageClass gives claims that do not say the storage class that is marked as the default. It is a Mutator and does what the
// plugin of that name does in kube-apiserver.
type DefaultStorageClass struct {
	// Classes is required.
	Classes Classes
}

// The annotations by which a storage class is the default. The second is the older.
const (
	annotationDefaultClass     = "storageclass.kubernetes.io/is-default-class"
	annotationDefaultClassBeta = "storageclass.beta.kubernetes.io/is-default-class"
)

// Mutate sets spec.storageClassName of new claims. An empty one says that there is to be none.
func (d DefaultStorageClass) Mutate(ctx context.Context, a *Attributes) error {
	if !a.Concerns("", "persistentvolumeclaims") || a.Operation != Create {
		return nil
	}
	claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
	if !ok {
		return a.Undecoded()
	}
	if _, older := claim.Annotations[corev1.BetaStorageClassAnnotation]; older || claim.Spec.StorageClassName != nil {
		return nil
	}
	list, err := d.Classes.StorageClasses(ctx)
	if err != nil {
		return api.ToError(err)
	}
	var chosen newest
	for _, c := range list {
		if c.Annotations[annotationDefaultClass] == "true" || c.Annotations[annotationDefaultClassBeta] == "true" {
			chosen.consider(c)
		}
	}
	claim.Spec.StorageClassName = chosen.name
	return nil
}

// DefaultIngressClass gives ingresses that do not say the class that is marked as the default. It is a Mutator and does what the
// plugin of that name does in kube-apiserver.
type DefaultIngressClass struct {
	// Classes is required.
	Classes Classes
}

// annotationIngressClass named the class of an ingress before there was a field for it.
const annotationIngressClass = "kubernetes.io/ingress.class"

// Mutate sets spec.ingressClassName of new ingresses.
func (d DefaultIngressClass) Mutate(ctx context.Context, a *Attributes) error {
	if !a.Concerns(networkingv1.GroupName, "ingresses") || a.Operation != Create {
		return nil
	}
	ingress, ok := a.Object.(*networkingv1.Ingress)
	if !ok {
		return a.Undecoded()
	}
	if _, older := ingress.Annotations[annotationIngressClass]; older || ingress.Spec.IngressClassName != nil {
		return nil
	}
	list, err := d.Classes.IngressClasses(ctx)
	if err != nil {
		return api.ToError(err)
	}
	var chosen newest
	for _, c := range list {
		if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			chosen.consider(c)
		}
	}
	ingress.Spec.IngressClassName = chosen.name
	return nil
}

// newest chooses among several defaults: the one created last, of those the one whose name comes first.
type newest struct {
	name *string // nil for none yet
	at   time.Time
}

func (n *newest) consider(o metav1.Object) {
	name, at := o.GetName(), o.GetCreationTimestamp().Time
	if n.name == nil || at.After(n.at) || (at.Equal(n.at) && name < *n.name) {
		n.name, n.at = &name, at
	}
}

// PersistentVolumeClaimResize lets claims grow only if they are bound and their storage class allows it. It is a Validator and
// decides like the plugin of that name in kube-apiserver.
type PersistentVolumeClaimResize struct {
	// Classes is required.
	Classes Classes
}

// Validate refuses updates of claims with 403.
func (r PersistentVolumeClaimResize) Validate(ctx context.Context, a *Attributes) error {
	if !a.Concerns("", "persistentvolumeclaims") || a.Operation != Update {
		return nil
	}
	claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
	old, had := a.OldObject.(*corev1.PersistentVolumeClaim)
	if !ok || !had {
		return a.Undecoded()
	}
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if size.Cmp(old.Spec.Resources.Requests[corev1.ResourceStorage]) <= 0 {
		return nil
	}
	if old.Status.Phase != corev1.ClaimBound {
		//lint:ignore ST1005 clients know the message as it is
		return a.Forbidden(errors.New("Only bound persistent volume claims can be expanded"))
	}
	list, err := r.Classes.StorageClasses(ctx)
	if err != nil {
		return api.ToError(err)
	}
	name := storageClassOf(claim)
	for _, c := range list {
		if c.Name == name && storageClassOf(old) == name && c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion {
			return nil
		}
	}
	return a.Forbidden(errors.New("only dynamically provisioned pvc can be resized and " +
		"the storageclass that provisions the pvc must support resize"))
}

// storageClassOf is the name of the claim's class, empty for none: the annotation comes before the field.
func storageClassOf(claim *corev1.PersistentVolumeClaim) string {
	if class, ok := claim.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName
	}
	return ""
}
