package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/gatehouse/gatehouse/resource"
)

var (
	anyType     = []string{"*/*"}
	objectTypes = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}
	watchTypes  = append(slices.Clone(objectTypes), "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
	patchTypes  = []string{
		"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
	}
)

// versionRoutes are the operations of every resource of a group version, and its list of resources.
func versionRoutes(table *resource.Table, gv schema.GroupVersion) ([]*route, error) {
	tag := groupName(gv.Group) + "_" + gv.Version
	root := "/" + groupVersionPath(gv) + "/"
	routes := []*route{infoRoute(root, "get"+title(groupName(gv.Group))+title(gv.Version)+"APIResources", tag,
		"get available resources", &metav1.APIResourceList{})}
	for _, t := range table.Types() {
		if t.Group != gv.Group || t.Version != gv.Version {
			continue
		}
		r := resourceRoutes{Type: t, tag: tag, object: t.New(), collection: root + t.Resource}
		if slices.Contains(t.Verbs, "list") {
			list, err := scheme.Scheme.New(gv.WithKind(t.Kind + "List"))
			if err != nil {
				return nil, err
			}
			r.list = list
		}
		if t.Namespaced {
			r.inNamespace, r.scope = "Namespaced", []common.Parameter{objectNamespace}
			r.collection = root + "namespaces/{namespace}/" + t.Resource
		}
		routes = append(routes, r.collectionRoutes()...)
		routes = append(routes, r.objectRoutes()...)
		routes = append(routes, r.watchRoutes(root)...)
		for _, s := range t.Subresources {
			if resource.Connects(t.Group, t.Resource, s.Name) {
				routes = append(routes, r.connectRoutes(s)...)
				continue
			}
			sub, err := r.subresourceRoutes(s)
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", t.GVR(), s.Name, err)
			}
			routes = append(routes, sub...)
		}
	}
	return routes, nil
}

// resourceRoutes makes the routes of one type.
type resourceRoutes struct {
	*resource.Type
	tag          string
	object, list runtime.Object
	collection   string             // path of the collection
	inNamespace  string             // the word in operation names
	scope        []common.Parameter // what the path of the collection holds
}

// operation starts a route: verb is the first word of its operation name, noun the last.
func (r resourceRoutes) operation(method, path, action, verb, noun, description string) *route {
	return &route{
		method: method, path: path, action: action, tag: r.tag, kind: r.GVK(), description: description,
		id:       verb + title(groupName(r.Group)) + title(r.Version) + noun,
		consumes: anyType, produces: objectTypes,
	}
}

func (r resourceRoutes) collectionRoutes() []*route {
	var routes []*route
	if r.Serves("list", "") {
		op := r.operation(http.MethodGet, r.collection, "list", "list", r.inNamespace+r.Kind, r.listing())
		routes = append(routes, op.takes(nil, r.scope, listParameters).streams().answers(r.list, http.StatusOK))
		if r.Namespaced {
			all := "/" + groupVersionPath(r.GVK().GroupVersion()) + "/" + r.Resource
			op := r.operation(http.MethodGet, all, "list", "list", r.Kind+"ForAllNamespaces", r.listing())
			routes = append(routes, op.takes(nil, nil, listParameters).streams().answers(r.list, http.StatusOK))
		}
	}
	if r.Serves("create", "") {
		op := r.operation(http.MethodPost, r.collection, "post", "create", r.inNamespace+r.Kind, "create"+article(r.Kind)+r.Kind)
		routes = append(routes, op.takes(r.object, r.scope, createParameters).
			answers(r.object, http.StatusOK, http.StatusCreated, http.StatusAccepted))
	}
	if r.Serves("deletecollection", "") {
		op := r.operation(http.MethodDelete, r.collection, "deletecollection", "delete", "Collection"+r.inNamespace+r.Kind, "delete collection of "+r.Kind)
		routes = append(routes, op.takes(&metav1.DeleteOptions{}, r.scope, deleteCollectionParameters).
			answers(&metav1.Status{}, http.StatusOK))
	}
	return routes
}

// listing describes a list, which most resources let clients watch.
func (r resourceRoutes) listing() string {
	if r.Serves("watch", "") {
		return "list or watch objects of kind " + r.Kind
	}
	return "list objects of kind " + r.Kind
}

// article is what stands between a verb and a kind: kinds in the plural have no article.
func article(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s") && !strings.HasSuffix(kind, "ss"):
		return " "
	case strings.Contains("AEIOU", kind[:1]):
		return " an "
	}
	return " a "
}

func (r resourceRoutes) objectRoutes() []*route {
	path, scope := r.collection+"/{name}", append(slices.Clone(r.scope), objectName(r.Kind))
	routes := r.readAndWrite(path, scope, r.Verbs, r.GVK(), r.object, "", "")
	if r.Serves("delete", "") {
		op := r.operation(http.MethodDelete, path, "delete", "delete", r.inNamespace+r.Kind, "delete"+article(r.Kind)+r.Kind)
		routes = append(routes, op.takes(&metav1.DeleteOptions{}, scope, deleteParameters).
			answers(r.deleted(), http.StatusOK, http.StatusAccepted))
	}
	return routes
}

