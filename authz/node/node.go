// Package node decides what nodes (their kubelets) may do, as kube-apiserver's Node authorizer does.
//
// A node is a user system:node:NAME in the group system:nodes. It may read the secrets, config maps, claims and volumes of the pods
// that are bound to it and nobody else's, its own Node, lease and CSINode, and little besides. An [Authorizer] never denies: what
// it does not allow is left to the authorizers after it. What the name of an object does not tell (what a new object holds, what a
// change changes) is for the admission plugin NodeRestriction, without which a node can write more than its own.
//
// What a node has to do with is in a [Graph], which somebody has to feed. A graph that was fed only in part allows less, never more.
// With the gates of kube-apiserver 1.36: selectors are looked at, pod certificate requests and cluster trust bundles are not served.
package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Authorizer allows nodes what is theirs. It is safe for concurrent use.
type Authorizer struct{ graph *Graph }

// New returns an authorizer that decides by the graph.
func New(g *Graph) *Authorizer { return &Authorizer{g} }

// Authorize allows what the node that the user is may do, and has no opinion otherwise. The error is always nil.
func (a *Authorizer) Authorize(_ context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	name, ok := user.Node()
	switch {
	case !ok:
		return authz.NoOpinion, "", nil
	case name == "":
		return authz.NoOpinion, fmt.Sprintf("unknown node for user %q", user.Name), nil
	}
	allowed, reason := false, ""
	if info.IsResource {
		allowed, reason = a.decide(name, &info)
	}
	if allowed {
		return authz.Allow, "", nil
	}
	return authz.NoOpinion, reason, nil
}

// errNoRules is what a review of rules says about a node.
var errNoRules = errors.New("node authorizer does not support user rule resolution")

// RulesFor returns no rules, and an error for nodes: what they may do depends on the objects and cannot be told in advance.
func (*Authorizer) RulesFor(user api.User, _ string) ([]rbacv1.PolicyRule, error) {
	if _, ok := user.Node(); ok {
		return nil, errNoRules
	}
	return nil, nil
}

// decide returns whether the node may, and if not, why.
func (a *Authorizer) decide(node string, r *api.RequestInfo) (bool, string) {
	switch r.GroupResource().String() {
	case "secrets":
		return a.readInNamespace(node, secrets, r)
	case "configmaps":
		return a.readInNamespace(node, configMaps, r)
	case "persistentvolumeclaims":
		if r.Subresource == "status" {
			return a.changeStatus(node, claims, r)
		}
		return a.get(node, claims, r)
	case "persistentvolumes":
		return a.get(node, volumes, r)
	case "resourceclaims.resource.k8s.io":
		return a.get(node, resourceClaims, r)
	case "volumeattachments.storage.k8s.io":
		return a.get(node, attachments, r)
	case "serviceaccounts":
		return a.serviceAccount(node, r)
	case "leases.coordination.k8s.io":
		return lease(node, r)
	case "csinodes.storage.k8s.io":
		return csiNode(node, r)
	case "resourceslices.resource.k8s.io":
		return a.slice(node, r)
	case "nodes":
		return itself(node, r)
	case "pods":
		return a.pod(node, r)
	case "podcertificaterequests.certificates.k8s.io":
		return false, ""
	}
	return common(r), ""
}

// related looks the object of the request up in the graph.
func (a *Authorizer) related(node string, k kind, r *api.RequestInfo) (bool, string) {
	if r.Name == "" {
		return false, "No Object name found"
	}
	if a.graph.edges.has(edge{object{k, r.Namespace, r.Name}, node}) {
		return true, ""
	}
	return false, fmt.Sprintf("no relationship found between node '%s' and this object", node)
}

func (a *Authorizer) get(node string, k kind, r *api.RequestInfo) (bool, string) {
	switch {
	case r.Verb != "get":
		return false, "can only get individual resources of this type"
	case r.Subresource != "":
		return false, "cannot get subresource"
	}
	return a.related(node, k, r)
}

// readInNamespace is for single objects, got by name or listed and watched by a selector that pins the name.
func (a *Authorizer) readInNamespace(node string, k kind, r *api.RequestInfo) (bool, string) {
	switch {
	case r.Verb != "get" && r.Verb != "list" && r.Verb != "watch":
		return false, "can only read resources of this type"
	case r.Subresource != "":
		return false, "cannot read subresource"
	case r.Namespace == "":
		return false, "can only read namespaced object of this type"
	}
	return a.related(node, k, r)
}

