package extension

import (
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// tolerance is what earlier releases accepted of the stored definition, and what an update may therefore keep.
type tolerance struct {
	structural     bool            // every schema must be structural
	schemaless     bool            // versions may be without a schema
	anyType        bool            // types need not be those of OpenAPI
	sharedItems    bool            // items of sets need not be atomic
	unpruned       bool            // defaults may have fields that the schema does not have
	looseKeys      bool            // keys of maps may be optional, and items null
	unknownReviews bool            // no version of conversion reviews needs to be known
	manyFields     map[string]bool // versions that may have too many selectable fields; empty is for all
}

func toleranceFor(old *apiextensions.CustomResourceDefinition) tolerance {
	if old == nil {
		return tolerance{structural: true}
	}
	was := definition{CustomResourceDefinitionSpec: &old.Spec}
	return tolerance{
		structural:     !was.hasSchema(isLoose),
		schemaless:     was.lacksSchema(),
		anyType:        was.hasSchema(hasUnknownType),
		sharedItems:    was.hasSchema(func(s *apiextensions.JSONSchemaProps) bool { return anywhere(s, hasSharedItems) }),
		unpruned:       was.hasSchema(unprunedDefaults),
		looseKeys:      was.hasSchema(func(s *apiextensions.JSONSchemaProps) bool { return anywhere(s, hasLooseKeys) }),
		unknownReviews: knowsNoReview(old.Spec.Conversion),
		manyFields:     tooManyFields(&old.Spec),
	}
}

func knowsNoReview(v *apiextensions.CustomResourceConversion) bool {
	return v != nil && len(v.ConversionReviewVersions) > 0 && !hasKnownVersion(v.ConversionReviewVersions)
}

// tooManyFields names the versions that have more selectable fields than are allowed today.
func tooManyFields(spec *apiextensions.CustomResourceDefinitionSpec) map[string]bool {
	many := map[string]bool{"": len(spec.SelectableFields) > maxSelectableFields}
	for _, v := range spec.Versions {
		many[v.Name] = len(v.SelectableFields) > maxSelectableFields
	}
	return many
}

// lacksSchema reports whether there is a version without a schema.
func (d definition) lacksSchema() bool {
	if d.Validation != nil && d.Validation.OpenAPIV3Schema != nil {
		return false
	}
	for _, v := range d.Versions {
		if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			return true
		}
	}
	return false
}

// hasSchema reports whether any schema of the definition is such. What is asked about is the root of a schema.
func (d definition) hasSchema(such func(root *apiextensions.JSONSchemaProps) bool) bool {
	if d.Validation != nil && d.Validation.OpenAPIV3Schema != nil && such(d.Validation.OpenAPIV3Schema) {
		return true
	}
	for _, v := range d.Versions {
		if v.Schema != nil && v.Schema.OpenAPIV3Schema != nil && such(v.Schema.OpenAPIV3Schema) {
			return true
		}
	}
	return false
}

// isLoose reports whether a schema is not structural.
func isLoose(root *apiextensions.JSONSchemaProps) bool {
	s, err := schema.NewStructural(root)
	return err != nil || len(schema.ValidateStructural(nil, s)) > 0
}

func hasUnknownType(root *apiextensions.JSONSchemaProps) bool {
	return anywhere(root, func(s *apiextensions.JSONSchemaProps) bool { return s.Type != "" && !isType(s.Type) })
}

func hasDefault(root *apiextensions.JSONSchemaProps) bool {
	return anywhere(root, func(s *apiextensions.JSONSchemaProps) bool { return s.Default != nil })
}

// hasExtension reports whether a schema says anything that only Kubernetes understands.
func hasExtension(root *apiextensions.JSONSchemaProps) bool {
	return anywhere(root, func(s *apiextensions.JSONSchemaProps) bool {
		return s.XEmbeddedResource || s.XPreserveUnknownFields != nil || s.XIntOrString || len(s.XListMapKeys) > 0 || s.XListType != nil ||
			len(s.XValidations) > 0
	})
}

// anywhere reports whether a schema or any schema in it is such.
func anywhere(s *apiextensions.JSONSchemaProps, such func(s *apiextensions.JSONSchemaProps) bool) bool {
	if s == nil {
		return false
	}
	if such(s) {
		return true
	}
	for _, child := range children(s) {
		if anywhere(child, such) {
			return true
		}
	}
	return false
}

// children are the schemas directly in a schema.
func children(s *apiextensions.JSONSchemaProps) (all []*apiextensions.JSONSchemaProps) {
	add := func(more ...apiextensions.JSONSchemaProps) {
		for i := range more {
			all = append(all, &more[i])
		}
	}
	if s.Items != nil {
		all = append(all, s.Items.Schema)
		add(s.Items.JSONSchemas...)
	}
	add(s.AllOf...)
	add(s.AnyOf...)
	add(s.OneOf...)
	all = append(all, s.Not)
	for _, named := range []map[string]apiextensions.JSONSchemaProps{s.Properties, s.PatternProperties, s.Definitions} {
		for _, child := range named {
			add(child)
		}
	}
	if s.AdditionalProperties != nil {
		all = append(all, s.AdditionalProperties.Schema)
	}
	if s.AdditionalItems != nil {
		all = append(all, s.AdditionalItems.Schema)
	}
	for _, d := range s.Dependencies {
		all = append(all, d.Schema)
	}
	return all
}
