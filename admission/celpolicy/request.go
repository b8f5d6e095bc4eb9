package celpolicy

import (
	"context"
	"maps"

	"github.com/google/cel-go/common/types/ref"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/cel"
)

// request is the attributes under admission together with what has been found out about them, each when it was first needed.
type request struct {
	*admission.Attributes
	ctx         context.Context
	config      *Config
	equivalents []Served

	namespace  *corev1.Namespace // of the object
	old        map[schema.GroupVersionKind]any
	requests   map[Served]any
	authorizer ref.Val
	resource   ref.Val
	shown      map[schema.GroupVersionKind]map[string]any
	annotated  map[string]bool
}

// exempt are the resources that policies are never about: policies and bindings, which must be repairable, and reviews, which store nothing.
func exempt(r schema.GroupVersionResource) bool {
	switch r.Group {
	case "admissionregistration.k8s.io":
		switch r.Resource {
		case "validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings":
			return true
		}
	case "authentication.k8s.io", "authorization.k8s.io":
		return true
	}
	return false
}

// namespaceNamed returns a namespace that must be there.
func (r *request) namespaceNamed(name string) (*corev1.Namespace, error) {
	if r.namespace != nil {
		return r.namespace, nil
	}
	namespace, found, err := r.config.Namespaces.Namespace(r.ctx, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, api.NotFound(schema.GroupResource{Resource: "namespaces"}, name)
	}
	r.namespace = namespace
	return namespace, nil
}

// namespaceValue is the variable namespaceObject. A Namespace is not in one.
func (r *request) namespaceValue() (any, error) {
	if r.Namespace == "" || (r.Kind.Kind == "Namespace" && r.Kind.Group == "") {
		return nil, nil
	}
	namespace, err := r.namespaceNamed(r.Namespace)
	if err != nil {
		return nil, err
	}
	return cel.NamespaceValue(namespace)
}

// objectValue is an object as a variable, in the form in which the policy matched it.
func (r *request) objectValue(o runtime.Object, as Served) (map[string]any, error) {
	var err error
	if as.Kind != r.Kind {
		if o, err = r.config.Kinds.Convert(o, as.Kind); err != nil {
			return nil, err
		}
	}
	return valueOf(o, as.Kind)
}

// shownObject is the object as the variable of policies that do not change it.
func (r *request) shownObject(as Served) (map[string]any, error) {
	if m, ok := r.shown[as.Kind]; ok {
		return m, nil
	}
	m, err := r.objectValue(r.Object, as)
	if err != nil {
		return nil, err
	}
	if r.shown == nil {
		r.shown = map[schema.GroupVersionKind]map[string]any{}
	}
	r.shown[as.Kind] = m
	return m, nil
}

// valueOf is an object with its kind, which typed ones may leave out.
func valueOf(o runtime.Object, kind schema.GroupVersionKind) (map[string]any, error) {
	v, err := cel.ObjectValue(o)
	if err != nil {
		return nil, err
	}
	m := v.(map[string]any)
	m["apiVersion"], m["kind"] = kind.ToAPIVersionAndKind()
	return m, nil
}

// requestValue is the variable request.
func (r *request) requestValue(as Served) (any, error) {
	if v, ok := r.requests[as]; ok {
		return v, nil
	}
	user := r.Permit.User()
	kind, resource := metav1.GroupVersionKind(r.Kind), metav1.GroupVersionResource(r.Resource)
	q := &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind(as.Kind), Resource: metav1.GroupVersionResource(as.Resource), SubResource: r.Subresource,
		RequestKind: &kind, RequestResource: &resource, RequestSubResource: r.Subresource, Name: r.Name, Namespace: r.Attributes.Namespace,
		Operation: admissionv1.Operation(r.Operation), DryRun: &r.DryRun, UserInfo: authenticationv1.UserInfo{
			Username: user.Name, UID: user.UID, Groups: user.Groups, Extra: map[string]authenticationv1.ExtraValue{},
		},
	}
	for key, values := range user.Extra {
		q.UserInfo.Extra[key] = values
	}
	if r.Options != nil {
		q.Options.Object = r.Options()
	}
	v, err := cel.RequestValue(q)
	if err != nil {
		return nil, err
	}
	if r.requests == nil {
		r.requests = map[Served]any{}
	}
	r.requests[as] = v
	return v, nil
}

// inputs are the values that all expressions of one policy for one set of parameters are evaluated with, but for the authorizer and the
// variables of the policy.
func (r *request) inputs(as Served, params any, hasParams bool) (map[string]any, error) {
	values := map[string]any{cel.ObjectName: nil, cel.OldObjectName: nil, cel.NamespaceName: nil}
	if hasParams {
		values[cel.ParamsName] = params
	}
	if r.OldObject != nil {
		old, ok := r.old[as.Kind]
		if !ok {
			var err error
			if old, err = r.objectValue(r.OldObject, as); err != nil {
				return nil, err
			}
			if r.old == nil {
				r.old = map[schema.GroupVersionKind]any{}
			}
			r.old[as.Kind] = old
		}
		values[cel.OldObjectName] = old
	}
	var err error
	values[cel.RequestName], err = r.requestValue(as)
	return values, err
}

// allInputs are the inputs together with the object, for policies that do not change it.
func (r *request) allInputs(as Served, params any, hasParams bool) (map[string]any, error) {
	values, err := r.inputs(as, params, hasParams)
	if err == nil && r.Object != nil {
		values[cel.ObjectName], err = r.shownObject(as)
	}
	return values, err
}

// authorized returns the values together with the authorizer.
func (r *request) authorized(values map[string]any) map[string]any {
	if r.authorizer == nil {
		r.authorizer, r.resource = authorizerFor(r)
	}
	with := maps.Clone(values)
	with[cel.AuthorizerName], with[cel.RequestResourceName] = r.authorizer, r.resource
	return with
}
