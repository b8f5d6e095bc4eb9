package api_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
)

func TestParseRequest(t *testing.T) {
	tests := []struct {
		name, method, target string
		want                 api.RequestInfo
	}{
		{
			"one object of the core group", "GET", "/api/v1/namespaces/default/pods/web",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/default/pods/web", Verb: "get", Version: "v1", Namespace: "default", Resource: "pods", Name: "web"},
		},
		{
			"a collection is a list", "GET", "/apis/apps/v1/namespaces/default/deployments",
			api.RequestInfo{IsResource: true, Path: "/apis/apps/v1/namespaces/default/deployments", Verb: "list", Group: "apps", Version: "v1", Namespace: "default", Resource: "deployments"},
		},
		{
			"across namespaces", "GET", "/api/v1/pods?limit=5",
			api.RequestInfo{IsResource: true, Path: "/api/v1/pods", Verb: "list", Version: "v1", Resource: "pods"},
		},
		{
			"a watch of a collection", "GET", "/api/v1/pods?watch=true&labelSelector=a%3Db",
			api.RequestInfo{IsResource: true, Path: "/api/v1/pods", Verb: "watch", Version: "v1", Resource: "pods", LabelSelector: "a=b"},
		},
		{
			"watch=1 of one object by its path stays a get", "GET", "/api/v1/namespaces/default/pods/web?watch=1",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/default/pods/web", Verb: "get", Version: "v1", Namespace: "default", Resource: "pods", Name: "web"},
		},
		{
			"a selector below the legacy prefix is nothing to decide by", "GET", "/api/v1/watch/namespaces/default/pods/a?fieldSelector=spec.nodeName%3Dn",
			api.RequestInfo{IsResource: true, Path: "/api/v1/watch/namespaces/default/pods/a", Verb: "watch", Version: "v1", Namespace: "default", Resource: "pods", Name: "a"},
		},
		{
			"the legacy watch prefix", "GET", "/api/v1/watch/namespaces/default/pods",
			api.RequestInfo{IsResource: true, Path: "/api/v1/watch/namespaces/default/pods", Verb: "watch", Version: "v1", Namespace: "default", Resource: "pods"},
		},
		{
			"a namespace itself", "DELETE", "/api/v1/namespaces/prod",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/prod", Verb: "delete", Version: "v1", Namespace: "prod", Resource: "namespaces", Name: "prod"},
		},
		{
			"a namespace's subresource is not a resource called finalize", "PUT", "/api/v1/namespaces/prod/finalize",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/prod/finalize", Verb: "update", Version: "v1", Namespace: "prod", Resource: "namespaces", Name: "prod", Subresource: "finalize"},
		},
		{
			"deletecollection", "DELETE", "/api/v1/namespaces/prod/pods",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/prod/pods", Verb: "deletecollection", Version: "v1", Namespace: "prod", Resource: "pods"},
		},
		{
			"a subresource", "PATCH", "/api/v1/namespaces/prod/pods/web/status",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/prod/pods/web/status", Verb: "patch", Version: "v1", Namespace: "prod", Resource: "pods", Name: "web", Subresource: "status"},
		},
		{
			"what follows a subresource is kept apart", "GET", "/api/v1/nodes/n1/proxy/logs/a",
			api.RequestInfo{IsResource: true, Path: "/api/v1/nodes/n1/proxy/logs/a", Verb: "get", Version: "v1", Resource: "nodes", Name: "n1", Subresource: "proxy", Tail: []string{"logs", "a"}},
		},
		{
			"a field selector that pins the name names it for resourceNames", "GET", "/api/v1/namespaces/prod/secrets?fieldSelector=metadata.name%3Ddb",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/prod/secrets", Verb: "list", Version: "v1", Namespace: "prod", Resource: "secrets", Name: "db", FieldSelector: "metadata.name=db"},
		},
		{
			"the deletion of a collection is never by name, whatever its selector says", "DELETE", "/api/v1/namespaces/prod/secrets?fieldSelector=metadata.name%3Ddb",
			api.RequestInfo{IsResource: true, Path: "/api/v1/namespaces/prod/secrets", Verb: "deletecollection", Version: "v1", Namespace: "prod", Resource: "secrets", FieldSelector: "metadata.name=db"},
		},
		{
			"an encoded colon is a colon", "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
			api.RequestInfo{IsResource: true, Path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node", Verb: "get", Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles", Name: "system:node"},
		},
		{"a trailing slash is the same path", "GET", "/apis/", api.RequestInfo{Path: "/apis", Verb: "get"}},
		{"a path that is no resource", "POST", "/healthz/x", api.RequestInfo{Path: "/healthz/x", Verb: "post"}},
		{"the group alone is no resource", "GET", "/apis/apps/v1", api.RequestInfo{Path: "/apis/apps/v1", Verb: "get"}},
		{"the root", "GET", "/", api.RequestInfo{Path: "/", Verb: "get"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			got, err := api.ParseRequest(tt.method, u)
			if err != nil {
				t.Fatalf("ParseRequest: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for name, target := range map[string]string{
		"a dot segment that would leave the namespace": "/api/v1/namespaces/a/../../secrets",
		"an encoded dot segment":                       "/api/v1/namespaces/%2e%2e/pods",
		"an encoded slash inside a name":               "/api/v1/namespaces/a%2fb/pods",
		"an empty segment":                             "/api//v1/pods",
		"a backslash":                                  "/api/v1/namespaces/a%5cb/pods",
		"a NUL byte":                                   "/api/v1/namespaces/a%00/pods",
		"a line break":                                 "/api/v1/namespaces/a%0a/pods",
		"an encoded percent sign, decoded twice later": "/api/v1/namespaces/a%252e/pods",
		"bytes that are no UTF-8":                      "/api/v1/namespaces/%ff%fe/pods",
		"a path beyond the bound":                      "/api/v1/namespaces/" + strings.Repeat("a", api.MaxPathBytes),
		"the legacy watch prefix without a resource":   "/api/v1/watch",
		"a path that does not begin with a slash":      "api/v1/pods",
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			info, err := api.ParseRequest(http.MethodGet, u)
			var e *api.Error
			if !errors.As(err, &e) || e.Code() != http.StatusBadRequest {
				t.Errorf("ParseRequest(%q) = %+v, %v; want a 400", target, info, err)
			}
		})
	}
}

// TestParseRequestMethods guards against methods that pass for verbs: what logs and filters before the server see as LIST or WATCH
// would be done as one.
func TestParseRequestMethods(t *testing.T) {
	for _, tt := range []struct{ method, target string }{
		{"LIST", "/api/v1/namespaces/ns1/secrets/s1"},
		{"WATCH", "/api/v1/namespaces/ns1/secrets/s1"},
		{"CREATE", "/api/v1/namespaces/ns1/secrets"},
		{"get", "/api/v1/pods"},
		{"", "/api/v1/pods"},
		{"WATCH", "/healthz"},
		{"CONNECT", "/healthz"},
		{"TRACE", "/healthz"},
		{"OPTIONS", "/api/v1/pods"},
		{"DELETE", "/api/v1/watch/namespaces/ns1/pods"},
		{"POST", "/api/v1/watch/pods"},
		{"HEAD", "/apis/apps/v1/watch/deployments"},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			info, err := api.ParseRequest(tt.method, &url.URL{Path: tt.target})
			var e *api.Error
			if !errors.As(err, &e) || e.Code() != http.StatusMethodNotAllowed {
				t.Errorf("ParseRequest = %+v, %v; want a 405", info, err)
			}
		})
	}
	if info, err := api.ParseRequest("OPTIONS", &url.URL{Path: "/version"}); err != nil || info.Verb != "options" {
		t.Errorf("OPTIONS of a path that is no resource: %+v, %v", info, err)
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"/api/v1/namespaces/default/pods/web/status", "/apis/apps/v1/deployments?watch=1", "/%2e%2e/api", "//", "/api/v1/watch/pods",
		"/api/v1/namespaces/x/finalize", "/apis/a/b/c/d/e/f/g", "/api/v1/pods?fieldSelector=metadata.name%3Da%2Fb",
	} {
		f.Add("GET", s)
		f.Add("DELETE", s)
	}
	f.Add("LIST", "/api/v1/pods")
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.Parse(target)
		if err != nil {
			return
		}
		info, err := api.ParseRequest(method, u)
		if err != nil {
			var e *api.Error
			if !errors.As(err, &e) || (e.Code() != http.StatusBadRequest && e.Code() != http.StatusMethodNotAllowed) {
				t.Fatalf("a refusal that is neither 400 nor 405: %v", err)
			}
			return
		}
		for _, part := range append([]string{info.Group, info.Version, info.Namespace, info.Resource, info.Name, info.Subresource}, info.Tail...) {
			if part == "." || part == ".." || strings.ContainsAny(part, "/%\\\x00\n") {
				t.Fatalf("segment %q got through: %+v", part, info)
			}
		}
		verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
		if !info.IsResource {
			verbs = []string{"get", "head", "post", "put", "patch", "delete", "options"}
		}
		if !slices.Contains(verbs, info.Verb) || (info.Verb == "watch" && method != "GET" && method != "HEAD") {
			t.Fatalf("method %q became verb %q", method, info.Verb)
		}
		if info.IsResource && info.Resource == "" {
			t.Fatalf("a resource request without a resource: %+v", info)
		}
		// The path is canonical: parsing it again, encoded, gives the same request.
		again, err := api.ParseRequest(method, &url.URL{Path: info.Path, RawQuery: u.RawQuery})
		if err != nil {
			t.Fatalf("the path %q does not parse again: %v", info.Path, err)
		}
		if diff := cmp.Diff(info, again); diff != "" {
			t.Fatalf("parsing the canonical path differs:\n%s", diff)
		}
	})
}
