package extension_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/extension"
)

// TestLongLists guards against work that grows faster than the request: over all pairs of what these list, the rules would take minutes.
func TestLongLists(t *testing.T) {
	const many = 50_000
	const kept = 1000 // of the errors; where all elements are wrong, the one about the last may not be among them
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
	review := &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.WebhookConverter, Webhook: &apiextensionsv1.WebhookConversion{}}
	listType := "map"
	list := apiextensionsv1.JSONSchemaProps{Type: "array", XListType: &listType, Items: &apiextensionsv1.JSONSchemaPropsOrArray{
		Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{}},
	}}
	for i := range many {
		n := "n" + strconv.Itoa(i)
		binding.Spec.ValidationActions = append(binding.Spec.ValidationActions, admissionv1.ValidationAction(n))
		review.Webhook.ConversionReviewVersions = append(review.Webhook.ConversionReviewVersions, n)
		list.XListMapKeys = append(list.XListMapKeys, n)
		list.Items.Schema.Properties[n] = apiextensionsv1.JSONSchemaProps{Type: "string"}
	}
	binding.Spec.ValidationActions = append(binding.Spec.ValidationActions, admissionv1.Deny, admissionv1.Deny)
	review.Webhook.ConversionReviewVersions = append(review.Webhook.ConversionReviewVersions, "n7")
	list.XListMapKeys = append(list.XListMapKeys, "n7")
	definition := func(conversion *apiextensionsv1.CustomResourceConversion, schema apiextensionsv1.JSONSchemaProps) *apiextensionsv1.CustomResourceDefinition {
		return &apiextensionsv1.CustomResourceDefinition{Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Conversion: conversion, Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &schema},
			}},
		}}
	}
	object := apiextensionsv1.JSONSchemaProps{Type: "object"}
	lists := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"list": list}}
	for name, check := range map[string]func() (field.ErrorList, []string){
		"actions": func() (field.ErrorList, []string) {
			return extension.ValidatingAdmissionPolicyBinding().Check("", binding, nil)
		},
		"review versions": func() (field.ErrorList, []string) {
			return extension.CustomResourceDefinition().Check("", definition(review, object), nil)
		},
		"list map keys": func() (field.ErrorList, []string) {
			return extension.CustomResourceDefinition().Check("", definition(nil, lists), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			errs, _ := check()
			if n := len(errs); n < kept && !slices.ContainsFunc(errs, func(e *field.Error) bool { return strings.Contains(e.Detail, "duplicate") }) {
				t.Errorf("%d errors, none about the element that is there twice", n)
			}
		})
	}
}