func (a *Authorizer) changeStatus(node string, k kind, r *api.RequestInfo) (bool, string) {
	if r.Verb != "update" && r.Verb != "patch" {
		return false, "can only get/update/patch this type"
	}
	return a.related(node, k, r)
}

func (a *Authorizer) serviceAccount(node string, r *api.RequestInfo) (bool, string) {
	switch {
	case r.Verb == "get" && r.Subresource == "":
		return a.readInNamespace(node, serviceAccounts, r)
	case r.Verb != "create" || r.Name == "":
		return false, "can only create tokens for individual service accounts"
	case r.Subresource != "token":
		return false, "can only create token subresource of serviceaccount"
	}
	return a.related(node, serviceAccounts, r)
}

func (a *Authorizer) slice(node string, r *api.RequestInfo) (bool, string) {
	if r.Subresource != "" {
		return false, "cannot authorize ResourceSlice subresources"
	}
	switch r.Verb {
	case "create":
		return true, "" // What it holds is for NodeRestriction.
	case "get", "update", "patch", "delete":
		return a.related(node, resourceSlices, r)
	case "watch", "list", "deletecollection":
		if selects(r, "spec.nodeName", node) {
			return true, ""
		}
		return false, "can only list/watch/deletecollection resourceslices with nodeName field selector"
	}
	return false, "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection"
}

func (a *Authorizer) pod(node string, r *api.RequestInfo) (bool, string) {
	switch r.Subresource + " " + r.Verb {
	case " get":
		return a.get(node, pods, r)
	case " list", " watch":
		switch {
		case selects(r, "spec.nodeName", node):
			return true, ""
		case r.Name != "":
			return a.related(node, pods, r)
		}
		return false, "can only list/watch pods with spec.nodeName field selector"
	case " create", " delete", "status update", "status patch", "eviction create":
		return true, "" // Of which pods, and what in them, is for NodeRestriction.
	}
	return false, ""
}

// itself is about Node objects. The name is compared, not looked up: a node reads its own object before it has made it.
func itself(node string, r *api.RequestInfo) (bool, string) {
	switch r.Subresource + " " + r.Verb {
	case " create", " update", " patch", "status update", "status patch":
		return true, "" // Of which node, and what in it, is for NodeRestriction.
	case " get", " list", " watch":
		switch r.Name {
		case node:
			return true, ""
		case "":
			return false, fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node)
		}
		return false, fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, r.Name)
	}
	return false, ""
}

func lease(node string, r *api.RequestInfo) (bool, string) {
	switch {
	case !ownVerb(r.Verb):
		return false, "can only get, create, update, patch, or delete a node lease"
	case r.Namespace != corev1.NamespaceNodeLease:
		return false, fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case r.Verb != "create" && r.Name != node: // A new one's name is for NodeRestriction.
		return false, "can only access node lease with the same name as the requesting node"
	}
	return true, ""
}

func csiNode(node string, r *api.RequestInfo) (bool, string) {
	switch {
	case !ownVerb(r.Verb):
		return false, "can only get, create, update, patch, or delete a CSINode"
	case r.Subresource != "":
		return false, "cannot authorize CSINode subresources"
	case r.Verb != "create" && r.Name != node:
		return false, "can only access CSINode with the same name as the requesting node"
	}
	return true, ""
}

func ownVerb(verb string) bool {
	switch verb {
	case "get", "create", "update", "patch", "delete":
		return true
	}
	return false
}

// selects reports whether the request's field selector asks for one value of the field. A selector that cannot be read selects
// nothing in particular.
func selects(r *api.RequestInfo, field, value string) bool {
	selector, err := api.ParseFieldSelector(r.FieldSelector)
	if err != nil {
		return false
	}
	for _, term := range selector.Requirements() {
		if term.Field == field && term.Value == value && (term.Operator == selection.Equals || term.Operator == selection.DoubleEquals) {
			return true
		}
	}
	return false
}

// common are the rights that every node has, whatever the name of the object.
func common(r *api.RequestInfo) bool {
	verbs := ""
	switch r.ResourceWithSub() + "." + r.Group {
	case "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io", "localsubjectaccessreviews.authorization.k8s.io":
		verbs = "create"
	case "services.", "csidrivers.storage.k8s.io", "runtimeclasses.node.k8s.io":
		verbs = "get list watch"
	case "events.", "events.events.k8s.io":
		verbs = "create update patch"
	case "endpoints.":
		verbs = "get"
	case "certificatesigningrequests.certificates.k8s.io":
		verbs = "create get list watch"
	}
	for verb := range strings.FieldsSeq(verbs) {
		if verb == r.Verb {
			return true
		}
	}
	return false
}
