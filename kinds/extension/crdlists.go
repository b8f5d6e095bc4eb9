package extension

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a schema says of how lists and maps are merged, and the rules on values that it names.

// typeErrors asks for the type that an extension is about.
func typeErrors(s *apiextensions.JSONSchemaProps, at *field.Path, want, extension string) field.ErrorList {
	switch detail := "must be " + want + " if " + extension + " is specified"; s.Type {
	case want:
		return nil
	case "":
		return field.ErrorList{field.Required(at.Child("type"), detail)}
	default:
		return field.ErrorList{field.Invalid(at.Child("type"), s.Type, detail)}
	}
}

func mapErrors(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	if s.XMapType == nil {
		return nil
	}
	errs = typeErrors(s, at, "object", "x-kubernetes-map-type")
	if kinds := []string{"atomic", "granular"}; !slices.Contains(kinds, *s.XMapType) {
		errs = append(errs, field.NotSupported(at.Child("x-kubernetes-map-type"), *s.XMapType, kinds))
	}
	return errs
}

func (k schemaChecker) listErrors(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	if s.XListType == nil {
		return nil
	}
	errs = typeErrors(s, at, "array", "x-kubernetes-list-type")
	if len(errs) == 0 && !k.sharedItems && hasSharedItems(s) {
		name := "x-kubernetes-map-type"
		if s.Items.Schema.Type == "array" {
			name = "x-kubernetes-list-type"
		}
		errs = append(errs, field.Invalid(at.Child("items", name), s.Items.Schema.XListType,
			"must be atomic as item of a list with x-kubernetes-list-type=set"))
	}
	if kinds := []string{"atomic", "set", "map"}; !slices.Contains(kinds, *s.XListType) {
		errs = append(errs, field.NotSupported(at.Child("x-kubernetes-list-type"), *s.XListType, kinds))
	}
	return errs
}

// hasSharedItems reports whether a schema is of a set whose items are merged, and so are no values that could be compared.
func hasSharedItems(s *apiextensions.JSONSchemaProps) bool {
	if s.XListType == nil || *s.XListType != "set" || s.Items == nil || s.Items.Schema == nil {
		return false
	}
	switch item := s.Items.Schema; item.Type {
	case "array":
		return item.XListType != nil && *item.XListType != "atomic"
	case "object":
		return item.XMapType == nil || *item.XMapType != "atomic"
	}
	return false
}

// listMapErrors checks lists that are merged by the keys of their items.
func listMapErrors(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	if listType := at.Child("x-kubernetes-list-type"); len(s.XListMapKeys) > 0 {
		const detail = "must be map if x-kubernetes-list-map-keys is non-empty"
		switch {
		case s.XListType == nil:
			errs = append(errs, field.Required(listType, detail))
		case *s.XListType != "map":
			errs = append(errs, field.Invalid(listType, *s.XListType, detail))
		}
	}
	if s.XListType == nil || *s.XListType != "map" {
		return errs
	}
	keys, items := at.Child("x-kubernetes-list-map-keys"), at.Child("items")
	if len(s.XListMapKeys) == 0 {
		errs = append(errs, field.Required(keys, "must not be empty if x-kubernetes-list-type is map"))
	}
	switch {
	case s.Items == nil:
		return append(errs, field.Required(items, "must have a schema if x-kubernetes-list-type is map"))
	case s.Items.Schema == nil:
		return append(errs, field.Invalid(items, s.Items, "must only have a single schema if x-kubernetes-list-type is map"))
	case s.Items.Schema.Type != "object":
		return append(errs, field.Invalid(items.Child("type"), s.Items.Schema.Type, "must be object if parent array's x-kubernetes-list-type is map"))
	}
	seen := make(map[string]bool, len(s.XListMapKeys))
	for _, key := range s.XListMapKeys {
		property, ok := s.Items.Schema.Properties[key]
		if !ok {
			errs = append(errs, field.Invalid(keys, s.XListMapKeys, "entries must all be names of item properties"))
		} else if property.Type == "array" || property.Type == "object" {
			errs = append(errs, field.Invalid(items.Child("properties").Key(key).Child("type"), s.Items.Schema.Type,
				"must be a scalar type if parent array's x-kubernetes-list-type is map"))
		}
		if seen[key] {
			errs = append(errs, field.Invalid(keys, s.XListMapKeys, "must not contain duplicate entries"))
		}
		seen[key] = true
	}
	return errs
}

