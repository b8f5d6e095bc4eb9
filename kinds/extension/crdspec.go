package extension

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// definition is the spec of a custom resource definition and what is tolerated in it.
type definition struct {
	*apiextensions.CustomResourceDefinitionSpec
	tolerance
}

func (d definition) errors(at *field.Path) (errs field.ErrorList) {
	errs = append(errs, d.groupErrors(at)...)
	errs = append(errs, oneOf(at.Child("scope"), string(d.Scope), string(apiextensions.ClusterScoped), string(apiextensions.NamespaceScoped))...)
	errs = append(errs, d.presenceErrors(at)...)
	d.structural = d.structural || d.prunes() || d.hasSchema(hasDefault) || d.hasSchema(hasExtension)
	for i := range d.Versions {
		errs = append(errs, d.versionErrors(&d.Versions[i], at.Child("versions").Index(i))...)
	}
	errs = append(errs, d.listErrors(at)...)
	errs = append(errs, requiredNames(&d.Names, at.Child("names"))...)
	errs = append(errs, nameErrors(&d.Names, at.Child("names"))...)
	errs = append(errs, d.schemaErrors(d.Validation, d.anyStatus(), at.Child("validation"))...)
	errs = append(errs, subresourceErrors(d.Subresources, at.Child("subresources"))...)
	errs = append(errs, columnErrors(d.AdditionalPrinterColumns, at.Child("additionalPrinterColumns"))...)
	if len(d.SelectableFields) > 0 {
		if d.Validation == nil {
			errs = append(errs, field.Invalid(at.Child("selectableFields"), "", "may only be set when validations.schema is included"))
		} else {
			errs = append(errs, d.selectableErrors(d.SelectableFields, d.Validation.OpenAPIV3Schema, at, "")...)
		}
	}
	if d.Conversion != nil && d.Conversion.Strategy != apiextensions.NoneConverter && !d.prunes() {
		errs = append(errs, field.Invalid(at.Child("conversion", "strategy"), d.Conversion.Strategy,
			"must be None if spec.preserveUnknownFields is true"))
	}
	return append(errs, d.conversionErrors(at.Child("conversion"))...)
}

// prunes reports whether fields that no schema names are dropped.
func (d definition) prunes() bool { return d.PreserveUnknownFields == nil || !*d.PreserveUnknownFields }

func (d definition) groupErrors(at *field.Path) field.ErrorList {
	at = at.Child("group")
	if d.Group == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	if messages := utilvalidation.IsDNS1123Subdomain(d.Group); len(messages) > 0 {
		return field.ErrorList{field.Invalid(at, d.Group, strings.Join(messages, ","))}
	}
	if !strings.Contains(d.Group, ".") {
		return field.ErrorList{field.Invalid(at, d.Group, "should be a domain with at least one dot")}
	}
	return nil
}

// presenceErrors asks for a schema of each version.
func (d definition) presenceErrors(at *field.Path) (errs field.ErrorList) {
	if d.Validation == nil || d.Validation.OpenAPIV3Schema == nil {
		for i, v := range d.Versions {
			if v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
				continue
			}
			switch path := at.Child("versions").Index(i).Child("schema", "openAPIV3Schema"); {
			case !d.schemaless:
				errs = append(errs, field.Required(path, ""))
			case d.prunes() && v.Served:
				errs = append(errs, field.Required(path, "because otherwise all fields are pruned"))
			}
		}
	}
	if !d.prunes() && d.hasSchema(hasDefault) {
		errs = append(errs, field.Invalid(at.Child("preserveUnknownFields"), true, "must be false in order to use defaults in the schema"))
	}
	return errs
}

func (d definition) versionErrors(v *apiextensions.CustomResourceDefinitionVersion, at *field.Path) (errs field.ErrorList) {
	if messages := utilvalidation.IsDNS1035Label(v.Name); len(messages) > 0 {
		errs = append(errs, field.Invalid(at.Child("name"), v.Name, strings.Join(messages, ",")))
	}
	for _, msg := range deprecationMessages(v.Deprecated, v.DeprecationWarning) {
		errs = append(errs, field.Invalid(at.Child("deprecationWarning"), v.DeprecationWarning, msg))
	}
	errs = append(errs, d.schemaErrors(v.Schema, hasStatus(d.subresourcesOf(v)), at.Child("schema"))...)
	errs = append(errs, subresourceErrors(v.Subresources, at.Child("subresources"))...)
	errs = append(errs, columnErrors(v.AdditionalPrinterColumns, at.Child("additionalPrinterColumns"))...)
	if len(v.SelectableFields) == 0 {
		return errs
	}
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return append(errs, field.Invalid(at.Child("selectableFields"), "",
			"may only be set when `version.schema.openAPIV3Schema` is not included"))
	}
	return append(errs, d.selectableErrors(v.SelectableFields, v.Schema.OpenAPIV3Schema, at, v.Name)...)
}

