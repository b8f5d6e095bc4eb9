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
	return []*route{infoRoute("/apis/"+group+"/", "get"+title(name)+"APIGroup", name, "read the versions of the group", &metav1.APIGroup{})}
}

// serverDocuments are the documents about the server: its groups, its version and its token issuer.
func serverDocuments() []pathDocument {
	versionInfo := infoRoute("/version/", "getCodeVersion", "version", "read the version of the server", &version.Info{})
	versionInfo.consumes, versionInfo.produces = objectTypes[:1], objectTypes[:1]
	issuer := infoRoute("/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration", "WellKnown",
		"read the OpenID configuration of the service account token issuer", "")
	issuer.consumes, issuer.produces = nil, objectTypes[:1]
	keys := infoRoute("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset", "openid",
		"read the keys of the service account token issuer", "")
	keys.consumes, keys.produces = nil, []string{"application/jwk-set+json"}
	return []pathDocument{
		{".well-known/openid-configuration", []*route{issuer}},
		{"api", []*route{infoRoute("/api/", "getCoreAPIVersions", "core", "read the versions of the core group", &metav1.APIVersions{})}},
		{"apis", []*route{infoRoute("/apis/", "getAPIVersions", "apis", "list the named groups", &metav1.APIGroupList{})}},
		{"openid/v1/jwks", []*route{keys}},
		{"version", []*route{versionInfo}},
	}
}