// returnDeleted are the resources whose deletion answers with the deleted object; all others answer with a Status.
var returnDeleted = []string{
	"persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas", "serviceaccounts", "services",
	"deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices",
	"csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses",
}

// deleted is the model of the answer to a deletion.
func (r resourceRoutes) deleted() any {
	if slices.Contains(returnDeleted, r.Resource) {
		return r.object
	}
	return &metav1.Status{}
}

// readAndWrite makes the routes that an object and its subresources share.
func (r resourceRoutes) readAndWrite(
	path string, scope []common.Parameter, verbs []string, kind schema.GroupVersionKind, body any, suffix, part string,
) []*route {
	what := part + "the specified " + r.Kind
	noun := r.inNamespace + r.Kind + suffix
	var routes []*route
	for _, verb := range verbs {
		var op *route
		switch verb {
		case "get":
			op = r.operation(http.MethodGet, path, "get", "read", noun, "read "+what).
				takes(nil, scope, nil).answers(body, http.StatusOK)
		case "update":
			op = r.operation(http.MethodPut, path, "put", "replace", noun, "replace "+what).
				takes(body, scope, updateParameters).answers(body, http.StatusOK, http.StatusCreated)
		case "patch":
			op = r.operation(http.MethodPatch, path, "patch", "patch", noun, "partially update "+what).
				takes(&metav1.Patch{}, scope, patchParameters).answers(body, http.StatusOK, http.StatusCreated)
			op.consumes = patchTypes
		default:
			continue
		}
		op.kind = kind
		routes = append(routes, op)
	}
	return routes
}

func (r resourceRoutes) subresourceRoutes(s resource.Subresource) ([]*route, error) {
	kind, body := r.GVK(), r.object
	if s.Kind.Kind != "" {
		o, err := scheme.Scheme.New(s.Kind)
		if err != nil {
			return nil, err
		}
		kind, body = s.Kind, o
	}
	path, scope := r.collection+"/{name}/"+s.Name, append(slices.Clone(r.scope), objectName(kind.Kind))
	routes := r.readAndWrite(path, scope, s.Verbs, kind, body, title(s.Name), s.Name+" of ")
	if slices.Contains(s.Verbs, "create") {
		op := r.operation(http.MethodPost, path, "post", "create", r.inNamespace+r.Kind+title(s.Name), "create "+s.Name+" of"+article(r.Kind)+r.Kind).
			takes(body, scope, createParameters).answers(body, http.StatusOK, http.StatusCreated, http.StatusAccepted)
		op.kind = kind
		routes = append(routes, op)
	}
	return routes, nil
}

// watchRoutes are the watch paths of old; the watch parameter of a list replaces them.
func (r resourceRoutes) watchRoutes(root string) []*route {
	if !r.Serves("watch", "") {
		return nil
	}
	const (
		deprecated = "deprecated: use the 'watch' parameter with a list operation instead"
		filtered   = ", filtered to a single item with the 'fieldSelector' parameter"
	)
	one := "watch changes to an object of kind " + r.Kind + ". " + deprecated + filtered + "."
	many := "watch individual changes to a list of " + r.Kind + ". " + deprecated + "."
	watch := func(path, action, noun, description string, scope []common.Parameter) *route {
		op := r.operation(http.MethodGet, path, action, "watch", noun, description)
		return op.takes(nil, scope, listParameters).streams().answers(&metav1.WatchEvent{}, http.StatusOK)
	}
	collection := root + "watch/" + r.collection[len(root):]
	routes := []*route{
		watch(collection, "watchlist", r.inNamespace+r.Kind+"List", many, r.scope),
		watch(collection+"/{name}", "watch", r.inNamespace+r.Kind, one, append(slices.Clone(r.scope), objectName(r.Kind))),
	}
	if r.Namespaced {
		routes = append(routes, watch(root+"watch/"+r.Resource, "watchlist", r.Kind+"ListForAllNamespaces", many, nil))
	}
	return routes
}

// takes adds the parameters and the body of a request.
func (r *route) takes(body any, scope, query []common.Parameter) *route {
	r.parameters = slices.Concat(scope, query, []common.Parameter{pretty})
	if body == nil {
		return r
	}
	r.body = body
	if _, optional := body.(*metav1.DeleteOptions); optional {
		r.parameters = append(r.parameters, optionalBody)
	} else {
		r.parameters = append(r.parameters, requiredBody)
	}
	return r
}

// streams adds the media types of a watch.
func (r *route) streams() *route {
	r.produces = watchTypes
	return r
}

// answers adds one model under several codes.
func (r *route) answers(model any, codes ...int) *route {
	for _, code := range codes {
		r.responses = append(r.responses, response{code: code, message: http.StatusText(code), model: model})
	}
	return r
}