func hasLooseKeys(s *apiextensions.JSONSchemaProps) bool { return len(keyErrors(s, nil)) > 0 }

// keyErrors asks that items that are known by keys, or by themselves, be there and have their keys.
func keyErrors(s *apiextensions.JSONSchemaProps, at *field.Path) (errs field.ErrorList) {
	if s.Items == nil || s.Items.Schema == nil || s.XListType == nil || (*s.XListType != "set" && *s.XListType != "map") {
		return nil
	}
	item := s.Items.Schema
	if item.Nullable {
		errs = append(errs, field.Forbidden(at.Child("items", "nullable"), "cannot be nullable when x-kubernetes-list-type is "+*s.XListType))
	}
	if *s.XListType == "set" {
		return errs
	}
	for _, key := range s.XListMapKeys {
		property, ok := item.Properties[key]
		path := at.Child("items", "properties").Key(key)
		if ok && property.Default == nil && !slices.Contains(item.Required, key) {
			errs = append(errs, field.Required(path.Child("default"),
				"this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"))
		}
		if ok && property.Nullable {
			errs = append(errs, field.Forbidden(path.Child("nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
		}
	}
	return errs
}

// ruleErrors checks the rules on values, but for what is said in CEL.
func ruleErrors(s *apiextensions.JSONSchemaProps, list *field.Path) (errs field.ErrorList) {
	for i, rule := range s.XValidations {
		at := list.Child("x-kubernetes-validations").Index(i)
		message, text := strings.TrimSpace(rule.Message), strings.TrimSpace(rule.Rule)
		switch {
		case text == "":
			errs = append(errs, field.Required(at.Child("rule"), "rule is not specified"))
		case rule.Message != "" && message == "":
			errs = append(errs, field.Invalid(at.Child("message"), rule.Message, "must be non-empty if specified"))
		case strings.ContainsAny(message, "\n\r"):
			errs = append(errs, field.Invalid(at.Child("message"), rule.Message, "must not contain line breaks"))
		case strings.ContainsAny(text, "\n\r") && message == "":
			errs = append(errs, field.Required(at.Child("message"), "message must be specified if rule contains line breaks"))
		}
		if rule.MessageExpression != "" && isBlank(rule.MessageExpression) {
			errs = append(errs, field.Required(at.Child("messageExpression"), "messageExpression must be non-empty if specified"))
		}
		reasons := []apiextensions.FieldValueErrorReason{
			apiextensions.FieldValueDuplicate, apiextensions.FieldValueForbidden, apiextensions.FieldValueInvalid, apiextensions.FieldValueRequired,
		}
		if rule.Reason != nil && !slices.Contains(reasons, *rule.Reason) {
			errs = append(errs, field.NotSupported(at.Child("reason"), *rule.Reason, reasons))
		}
		errs = append(errs, rulePathErrors(s, rule.FieldPath, at.Child("fieldPath"))...)
	}
	return errs
}

// rulePathErrors checks which field a rule blames.
func rulePathErrors(s *apiextensions.JSONSchemaProps, path string, at *field.Path) (errs field.ErrorList) {
	if path == "" {
		return nil
	}
	if isBlank(path) {
		errs = append(errs, field.Invalid(at, path, "must be non-empty if specified"))
	}
	if strings.ContainsAny(path, "\n\r") {
		errs = append(errs, field.Invalid(at, path, "must not contain line breaks"))
	}
	if _, _, err := lookUp(s, path, true); err != nil {
		errs = append(errs, field.Invalid(at, path, "must be a valid path"))
	}
	return errs
}
