package extension_test

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/gatehouse/gatehouse/kinds/extension"
)

// FuzzPath takes paths into schemas as clients write them. They may be refused, and must not end the process.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"", ".", ".spec", ".spec['a']", ".spec[", ".spec['a", "..", "]", ".metadata.name", ".spec.a.b", "é"} {
		f.Add(path)
	}
	kind := extension.CustomResourceDefinition()
	f.Fuzz(func(t *testing.T, path string) {
		property := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"a": {Type: "string"}}}
		root := &apiextensionsv1.JSONSchemaProps{
			Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": property},
			XValidations: apiextensionsv1.ValidationRules{{Rule: "true", FieldPath: path}},
		}
		crd := &apiextensionsv1.CustomResourceDefinition{Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: root},
				SelectableFields: []apiextensionsv1.SelectableField{{JSONPath: path}},
			}},
		}}
		kind.Check("", crd, nil)
	})
}

// FuzzWebhookAddress takes the addresses and paths of webhooks.
func FuzzWebhookAddress(f *testing.F) {
	for _, s := range []string{"", "/", "//", "/a/b/", "a//B", "https://x", "https://u:p@x/?q#f", "%", "é"} {
		f.Add(s)
	}
	kind := extension.ValidatingWebhookConfiguration()
	f.Fuzz(func(t *testing.T, s string) {
		kind.Check("", &admissionv1.ValidatingWebhookConfiguration{Webhooks: []admissionv1.ValidatingWebhook{
			{ClientConfig: admissionv1.WebhookClientConfig{URL: &s}},
			{ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Path: &s}}},
		}}, nil)
	})
}
