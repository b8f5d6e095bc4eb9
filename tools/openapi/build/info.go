package main

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// pathDocument is a document about paths that are not a group version.
type pathDocument struct {
	path   string
	routes []*route
}

// infoRoute describes a document about the API itself.
func infoRoute(path, id, tag, description string, model any) *route {
	r := &route{method: http.MethodGet, path: path, id: id, tag: tag, description: description, consumes: objectTypes, produces: objectTypes}
	return r.answers(model, http.StatusOK)
}

// groupRoutes describes the document of one named group.
func groupRoutes(group string) []*route {
	name := groupName(group)
	return []*route{infoRoute("/apis/"+group+"/", "get"+title(name)+"APIGroup", name, "get information of a group", &metav1.APIGroup{})}
}

// serverDocuments are the documents about the server: its groups, its version and its token issuer.
func serverDocuments() []pathDocument {
	versionInfo := infoRoute("/version/", "getCodeVersion", "version", "get the version information for this server", &version.Info{})
	versionInfo.consumes, versionInfo.produces = objectTypes[:1], objectTypes[:1]
	issuer := infoRoute("/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration", "WellKnown",
		"get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'", "")
	issuer.consumes, issuer.produces = nil, objectTypes[:1]
	keys := infoRoute("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset", "openid",
		"get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", "")
	keys.consumes, keys.produces = nil, []string{"application/jwk-set+json"}
	return []pathDocument{
		{".well-known/openid-configuration", []*route{issuer}},
		{"api", []*route{infoRoute("/api/", "getCoreAPIVersions", "core", "get available API versions", &metav1.APIVersions{})}},
		{"apis", []*route{infoRoute("/apis/", "getAPIVersions", "apis", "get available API versions", &metav1.APIGroupList{})}},
		{"openid/v1/jwks", []*route{keys}},
		{"version", []*route{versionInfo}},
	}
}
