package extension

import (
	"maps"
	"reflect"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultErrors holds the defaults in a structural schema against the schema. Those below metadata, which would have to be completed to whole
// metadata first, are left alone; defaults in additionalProperties are refused elsewhere.
func (d definition) defaultErrors(s *schema.Structural, root bool, at *field.Path) (errs field.ErrorList) {
	if value := s.Default.Object; value != nil {
		errs = d.defaultError(s, value, root || s.XEmbeddedResource, at.Child("default"))
	}
	if s.Items != nil {
		errs = append(errs, d.defaultErrors(s.Items, false, at.Child("items"))...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		if (root || s.XEmbeddedResource) && (name == "metadata" || name == "apiVersion" || name == "kind") {
			continue
		}
		errs = append(errs, d.defaultErrors(&property, false, at.Child("properties").Key(name))...)
	}
	return errs
}

func (d definition) defaultError(s *schema.Structural, value any, root bool, at *field.Path) (errs field.ErrorList) {
	if !d.unpruned && !pruned(s, value, root) {
		errs = field.ErrorList{field.Invalid(at, value, "must not have unknown fields")}
	}
	return append(errs, validation.ValidateCustomResource(at, value, validation.NewSchemaValidatorFromOpenAPI(s.ToKubeOpenAPI()))...)
}

// pruned reports whether a default has no more fields than its schema.
func pruned(s *schema.Structural, value any, root bool) bool {
	kept := runtime.DeepCopyJSONValue(value)
	pruning.Prune(kept, s, root)
	return reflect.DeepEqual(kept, value)
}

// unprunedDefaults reports whether a schema has a default with fields that the schema does not have.
func unprunedDefaults(root *apiextensions.JSONSchemaProps) bool {
	return anywhere(root, func(props *apiextensions.JSONSchemaProps) bool {
		if props.Default == nil {
			return false
		}
		s, err := schema.NewStructural(props)
		return err == nil && s.Default.Object != nil && !pruned(s, s.Default.Object, s.XEmbeddedResource)
	})
}
