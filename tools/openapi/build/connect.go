package main

import (
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/gatehouse/gatehouse/resource"
)

// Subresources that lead to something that runs have no model: what they take is in the query, and what they answer is not this server's.

// connectMethods are the methods of a connection, in the words of operation names. Proxies take all.
func connectMethods(subresource string) []string {
	if subresource == "proxy" {
		return []string{
			http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut,
		}
	}
	return []string{http.MethodGet, http.MethodPost}
}

// methodTitles is how operation names write methods.
var methodTitles = map[string]string{
	http.MethodDelete: "Delete", http.MethodGet: "Get", http.MethodHead: "Head", http.MethodOptions: "Options",
	http.MethodPatch: "Patch", http.MethodPost: "Post", http.MethodPut: "Put",
}

// connectOptions are the query parameters of a subresource.
func connectOptions(kind string) []common.Parameter {
	switch kind {
	case "PodExecOptions":
		return optionParameters(corev1.PodExecOptions{})
	case "PodAttachOptions":
		return optionParameters(corev1.PodAttachOptions{})
	case "PodPortForwardOptions":
		return optionParameters(corev1.PodPortForwardOptions{})
	case "PodProxyOptions":
		return optionParameters(corev1.PodProxyOptions{})
	case "ServiceProxyOptions":
		return optionParameters(corev1.ServiceProxyOptions{})
	case "NodeProxyOptions":
		return optionParameters(corev1.NodeProxyOptions{})
	}
	return nil
}

// connectRoutes are the operations of a subresource that connects.
func (r resourceRoutes) connectRoutes(s resource.Subresource) []*route {
	path := r.collection + "/{name}/" + s.Name
	if s.Name == "log" {
		op := r.operation(http.MethodGet, path, "get", "read", r.inNamespace+r.Kind+"Log", "read log of the specified "+r.Kind)
		scope := append(slices.Clone(r.scope), objectName(r.Kind))
		op.takes(nil, scope, optionParameters(corev1.PodLogOptions{})).answers("", http.StatusOK)
		op.produces = append([]string{"text/plain"}, objectTypes...)
		return []*route{op}
	}
	scope := append(slices.Clone(r.scope), objectName(s.Kind.Kind))
	routes := r.connect(s, path, "", scope)
	if s.Name == "proxy" {
		tail := parameter{name: "path", dataType: "string", kind: common.PathParameterKind, required: true, description: "path to the resource"}
		routes = append(routes, r.connect(s, path+"/{path}", "WithPath", append(scope, tail))...)
	}
	return routes
}

func (r resourceRoutes) connect(s resource.Subresource, path, suffix string, scope []common.Parameter) []*route {
	var routes []*route
	for _, method := range connectMethods(s.Name) {
		op := r.operation(method, path, "connect", "connect", methodTitles[method]+r.inNamespace+r.Kind+title(s.Name)+suffix,
			"connect "+method+" requests to "+s.Name+" of "+r.Kind)
		op.kind, op.produces = s.Kind, anyType
		op.parameters = slices.Concat(scope, connectOptions(s.Kind.Kind))
		routes = append(routes, op.answers("", http.StatusOK))
	}
	return routes
}
