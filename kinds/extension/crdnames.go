package extension

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// requiredNames asks for the names that a definition cannot do without.
func requiredNames(v *apiextensions.CustomResourceDefinitionNames, at *field.Path) (errs field.ErrorList) {
	for _, n := range []struct{ name, value string }{
		{"plural", v.Plural}, {"singular", v.Singular}, {"kind", v.Kind}, {"listKind", v.ListKind},
	} {
		if n.value == "" {
			errs = append(errs, field.Required(at.Child(n.name), ""))
		}
	}
	return errs
}

// nameErrors checks the form of names, those of a status included, where they may be missing.
func nameErrors(v *apiextensions.CustomResourceDefinitionNames, at *field.Path) (errs field.ErrorList) {
	label := func(path *field.Path, value, checked, lead string) {
		if messages := utilvalidation.IsDNS1035Label(checked); len(messages) > 0 {
			errs = append(errs, field.Invalid(path, value, lead+strings.Join(messages, ",")))
		}
	}
	optional := func(name, value string) {
		if value != "" {
			label(at.Child(name), value, value, "")
		}
	}
	mixed := func(name, value string) {
		if value != "" {
			label(at.Child(name), value, strings.ToLower(value), "may have mixed case, but should otherwise match: ")
		}
	}
	optional("plural", v.Plural)
	optional("singular", v.Singular)
	mixed("kind", v.Kind)
	mixed("listKind", v.ListKind)
	for i, name := range v.ShortNames {
		label(at.Child("shortNames").Index(i), name, name, "")
	}
	if v.Kind != "" && v.Kind == v.ListKind {
		errs = append(errs, field.Invalid(at.Child("listKind"), v.ListKind, "kind and listKind may not be the same"))
	}
	for i, name := range v.Categories {
		label(at.Child("categories").Index(i), name, name, "")
	}
	return errs
}

// columnErrors checks the columns of tables.
func columnErrors(columns []apiextensions.CustomResourceColumnDefinition, list *field.Path) (errs field.ErrorList) {
	types := []string{"boolean", "date", "integer", "number", "string"}
	formats := []string{"byte", "date", "date-time", "double", "float", "int32", "int64", "password"}
	for i, column := range columns {
		at := list.Index(i)
		if column.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
		switch detail := "must be one of " + strings.Join(types, ","); {
		case column.Type == "":
			errs = append(errs, field.Required(at.Child("type"), detail))
		case !slices.Contains(types, column.Type):
			errs = append(errs, field.Invalid(at.Child("type"), column.Type, detail))
		}
		if column.Format != "" && !slices.Contains(formats, column.Format) {
			errs = append(errs, field.Invalid(at.Child("format"), column.Format, "must be one of "+strings.Join(formats, ",")))
		}
		errs = append(errs, jsonPathErrors(column.JSONPath, at.Child("JSONPath"), "")...)
	}
	return errs
}

// jsonPathErrors asks for a path, and for one that begins as one of under, if there are any.
func jsonPathErrors(path string, at *field.Path, detail string, under ...string) field.ErrorList {
	switch {
	case path == "":
		return field.ErrorList{field.Required(at, "")}
	case path[0] != '.':
		return field.ErrorList{field.Invalid(at, path, "must be a simple json path starting with .")}
	case len(under) > 0 && !slices.ContainsFunc(under, func(p string) bool { return strings.HasPrefix(path, p) }):
		return field.ErrorList{field.Invalid(at, path, detail)}
	}
	return nil
}

// subresourceErrors checks where the scale subresource finds its values.
func subresourceErrors(v *apiextensions.CustomResourceSubresources, at *field.Path) (errs field.ErrorList) {
	if v == nil || v.Scale == nil {
		return nil
	}
	errs = append(errs, jsonPathErrors(v.Scale.SpecReplicasPath, at.Child("scale.specReplicasPath"),
		"should be a json path under .spec", ".spec.")...)
	errs = append(errs, jsonPathErrors(v.Scale.StatusReplicasPath, at.Child("scale.statusReplicasPath"),
		"should be a json path under .status", ".status.")...)
	if p := v.Scale.LabelSelectorPath; p != nil && *p != "" {
		errs = append(errs, jsonPathErrors(*p, at.Child("scale.labelSelectorPath"),
			"should be a json path under either .spec or .status", ".spec.", ".status.")...)
	}
	return errs
}
