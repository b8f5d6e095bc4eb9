package fieldmanager

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// ScaleRecord says who owns the replicas of a Scale, from the record of the object that it is of.
func ScaleRecord(parent []metav1.ManagedFieldsEntry, version runtimeschema.GroupVersion) ([]metav1.ManagedFieldsEntry, error) {
	record, err := scaleHandler(parent, version).ToSubresource()
	if err != nil {
		return nil, fmt.Errorf("owners of the replicas: %w", err)
	}
	return record, nil
}

// ParentRecord brings the owners of a changed Scale back into the record of the object that it is of.
func ParentRecord(parent, scale []metav1.ManagedFieldsEntry, version runtimeschema.GroupVersion) ([]metav1.ManagedFieldsEntry, error) {
	record, err := scaleHandler(parent, version).ToParent(scale)
	if err != nil {
		return nil, fmt.Errorf("owners of the replicas: %w", err)
	}
	return record, nil
}

// scaleHandler finds the replicas where every scalable kind has had them in each of its versions.
func scaleHandler(parent []metav1.ManagedFieldsEntry, version runtimeschema.GroupVersion) *managedfields.ScaleHandler {
	replicas := fieldpath.MakePathOrDie("spec", "replicas")
	paths := managedfields.ResourcePathMappings{version.String(): replicas}
	if version.Group == "apps" {
		paths["apps/v1beta1"], paths["apps/v1beta2"] = replicas, replicas
	}
	return managedfields.NewScaleHandler(parent, version, paths)
}
