package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// MaxPathBytes bounds the path of a request, in bytes as sent.
const MaxPathBytes = 8 << 10

// RequestInfo says what a request asks for. It is made once, by [ParseRequest]; every later
// stage decides on it and on nothing else, so what is authorized is what is done.
type RequestInfo struct {
	// IsResource tells a request for API objects from one for any other path.
	IsResource bool
	// Path is the decoded path as routed, without a trailing slash.
	Path string
	// Verb is the Kubernetes verb (get, list, watch, create, update, patch, delete,
	// deletecollection), or the lower-case HTTP method where IsResource is false.
	Verb string
	// Group is the API group, empty for the core group.
	Group string
	// Version is the API version.
	Version string
	// Namespace is empty for cluster-scoped resources and for requests across all namespaces.
	Namespace string
	// Resource is the plural resource name, for example "pods".
	Resource string
	// Subresource is for example "status", or empty.
	Subresource string
	// Name is the object's name; empty for collections. A list or watch whose field selector
	// pins metadata.name carries that name here, as RBAC resourceNames expect.
	Name string
	// Tail holds the path segments after the subresource (as in .../proxy/a/b).
	Tail []string
	// TrailingSlash is set where the path to a proxy ends with a slash, which is then a part of the path at the target.
	TrailingSlash bool
	// FieldSelector and LabelSelector are the raw selectors of a list, watch or
	// deletecollection, for authorizers that look at them. A watch below the older
	// prefix /watch/ has none here.
	FieldSelector, LabelSelector string
}

// GroupResource names the resource without its version.
func (r RequestInfo) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Resource}
}

// IsReadOnly reports whether the verb cannot change anything.
func (r RequestInfo) IsReadOnly() bool {
	switch r.Verb {
	case "get", "list", "watch", "head", "options":
		return true
	}
	return false
}

// ResourceWithSub is the resource as RBAC rules write it: "pods" or "pods/status".
func (r RequestInfo) ResourceWithSub() string {
	if r.Subresource == "" {
		return r.Resource
	}
	return r.Resource + "/" + r.Subresource
}

// ParseRequest derives the request info from method and URL. The path is split as sent and each
// segment is decoded on its own; a segment that is empty, a dot segment, holds an encoded slash, a percent sign
// or a control character is refused with 400, so no two stages can read one path in two ways.
//
// The methods are GET, HEAD, POST, PUT, PATCH and DELETE, and OPTIONS for what is no resource and for proxies, where it has no verb;
// below the older prefix /watch/ only GET. Any other is refused with 405, so that no method is taken for a verb.
func ParseRequest(method string, u *url.URL) (RequestInfo, error) {
	if !slices.Contains(methods, method) {
		return RequestInfo{}, MethodNotAllowed()
	}
	path, segments, err := splitPath(u)
	if err != nil {
		return RequestInfo{}, err
	}
	info := RequestInfo{Path: path}
	var rest []string
	switch {
	case len(segments) >= 3 && segments[0] == "api":
		info.Version, rest = segments[1], segments[2:]
	case len(segments) >= 4 && segments[0] == "apis":
		info.Group, info.Version, rest = segments[1], segments[2], segments[3:]
	default:
		info.Verb = strings.ToLower(method)
		return info, nil
	}
	info.IsResource = true
	legacyWatch := rest[0] == "watch"
	if legacyWatch && method != http.MethodGet {
		return RequestInfo{}, MethodNotAllowed()
	}
	if legacyWatch {
		if rest = rest[1:]; len(rest) == 0 {
			return RequestInfo{}, BadRequest("the path %q names no resource to watch", info.Path)
		}
	}
	info.setTarget(rest)
	if info.Subresource == "proxy" {
		info.TrailingSlash = strings.HasSuffix(u.EscapedPath(), "/")
	} else if method == http.MethodOptions {
		return RequestInfo{}, MethodNotAllowed()
	}
	var query url.Values
	if u.RawQuery != "" {
		query = u.Query()
	}
	info.setVerb(method, query, legacyWatch)
	return info, nil
}

// methods are those that a request may have.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// setTarget reads [namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE[/...]]].
func (r *RequestInfo) setTarget(rest []string) {
	if rest[0] == "namespaces" && len(rest) > 1 {
		r.Namespace = rest[1]
		namespaceSub := len(rest) == 3 && (rest[2] == "status" || rest[2] == "finalize")
		if len(rest) > 2 && !namespaceSub {
			rest = rest[2:]
		}
	}
	r.Resource = rest[0]
	if len(rest) > 1 {
		r.Name = rest[1]
	}
	if len(rest) > 2 {
		r.Subresource = rest[2]
	}
	if len(rest) > 3 {
		r.Tail = rest[3:]
	}
}

func (r *RequestInfo) setVerb(method string, query url.Values, legacyWatch bool) {
	switch method {
	case http.MethodOptions:
		r.Verb = "" // Only whoever may use every verb may use this one.
	case http.MethodPost:
		r.Verb = "create"
	case http.MethodGet, http.MethodHead:
		r.Verb = "get"
	case http.MethodPut:
		r.Verb = "update"
	case http.MethodPatch:
		r.Verb = "patch"
	case http.MethodDelete:
		r.Verb = "delete"
	}
	if r.Name == "" || legacyWatch {
		switch {
		case r.Verb == "get" && (legacyWatch || isTrue(query, "watch")):
			r.Verb = "watch"
		case r.Verb == "get":
			r.Verb = "list"
		case r.Verb == "delete":
			r.Verb = "deletecollection"
		}
	}
	// Below the older prefix a selector narrows what is watched by name or not at all: nobody decides by it.
	if !legacyWatch && slices.Contains([]string{"list", "watch", "deletecollection"}, r.Verb) {
		r.FieldSelector, r.LabelSelector = query.Get("fieldSelector"), query.Get("labelSelector")
		if r.Name == "" && r.Verb != "deletecollection" {
			if name, ok := NameFromFieldSelector(r.FieldSelector); ok {
				r.Name = name
			}
		}
	}
}

// isTrue reads a boolean query parameter as Kubernetes does: present without a value, or any value
// but "false" and "0", is true.
func isTrue(query url.Values, key string) bool {
	values, ok := query[key]
	return ok && len(values) > 0 && values[0] != "false" && values[0] != "0"
}

// splitPath returns the segments of the path, decoded, and what they are together.
func splitPath(u *url.URL) (path string, segments []string, err error) {
	raw := u.EscapedPath()
	if len(raw) > MaxPathBytes {
		return "", nil, BadRequest("the path is %d bytes long, the limit is %d", len(raw), MaxPathBytes)
	}
	if !strings.HasPrefix(raw, "/") {
		return "", nil, BadRequest("the path must begin with a slash")
	}
	path = strings.TrimSuffix(raw, "/")
	if len(path) <= 1 {
		return "/", nil, nil
	}
	segments = strings.Split(path[1:], "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return "", nil, BadRequest("path segment %d is not correctly percent-encoded", i+1)
		}
		if bad := badSegment(decoded); bad != "" {
			return "", nil, BadRequest("path segment %d %s", i+1, bad)
		}
		segments[i] = decoded
	}
	if strings.Contains(path, "%") {
		path = "/" + strings.Join(segments, "/")
	}
	return path, segments, nil
}

func badSegment(s string) string {
	switch {
	case s == "":
		return "is empty"
	case s == "." || s == "..":
		return "is a dot segment"
	case strings.ContainsAny(s, "/%\\"):
		return "holds an encoded slash, backslash or percent sign"
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\uFFFD' }):
		return "holds a control or undecodable character"
	}
	return ""
}
