package extension

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// checkClientConfig asks for one way to reach a webhook.
func checkClientConfig(c *rules.Checker, v, _ *admissionv1.WebhookClientConfig) {
	switch {
	case (v.URL == nil) == (v.Service == nil):
		c.Add(field.Required(c.Path(), "exactly one of url or service is required"))
	case v.URL != nil:
		c.Add(urlErrors(c.At("url"), *v.URL)...)
	default:
		s := v.Service
		// The reference confuses the two here, and so clients read that the namespace is missing where the name is.
		c.Add(serviceErrors(c.At("service"), s.Name, s.Namespace, s.Path, s.Port)...)
	}
}

// urlErrors says what is wrong with the address of a webhook.
func urlErrors(at *field.Path, text string) (errs field.ErrorList) {
	const form = "; desired format: https://host[/path]"
	u, err := url.Parse(text)
	if err != nil {
		return field.ErrorList{field.Required(at, "url must be a valid URL: "+err.Error()+form)}
	}
	if u.Scheme != "https" {
		errs = append(errs, field.Invalid(at, u.Scheme, "'https' is the only allowed URL scheme"+form))
	}
	if u.Host == "" {
		errs = append(errs, field.Invalid(at, u.Host, "host must be specified"+form))
	}
	if u.User != nil {
		errs = append(errs, field.Invalid(at, u.User.String(), "user information is not permitted in the URL"))
	}
	if u.Fragment != "" {
		errs = append(errs, field.Invalid(at, u.Fragment, "fragments are not permitted in the URL"))
	}
	if u.RawQuery != "" {
		errs = append(errs, field.Invalid(at, u.RawQuery, "query parameters are not permitted in the URL"))
	}
	return errs
}

// serviceErrors says what is wrong with the Service that a webhook is behind. port is nil only where defaults were taken away again.
func serviceErrors(at *field.Path, namespace, name string, path *string, port *int32) (errs field.ErrorList) {
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	if namespace == "" {
		errs = append(errs, field.Required(at.Child("namespace"), ""))
	}
	number := int32(0)
	if port != nil {
		number = *port
	}
	if messages := utilvalidation.IsValidPortNum(int(number)); len(messages) > 0 {
		errs = append(errs, field.Invalid(at.Child("port"), number, "port is not valid: "+strings.Join(messages, ", ")))
	}
	if path != nil {
		errs = append(errs, pathErrors(at.Child("path"), *path)...)
	}
	return errs
}

// pathErrors says what is wrong with the path of a webhook, whose segments are written as DNS names are.
func pathErrors(at *field.Path, path string) (errs field.ErrorList) {
	switch path {
	case "", "/":
		return nil
	case "//":
		return field.ErrorList{field.Invalid(at, path, "segment[0] may not be empty")}
	}
	if !strings.HasPrefix(path, "/") {
		errs = append(errs, field.Invalid(at, path, "must start with a '/'"))
	}
	// A first character that is no slash is passed over like one.
	for i, segment := range strings.Split(strings.TrimSuffix(path[1:], "/"), "/") {
		if segment == "" {
			errs = append(errs, field.Invalid(at, path, fmt.Sprintf("segment[%d] may not be empty", i)))
			continue
		}
		for _, msg := range utilvalidation.IsDNS1123Subdomain(segment) {
			errs = append(errs, field.Invalid(at, path, fmt.Sprintf("segment[%d]: %v", i, msg)))
		}
	}
	return errs
}

// sameExactly tells nil and empty lists apart.
func sameExactly(a, b any) bool { return reflect.DeepEqual(a, b) }
