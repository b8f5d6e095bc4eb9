package extension

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// maxSelectableFields bounds the fields of a version that lists can be asked for by.
const maxSelectableFields = 8

var (
	errPathEnds  = errors.New("unexpected end of JSON path")
	errNoField   = errors.New("does not refer to a valid field")
	errBracketed = errors.New("array notation is not allowed")
)

// lookUp follows a path such as .spec.a or, where brackets are allowed, .spec['a'] into a schema. names are what it went along.
func lookUp(s *apiextensions.JSONSchemaProps, path string, brackets bool) (names []string, found *apiextensions.JSONSchemaProps, err error) {
	for path != "" {
		var name string
		switch {
		case path[0] == '.':
			if path = path[1:]; path == "" {
				return nil, nil, errPathEnds
			}
			end := strings.IndexAny(path, ".[]")
			switch {
			case end < 0:
				end = len(path)
			case end == 0:
				end = 1 // A delimiter stands for a name, which no property has.
			}
			name, path = path[:end], path[end:]
		case path[0] == '[' && !brackets:
			return nil, nil, errBracketed
		case path[0] == '[':
			if name, path, err = quoted(path[1:]); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("expected [ or . but got: %s", path[:max(1, strings.IndexAny(path+".", ".[]"))])
		}
		if s = propertyOf(s, name); s == nil {
			return nil, nil, errNoField
		}
		names = append(names, name)
	}
	return names, s, nil
}

// quoted takes a quoted name and a bracket off the beginning of a path.
func quoted(path string) (name, rest string, err error) {
	body, ok := strings.CutPrefix(path, "'")
	name, rest, closed := strings.Cut(body, "']")
	if !ok || !closed {
		return "", "", errPathEnds
	}
	return strings.ReplaceAll(name, `\'`, "'"), rest, nil
}

// propertyOf is the schema of a property; nil means that there is none.
func propertyOf(s *apiextensions.JSONSchemaProps, name string) *apiextensions.JSONSchemaProps {
	switch {
	case s == nil:
		return nil
	case s.Properties != nil:
		if p, ok := s.Properties[name]; ok {
			return &p
		}
	case s.AdditionalProperties != nil:
		return s.AdditionalProperties.Schema
	}
	return nil
}

// selectableErrors checks the fields that lists can be asked for by: they hold scalars, and are not of the metadata. parent is what the
// list of fields and the schema are in.
func (d definition) selectableErrors(
	fields []apiextensions.SelectableField, root *apiextensions.JSONSchemaProps, parent *field.Path, version string,
) (errs field.ErrorList) {
	list, seen := parent.Child("selectableFields"), map[string]bool{}
	for i, f := range fields {
		at := list.Index(i).Child("jsonPath")
		if f.JSONPath == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		names, found, err := lookUp(root, f.JSONPath, false)
		if err != nil {
			errs = append(errs, field.Invalid(at, f.JSONPath, fmt.Sprintf("is an invalid path: %v", err)))
			continue
		}
		if names[0] == "metadata" {
			errs = append(errs, field.Invalid(at, f.JSONPath, "must not point to fields in metadata"))
		}
		switch found.Type {
		case "string", "boolean", "integer":
		default:
			errs = append(errs, field.Invalid(at, f.JSONPath,
				"must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."))
		}
		if seen[f.JSONPath] {
			errs = append(errs, field.Duplicate(at, f.JSONPath))
		}
		seen[f.JSONPath] = true
	}
	if len(seen) > maxSelectableFields && !d.manyFields[version] {
		errs = append(errs, field.TooMany(list, len(seen), maxSelectableFields))
	}
	return errs
}

// warnFormats tells of formats that are not checked because nothing is known of them, those apart that the stored definition has.
func warnFormats(c *rules.Checker, v, old *apiextensionsv1.CustomResourceDefinition) {
	known := map[string]bool{}
	for _, f := range unknownFormats(old) {
		known[f] = true
	}
	for _, f := range unknownFormats(v) {
		if !known[f] {
			c.Warn(fmt.Sprintf("unrecognized format %q", f))
		}
	}
}

func unknownFormats(crd *apiextensionsv1.CustomResourceDefinition) (unknown []string) {
	var quiet rules.Checker
	if crd == nil {
		return nil
	}
	converted := unversioned(&quiet, crd)
	if converted == nil {
		return nil
	}
	definition{CustomResourceDefinitionSpec: &converted.Spec}.hasSchema(func(root *apiextensions.JSONSchemaProps) bool {
		return anywhere(root, func(s *apiextensions.JSONSchemaProps) bool {
			if s.Format != "" && !isFormat(s.Type, s.Format) {
				unknown = append(unknown, s.Format)
			}
			return false
		})
	})
	return unknown
}

// isFormat reports whether values of a type are checked for having a format.
func isFormat(typ, format string) bool {
	switch typ {
	case "integer":
		return format == "int32" || format == "int64"
	case "number":
		return format == "float" || format == "double"
	case "", "string":
		switch strings.ReplaceAll(format, "-", "") {
		case "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5", "isbn", "isbn10",
			"isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration", "datetime", "k8sshortname", "k8slongname":
			return true
		}
	}
	return false
}