func deprecationMessages(deprecated bool, text *string) (messages []string) {
	switch {
	case text == nil:
		return nil
	case !deprecated:
		return []string{"can only be set for deprecated versions"}
	}
	if len(*text) > 256 {
		messages = append(messages, "must be <= 256 characters long")
	}
	if *text == "" {
		messages = append(messages, "must not be an empty string")
	}
	if i := strings.IndexFunc(*text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		messages = append(messages, fmt.Sprintf("must only contain printable UTF-8 characters; non-printable character found at index %d", i))
	}
	if !utf8.ValidString(*text) {
		messages = append(messages, "must only contain printable UTF-8 characters")
	}
	return messages
}

// listErrors checks the versions against one another.
func (d definition) listErrors(at *field.Path) (errs field.ErrorList) {
	names, storage := map[string]bool{}, 0
	for _, v := range d.Versions {
		if names[v.Name] = true; v.Storage {
			storage++
		}
	}
	if len(names) < len(d.Versions) {
		errs = append(errs, field.Invalid(at.Child("versions"), d.Versions, "must contain unique version names"))
	}
	if storage != 1 {
		errs = append(errs, field.Invalid(at.Child("versions"), d.Versions, "must have exactly one version marked as storage version"))
	}
	if messages := utilvalidation.IsDNS1035Label(d.Version); d.Version != "" && len(messages) > 0 {
		errs = append(errs, field.Invalid(at.Child("version"), d.Version, strings.Join(messages, ",")))
	}
	return errs
}

func (d definition) subresourcesOf(v *apiextensions.CustomResourceDefinitionVersion) *apiextensions.CustomResourceSubresources {
	for i := range d.Versions {
		if d.Versions[i].Subresources != nil {
			return v.Subresources
		}
	}
	return d.Subresources
}

func hasStatus(s *apiextensions.CustomResourceSubresources) bool { return s != nil && s.Status != nil }

// anyStatus reports whether the status is a subresource of any version.
func (d definition) anyStatus() bool {
	return hasStatus(d.Subresources) || slices.ContainsFunc(d.Versions, func(v apiextensions.CustomResourceDefinitionVersion) bool {
		return hasStatus(v.Subresources)
	})
}

// oneOf asks for one of the values.
func oneOf(at *field.Path, value string, values ...string) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(at, "")}
	case !slices.Contains(values, value):
		return field.ErrorList{field.NotSupported(at, value, values)}
	}
	return nil
}

// conversionErrors checks how objects get from one version to another: by changing their apiVersion only, or by a webhook.
func (d definition) conversionErrors(at *field.Path) (errs field.ErrorList) {
	v := d.Conversion
	if v == nil {
		return nil
	}
	errs = oneOf(at.Child("strategy"), string(v.Strategy), string(apiextensions.NoneConverter), string(apiextensions.WebhookConverter))
	client := at.Child("webhookClientConfig")
	if v.Strategy != apiextensions.WebhookConverter {
		const detail = "should not be set when strategy is not set to Webhook"
		if v.WebhookClientConfig != nil {
			errs = append(errs, field.Forbidden(client, detail))
		}
		if len(v.ConversionReviewVersions) > 0 {
			errs = append(errs, field.Forbidden(at.Child("conversionReviewVersions"), detail))
		}
		return errs
	}
	switch cc := v.WebhookClientConfig; {
	case cc == nil:
		errs = append(errs, field.Required(client, "required when strategy is set to Webhook"))
	case (cc.URL == nil) == (cc.Service == nil):
		errs = append(errs, field.Required(client, "exactly one of url or service is required"))
	case cc.URL != nil:
		errs = append(errs, urlErrors(client.Child("url"), *cc.URL)...)
	default:
		// As for admission webhooks, the reference tells of a missing name as of a missing namespace.
		errs = append(errs, serviceErrors(client.Child("service"), cc.Service.Name, cc.Service.Namespace, cc.Service.Path, &cc.Service.Port)...)
	}
	return append(errs, d.reviewErrors(v.ConversionReviewVersions, at.Child("conversionReviewVersions"))...)
}

func (d definition) reviewErrors(versions []string, at *field.Path) (errs field.ErrorList) {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(at, "")}
	}
	seen := make(map[string]bool, len(versions))
	for i, v := range versions {
		if seen[v] {
			errs = append(errs, field.Invalid(at.Index(i), v, "duplicate version"))
			continue
		}
		seen[v] = true
		for _, msg := range utilvalidation.IsDNS1035Label(v) {
			errs = append(errs, field.Invalid(at.Index(i), v, msg))
		}
	}
	if !d.unknownReviews && !hasKnownVersion(versions) {
		errs = append(errs, field.Invalid(at, versions, "must include at least one of v1, v1beta1"))
	}
	return errs
}
