package resource

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gatehouse/gatehouse/kinds/extension"
)

// The kinds by which others add to the API are stored and listed, so that the objects of an existing cluster are kept and tools
// find the resources. What they announce is not served yet, and who writes one is warned.

func apiExtensionsTypes() []*Type {
	return inGroup("apiextensions.k8s.io", "v1", kind[apiextensionsv1.CustomResourceDefinition](Type{
		Rules: extension.CustomResourceDefinition(), NeedsRevision: true,
		Resource: "customresourcedefinitions", Prefix: "apiextensions.k8s.io/customresourcedefinitions", StoredJSON: true,
		StoredVersion: "v1beta1", storedForm: crdForm(),
		ShortNames: []string{"crd", "crds"}, Categories: inExtensions, Subresources: withStatus, HasGeneration: true,
		Inert: "this server stores custom resource definitions and does not serve custom resources yet",
	}))
}

func apiRegistrationTypes() []*Type {
	return inGroup("apiregistration.k8s.io", "v1", kind[apiregistrationv1.APIService](Type{
		Rules: extension.APIService(), ValidName: extension.APIServiceName, NeedsRevision: true,
		Resource: "apiservices", Prefix: "apiregistration.k8s.io/apiservices", StoredJSON: true,
		Categories: inExtensions, Subresources: withStatus,
		Inert: "this server stores API services and does not pass requests on to them yet",
	}))
}
