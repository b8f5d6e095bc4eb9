package storage

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// uidLength is that of a UUID as it is usually written.
const uidLength = 36

// poolName asks for the name of a pool of devices: subdomains, joined by slashes.
func poolName() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *string) {
		if *v == "" {
			c.Add(field.Required(c.Path(), ""))
			return
		}
		if len(*v) > resourcev1.PoolNameMaxLength {
			c.Add(field.TooLong(c.Path(), "", resourcev1.PoolNameMaxLength))
		}
		for part := range strings.SplitSeq(*v, "/") {
			for _, m := range utilvalidation.IsDNS1123Subdomain(part) {
				c.Add(field.Invalid(c.Path(), part, m))
			}
		}
	})
}

// uid asks for a UUID in lower case, with hyphens and without anything around it.
func uid(s string) []string {
	if err := uuid.Validate(s); err != nil {
		return []string{"error validating uid: " + err.Error()}
	}
	if len(s) != uidLength || s != strings.ToLower(s) {
		return []string{"uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"}
	}
	return nil
}

// labelName asks for the name of a label.
func labelName() rules.Rule {
	return rules.FormatAt(func(p *field.Path, s string) field.ErrorList { return metav1validation.ValidateLabelName(s, p) })
}

// qualifiedName returns what is wrong with the name of an attribute or capacity: an identifier, which may have the name of a driver and a
// slash before it. Names with more slashes are not looked at, as in the reference.
func qualifiedName(name string, p *field.Path) (errs field.ErrorList) {
	parts := strings.Split(name, "/")
	switch len(parts) {
	case 1:
		return identifier(parts[0], p)
	case 2:
		if parts[0] == "" {
			errs = append(errs, field.Invalid(p, "", "the domain must not be empty"))
		} else {
			errs = append(errs, domain(parts[0], p)...)
		}
		if parts[1] == "" {
			return append(errs, field.Invalid(p, "", "the name must not be empty"))
		}
		return append(errs, identifier(parts[1], p)...)
	}
	return nil
}

func domain(s string, p *field.Path) (errs field.ErrorList) {
	if len(s) > resourcev1.DeviceMaxDomainLength {
		errs = append(errs, field.TooLong(p, "", resourcev1.DeviceMaxDomainLength))
	}
	for _, m := range utilvalidation.IsDNS1123Subdomain(strings.ToLower(s)) {
		errs = append(errs, field.Invalid(p, s, m))
	}
	return errs
}

func identifier(s string, p *field.Path) (errs field.ErrorList) {
	if len(s) > resourcev1.DeviceMaxIDLength {
		errs = append(errs, field.TooLong(p, "", resourcev1.DeviceMaxIDLength))
	}
	for _, m := range content.IsCIdentifier(s) {
		errs = append(errs, field.Invalid(p, s, m))
	}
	return errs
}

// fullyQualifiedName is [qualifiedName] for names that need a domain.
func fullyQualifiedName(name string, p *field.Path) field.ErrorList {
	errs := qualifiedName(name, p)
	if !strings.Contains(name, "/") {
		errs = append(errs, field.Invalid(p, name, "a fully qualified name must be a domain and a name separated by a slash"))
	}
	return errs
}

// checkParametersOf asks that raw data is a JSON object of at most the given number of bytes.
func checkParametersOf(p *field.Path, data runtime.RawExtension, most int) *field.Error {
	if len(data.Raw) == 0 {
		return field.Required(p, "")
	}
	if len(data.Raw) > most {
		return field.TooLong(p, "", most)
	}
	var v any
	if err := json.Unmarshal(data.Raw, &v); err != nil {
		return field.Invalid(p, "<value omitted>", fmt.Sprintf("error parsing data as JSON: %v", err))
	}
	switch v.(type) {
	case nil:
		return field.Required(p, "")
	case map[string]any:
		return nil
	}
	return field.Invalid(p, "<value omitted>", "must be a valid JSON object")
}
