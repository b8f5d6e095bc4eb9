package main

import (
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"
)

// route is one operation of the API, in the form the builders of kube-openapi read.
type route struct {
	method, path, id, tag, description string

	action     string // x-kubernetes-action; empty for documents about the API itself
	kind       schema.GroupVersionKind
	parameters []common.Parameter
	consumes   []string
	produces   []string
	body       any // nil for no body
	responses  []common.StatusCodeResponse
}

func (r *route) Method() string                                   { return r.method }
func (r *route) Path() string                                     { return r.path }
func (r *route) OperationName() string                            { return r.id }
func (r *route) Parameters() []common.Parameter                   { return r.parameters }
func (r *route) Description() string                              { return r.description }
func (r *route) Consumes() []string                               { return r.consumes }
func (r *route) Produces() []string                               { return r.produces }
func (r *route) RequestPayloadSample() any                        { return r.body }
func (r *route) ResponsePayloadSample() any                       { return nil }
func (r *route) StatusCodeResponses() []common.StatusCodeResponse { return r.responses }

// Metadata holds the two extensions kubectl looks operations up by.
func (r *route) Metadata() map[string]any {
	if r.action == "" {
		return nil
	}
	return map[string]any{
		"x-kubernetes-action": r.action,
		"x-kubernetes-group-version-kind": metav1.GroupVersionKind{
			Group: r.kind.Group, Version: r.kind.Version, Kind: r.kind.Kind,
		},
	}
}

// service is a set of routes.
type service []*route

func (service) RootPath() string                   { return "" }
func (service) PathParameters() []common.Parameter { return nil }

func (s service) Routes() []common.Route {
	routes := make([]common.Route, len(s))
	for i, r := range s {
		routes[i] = r
	}
	return routes
}

// response is one possible answer of a route.
type response struct {
	code    int
	message string
	model   any
}

func (r response) Code() int       { return r.code }
func (r response) Message() string { return r.message }
func (r response) Model() any      { return r.model }

// parameter is one parameter of a route.
type parameter struct {
	name, description, dataType string
	kind                        common.ParameterKind
	required                    bool
}

func (p parameter) Name() string               { return p.name }
func (p parameter) Description() string        { return p.description }
func (p parameter) Required() bool             { return p.required }
func (p parameter) Kind() common.ParameterKind { return p.kind }
func (p parameter) DataType() string           { return p.dataType }
func (p parameter) AllowMultiple() bool        { return false }

// groupName is the group as operation names hold it: rbac.authorization.k8s.io is rbacAuthorization.
func groupName(group string) string {
	if group == "" {
		return "core"
	}
	var b strings.Builder
	for i, part := range strings.Split(strings.TrimSuffix(group, ".k8s.io"), ".") {
		if i > 0 {
			part = title(part)
		}
		b.WriteString(part)
	}
	return b.String()
}

// title upper-cases the first letter.
func title(s string) string {
	r := []rune(s)
	if len(r) > 0 {
		r[0] = unicode.ToUpper(r[0])
	}
	return string(r)
}
