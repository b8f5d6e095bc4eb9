package admission_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
)

// classes are storage and ingress classes of one metadata.
type classes []metav1.ObjectMeta

func (c classes) StorageClasses(context.Context) (list []*storagev1.StorageClass, err error) {
	for _, m := range c {
		grows := m.Labels["grows"] == "yes"
		list = append(list, &storagev1.StorageClass{ObjectMeta: m, AllowVolumeExpansion: &grows})
	}
	return list, nil
}

func (c classes) IngressClasses(context.Context) (list []*networkingv1.IngressClass, err error) {
	for _, m := range c {
		list = append(list, &networkingv1.IngressClass{ObjectMeta: m})
	}
	return list, nil
}

// meta is a class created at the second, with an annotation that is true.
func meta(name string, second int64, annotation string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: time.Unix(second, 0)}, Annotations: map[string]string{annotation: "true"}}
}

// creates is the attributes of a create of an object.
func creates(t *testing.T, group, plural string, o runtime.Object) *admission.Attributes {
	t.Helper()
	a := podAttributes(t, "default")
	a.Resource, a.Object = schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}, o
	return a
}

func TestDefaultClasses(t *testing.T) {
	const storage, beta, ingress = "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class", "ingressclass.kubernetes.io/is-default-class"
	for name, test := range map[string]struct {
		classes     classes
		annotations map[string]string // of claim and ingress
		has         *string
		want        *string // of both
	}{
		"none is the default":    {classes{meta("a", 1, "x")}, nil, nil, nil},
		"the newest":             {classes{meta("a", 1, storage), meta("b", 2, storage), meta("a", 1, ingress), meta("b", 2, ingress)}, nil, nil, ptr("b")},
		"of those the first":     {classes{meta("b", 1, storage), meta("a", 1, beta), meta("b", 1, ingress), meta("a", 1, ingress)}, nil, nil, ptr("a")},
		"it says that itself":    {classes{meta("a", 1, storage), meta("a", 1, ingress)}, nil, ptr(""), ptr("")},
		"it says that as once":   {classes{meta("a", 1, storage), meta("a", 1, ingress)}, map[string]string{corev1.BetaStorageClassAnnotation: "", "kubernetes.io/ingress.class": "x"}, nil, nil},
		"not true is not enough": {classes{{Name: "a", Annotations: map[string]string{storage: "yes", ingress: "yes"}}}, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Annotations: test.annotations}}
			claim.Spec.StorageClassName = test.has
			in := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Annotations: test.annotations}}
			in.Spec.IngressClassName = test.has
			if err := (admission.DefaultStorageClass{Classes: test.classes}).Mutate(t.Context(), creates(t, "", "persistentvolumeclaims", claim)); err != nil {
				t.Fatal(err)
			}
			if err := (admission.DefaultIngressClass{Classes: test.classes}).Mutate(t.Context(), creates(t, networkingv1.GroupName, "ingresses", in)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, claim.Spec.StorageClassName); diff != "" {
				t.Errorf("claim: %s", diff)
			}
			if diff := cmp.Diff(test.want, in.Spec.IngressClassName); diff != "" {
				t.Errorf("ingress: %s", diff)
			}
		})
	}
}

