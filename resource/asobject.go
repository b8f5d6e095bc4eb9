package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
)

// asObject is the options as the object that admission policies and webhooks are shown. A patch is shown as the create or update that it is.
func (o WriteOptions) asObject(op admission.Operation) runtime.Object {
	var dryRun []string
	if o.DryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	kind := func(name string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: name}
	}
	validation := string(o.Validation)
	if o.Validation == ValidationWarn {
		validation = "" // The default is not shown.
	}
	if op == admission.Create {
		return &metav1.CreateOptions{TypeMeta: kind("CreateOptions"), DryRun: dryRun, FieldManager: o.FieldManager, FieldValidation: validation}
	}
	return &metav1.UpdateOptions{TypeMeta: kind("UpdateOptions"), DryRun: dryRun, FieldManager: o.FieldManager, FieldValidation: validation}
}

// deleteOptions are those of a deletion with their kind.
func deleteOptions(o metav1.DeleteOptions) runtime.Object {
	o.TypeMeta = metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: "DeleteOptions"}
	return &o
}
