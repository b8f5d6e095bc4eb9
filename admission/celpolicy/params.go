package celpolicy

import (
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// param is what a policy is evaluated with: an object, or nothing.
type param struct {
	name  string // namespace and name; empty for nothing
	value any
}

// paramType is the kind of parameters of a policy as it is served.
type paramType struct {
	kind       schema.GroupVersionKind
	namespaced bool
}

// paramTypeOf finds the kind of a policy's parameters, nil if it has none. An error is one of the policy's configuration.
func (c *Config) paramTypeOf(k *admissionregistrationv1.ParamKind) (*paramType, error) {
	if k == nil {
		return nil, nil
	}
	kind := schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)
	_, namespaced, served := c.Params.Kind(kind)
	if !served {
		return nil, fmt.Errorf("failed to find resource referenced by paramKind: '%v'", kind)
	}
	return &paramType{kind, namespaced}, nil
}

// paramsFor returns what a policy is to be evaluated with through a binding: nothing at all if the binding is not about the request.
func (r *request) paramsFor(b *binding, of *paramType) ([]param, error) {
	if b.match != nil {
		if _, matches, err := b.match.matches(r); err != nil || !matches {
			return nil, err
		}
	}
	return r.params(of, b.paramRef)
}

// params returns what the policy is to be evaluated with for a binding, each on its own. None at all means not to evaluate it.
func (r *request) params(of *paramType, by *admissionregistrationv1.ParamRef) ([]param, error) {
	if of == nil || by == nil {
		return []param{{}}, nil
	}
	namespace := ""
	switch {
	case of.namespaced && by.Namespace != "":
		namespace = by.Namespace
	case of.namespaced && r.Attributes.Namespace == "":
		return nil, errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	case of.namespaced:
		namespace = r.Attributes.Namespace
	case by.Namespace != "":
		return nil, errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	}
	objects, err := r.paramObjects(of, by, namespace)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 && by.ParameterNotFoundAction != nil && *by.ParameterNotFoundAction == admissionregistrationv1.DenyAction {
		return nil, errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	list := make([]param, len(objects))
	for i, o := range objects {
		value, err := valueOf(o, of.kind)
		if err != nil {
			return nil, err
		}
		if m, err := meta.Accessor(o); err == nil {
			list[i].name = m.GetNamespace() + "/" + m.GetName()
		}
		list[i].value = value
	}
	return list, nil
}

func (r *request) paramObjects(of *paramType, by *admissionregistrationv1.ParamRef, namespace string) ([]runtime.Object, error) {
	switch {
	case by.Name != "" && by.Selector != nil:
		return nil, errors.New("paramRef.name and paramRef.selector are mutually exclusive")
	case by.Name != "":
		o, err := r.config.Params.Param(r.ctx, of.kind, namespace, by.Name)
		if err != nil || o == nil {
			return nil, err
		}
		return []runtime.Object{o}, nil
	case by.Selector != nil:
		selector, err := metav1.LabelSelectorAsSelector(by.Selector)
		if err != nil {
			return nil, err
		}
		return r.config.Params.Params(r.ctx, of.kind, namespace, selector)
	}
	return nil, errors.New("one of name or selector must be provided")
}