func TestClaimsGrowWhereTheyMay(t *testing.T) {
	const forbidden = `persistentvolumeclaims "web" is forbidden: `
	const unsupported = forbidden + "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
	list := classes{{Name: "fixed"}, {Name: "grows", Labels: map[string]string{"grows": "yes"}}}
	claim := func(class, size string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}
		c.Spec.StorageClassName = &class
		c.Spec.Resources.Requests = corev1.ResourceList{"storage": resource.MustParse(size)}
		return c
	}
	for name, test := range map[string]struct {
		old, now *corev1.PersistentVolumeClaim
		message  string
	}{
		"grows":           {claim("grows", "1Gi", "Bound"), claim("grows", "2Gi", "Bound"), ""},
		"stays":           {claim("fixed", "1Gi", "Bound"), claim("fixed", "1024Mi", "Bound"), ""},
		"not bound":       {claim("grows", "1Gi", "Pending"), claim("grows", "2Gi", "Pending"), forbidden + "Only bound persistent volume claims can be expanded"},
		"fixed":           {claim("fixed", "1Gi", "Bound"), claim("fixed", "2Gi", "Bound"), unsupported},
		"no class":        {claim("", "1Gi", "Bound"), claim("", "2Gi", "Bound"), unsupported},
		"class is gone":   {claim("x", "1Gi", "Bound"), claim("x", "2Gi", "Bound"), unsupported},
		"another's class": {claim("fixed", "1Gi", "Bound"), claim("grows", "2Gi", "Bound"), unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			a := creates(t, "", "persistentvolumeclaims", test.now)
			a.Operation, a.OldObject = admission.Update, test.old
			if _, message := refusal(t, admission.PersistentVolumeClaimResize{Classes: list}.Validate(t.Context(), a)); message != test.message {
				t.Errorf("got  %s\nwant %s", message, test.message)
			}
		})
	}
}

// TestNewObjectsAreProtected guards against a finalizer that is missing, there twice, or put back by an update after a controller took it.
func TestNewObjectsAreProtected(t *testing.T) {
	for name, test := range map[string]struct {
		plural, group string
		has, want     []string
		op            admission.Operation
		subresource   string
	}{
		"volume":           {"persistentvolumes", "", nil, []string{"kubernetes.io/pv-protection"}, admission.Create, ""},
		"claim":            {"persistentvolumeclaims", "", []string{"x/y"}, []string{"x/y", "kubernetes.io/pvc-protection"}, admission.Create, ""},
		"attributes class": {"volumeattributesclasses", "storage.k8s.io", nil, []string{"kubernetes.io/vac-protection"}, admission.Create, ""},
		"has it":           {"persistentvolumes", "", []string{"kubernetes.io/pv-protection"}, []string{"kubernetes.io/pv-protection"}, admission.Create, ""},
		"update":           {"persistentvolumes", "", nil, nil, admission.Update, ""},
		"something else":   {"secrets", "", nil, nil, admission.Create, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Finalizers: test.has}}
			a := creates(t, test.group, test.plural, o)
			a.Operation, a.Subresource = test.op, test.subresource
			if err := (admission.StorageObjectInUseProtection{}).Mutate(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, o.Finalizers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewNodesAreTainted(t *testing.T) {
	taint := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}
	other := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoExecute}
	for name, test := range map[string]struct {
		has, want []corev1.Taint
		op        admission.Operation
	}{
		"without":        {nil, []corev1.Taint{taint}, admission.Create},
		"another effect": {[]corev1.Taint{other}, []corev1.Taint{other, taint}, admission.Create},
		"tainted":        {[]corev1.Taint{taint, other}, []corev1.Taint{taint, other}, admission.Create},
		"update":         {nil, nil, admission.Update},
	} {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{Spec: corev1.NodeSpec{Taints: test.has}}
			a := creates(t, "", "nodes", node)
			a.Operation = test.op
			if err := (admission.TaintNodesByCondition{}).Mutate(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, node.Spec.Taints); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMissingNamespaceIsToldFirst checks that the namespace is looked at before what is in it, and only once.
func TestMissingNamespaceIsToldFirst(t *testing.T) {
	l := admission.NamespaceLifecycle{Namespaces: cluster()}
	if code, _ := refusal(t, l.Mutate(t.Context(), podAttributes(t, "nosuch"))); code != 404 {
		t.Errorf("code %d", code)
	}
	a := podAttributes(t, "default")
	if err := l.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	unreadable := admission.NamespaceLifecycle{}
	if err := unreadable.Validate(t.Context(), a); err != nil {
		t.Error(err)
	}
}
