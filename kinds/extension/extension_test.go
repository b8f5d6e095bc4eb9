package extension_test

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gatehouse/gatehouse/kinds/extension"
	"github.com/gatehouse/gatehouse/rules/casetest"
)

func TestAPIService(t *testing.T) {
	casetest.Run[apiregistrationv1.APIService](t, extension.APIService(), "testdata/apiservice.txtar")
}

func TestCustomResourceDefinition(t *testing.T) {
	casetest.Run[apiextensionsv1.CustomResourceDefinition](t, extension.CustomResourceDefinition(), "testdata/crd.txtar")
}

func TestMutatingAdmissionPolicy(t *testing.T) {
	casetest.Run[admissionv1.MutatingAdmissionPolicy](t, extension.MutatingAdmissionPolicy(), "testdata/mutatingpolicy.txtar")
}

func TestMutatingAdmissionPolicyBinding(t *testing.T) {
	casetest.Run[admissionv1.MutatingAdmissionPolicyBinding](t, extension.MutatingAdmissionPolicyBinding(), "testdata/mutatingbinding.txtar")
}

func TestMutatingWebhookConfiguration(t *testing.T) {
	casetest.Run[admissionv1.MutatingWebhookConfiguration](t, extension.MutatingWebhookConfiguration(), "testdata/mutatingwebhook.txtar")
}

func TestValidatingAdmissionPolicy(t *testing.T) {
	casetest.Run[admissionv1.ValidatingAdmissionPolicy](t, extension.ValidatingAdmissionPolicy(), "testdata/validatingpolicy.txtar")
}

func TestValidatingAdmissionPolicyBinding(t *testing.T) {
	casetest.Run[admissionv1.ValidatingAdmissionPolicyBinding](t, extension.ValidatingAdmissionPolicyBinding(), "testdata/validatingbinding.txtar")
}

func TestValidatingWebhookConfiguration(t *testing.T) {
	casetest.Run[admissionv1.ValidatingWebhookConfiguration](t, extension.ValidatingWebhookConfiguration(), "testdata/validatingwebhook.txtar")
}
