package extension

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// schemaErrors checks the schema of one version, or of all. status says that the status is a subresource, which is then taken out of the schema
// by its property and so must not be bounded by what stands at the root.
func (d definition) schemaErrors(v *apiextensions.CustomResourceValidation, status bool, at *field.Path) (errs field.ErrorList) {
	if v == nil || v.OpenAPIV3Schema == nil {
		return nil
	}
	root := v.OpenAPIV3Schema
	if status {
		errs = rootErrors(root, at)
	}
	if root.Nullable {
		errs = append(errs, field.Forbidden(at.Child("openAPIV3Schema.nullable"), "nullable cannot be true at the root"))
	}
	at = at.Child("openAPIV3Schema")
	var unreadable error
	if d.structural {
		var s *schema.Structural
		if s, unreadable = schema.NewStructural(root); unreadable == nil {
			loose := schema.ValidateStructural(at, s)
			if len(loose) == 0 {
				loose = d.defaultErrors(s, true, at)
			}
			errs = append(errs, loose...)
		}
	}
	errs = append(errs, schemaChecker{tolerance: d.tolerance, root: true}.errors(root, at)...)
	if unreadable != nil && len(errs) == 0 {
		// Mostly the reason has been found already and is told better there.
		errs = append(errs, field.Invalid(at, "", unreadable.Error()))
	}
	return errs
}

// rootErrors refuses at the root what would be lost for the status.
func rootErrors(root *apiextensions.JSONSchemaProps, at *field.Path) field.ErrorList {
	allowed := []string{
		"Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength",
		"Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
		"XPreserveUnknownFields", "XValidations",
	}
	v := reflect.ValueOf(root).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch {
		case v.Field(i).IsZero():
		case name == "Type" && root.Type != "object":
			return field.ErrorList{field.Invalid(at.Child("openAPIV3Schema.type"), root.Type,
				`only "object" is allowed as the type at the root of the schema if the status subresource is enabled`)}
		case !slices.Contains(allowed, name):
			return field.ErrorList{field.Invalid(at.Child("openAPIV3Schema"), *root,
				fmt.Sprintf("only %v fields are allowed at the root of the schema if the status subresource is enabled", allowed))}
		}
	}
	return nil
}

// schemaChecker checks a schema and what is in it.
type schemaChecker struct {
	tolerance
	root       bool   // the schema is that of a whole object
	inMeta     bool   // it is in that of its type or metadata, or in those of an object inside
	noDefaults string // why there may be no defaults; empty where they may be
}

func (k schemaChecker) errors(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	if s == nil {
		return nil
	}
	errs = append(k.unsupported(s, at), k.inside(s, at)...)
	if p := s.XPreserveUnknownFields; p != nil && !*p {
		errs = append(errs, field.Invalid(at.Child("x-kubernetes-preserve-unknown-fields"), *p, "must be true or undefined"))
	}
	errs = append(errs, mapErrors(s, at)...)
	errs = append(errs, k.listErrors(s, at)...)
	errs = append(errs, listMapErrors(s, at)...)
	if !k.looseKeys {
		errs = append(errs, keyErrors(s, at)...)
	}
	return append(errs, ruleErrors(s, at)...)
}

// unsupported refuses what OpenAPI schemas have and those of custom resources do not.
func (k schemaChecker) unsupported(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	if !k.anyType && s.Type != "" && !isType(s.Type) {
		errs = append(errs, field.NotSupported(at.Child("type"), s.Type, []string{"array", "boolean", "integer", "number", "object", "string"}))
	}
	for _, no := range []struct {
		is           bool
		name, detail string
	}{
		{s.Default != nil && k.noDefaults != "", "default", "must not be set " + k.noDefaults},
		{s.ID != "", "id", "id is not supported"},
		{s.AdditionalItems != nil, "additionalItems", "additionalItems is not supported"},
		{len(s.PatternProperties) > 0, "patternProperties", "patternProperties is not supported"},
		{len(s.Definitions) > 0, "definitions", "definitions is not supported"},
		{s.Dependencies != nil, "dependencies", "dependencies is not supported"},
		{s.Ref != nil, "$ref", "$ref is not supported"},
		{s.Type == "null", "type", "type cannot be set to null, use nullable as an alternative"},
		{s.Items != nil && len(s.Items.JSONSchemas) > 0, "items", "items must be a schema object and not an array"},
		{k.inMeta && s.XEmbeddedResource, "x-kubernetes-embedded-resource", "must not be used inside of resource meta"},
		{s.UniqueItems, "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"},
		{closesProperties(s), "additionalProperties", "additionalProperties and properties are mutual exclusive"},
	} {
		if no.is {
			errs = append(errs, field.Forbidden(at.Child(no.name), no.detail))
		}
	}
	return errs
}

// closesProperties reports whether a schema names properties and says what others are, too.
func closesProperties(s *apiextensions.JSONSchemaProps) bool {
	a := s.AdditionalProperties
	return a != nil && len(s.Properties) > 0 && (!a.Allows || a.Schema != nil)
}

func isType(s string) bool {
	return slices.Contains([]string{"array", "boolean", "integer", "number", "object", "string"}, s)
}

// inside checks the schemas in a schema.
func (k schemaChecker) inside(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	isRoot := k.root
	k.root = false
	if a := s.AdditionalProperties; a != nil {
		sub := k
		if k.inMeta {
			sub.noDefaults = "inside additionalProperties applying to object metadata"
		}
		errs = append(errs, sub.errors(a.Schema, at.Child("additionalProperties"))...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		sub := k
		if (isRoot || s.XEmbeddedResource) && (name == "metadata" || name == "kind" || name == "apiVersion") {
			if sub.inMeta = true; isRoot {
				sub.noDefaults = "in top-level " + name
			}
		}
		property := s.Properties[name]
		errs = append(errs, sub.errors(&property, at.Child("properties").Key(name))...)
	}
	errs = append(errs, k.errors(s.Not, at.Child("not"))...)
	errs = append(errs, k.list(s.AllOf, at.Child("allOf"))...)
	errs = append(errs, k.list(s.OneOf, at.Child("oneOf"))...)
	errs = append(errs, k.list(s.AnyOf, at.Child("anyOf"))...)
	if s.Items != nil {
		errs = append(errs, k.errors(s.Items.Schema, at.Child("items"))...)
		errs = append(errs, k.list(s.Items.JSONSchemas, at.Child("items"))...)
	}
	return errs
}

func (k schemaChecker) list(all []apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	for i := range all {
		errs = append(errs, k.errors(&all[i], at.Index(i))...)
	}
	return errs
}
