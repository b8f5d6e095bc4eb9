package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission/celpolicy"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/fieldmanager"
	"github.com/gatehouse/gatehouse/internal/cel"
	"github.com/gatehouse/gatehouse/resource"
)

// celPolicies are the plugins of the policies that are stored as objects.
func (p *parts) celPolicies(find *finder) (*celpolicy.Mutating, *celpolicy.Validating, celpolicy.Grants) {
	c := celpolicy.Config{
		Kinds: &servedKinds{finder: find}, Params: policyParams{find}, Namespaces: cachedNamespaces{find}, Authorizer: p.chain, Scopes: cel.NewAdmission(),
	}
	const group = admissionregistrationv1.GroupName
	mutating := policySource[*admissionregistrationv1.MutatingAdmissionPolicy, *admissionregistrationv1.MutatingAdmissionPolicyBinding]{
		p, newLister(find, group, "mutatingadmissionpolicies"), newLister(find, group, "mutatingadmissionpolicybindings"),
	}
	validating := policySource[*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding]{
		p, newLister(find, group, "validatingadmissionpolicies"), newLister(find, group, "validatingadmissionpolicybindings"),
	}
	m, v := celpolicy.NewMutating(c, fieldmanager.NewSchema(), mutating), celpolicy.NewValidating(c, validating)
	return m, v, celpolicy.Grants{Config: c, Policies: func(mutating bool, name string) (*admissionregistrationv1.ParamKind, bool) {
		if mutating {
			return m.ParamKind(name)
		}
		return v.ParamKind(name)
	}}
}

// policySource implements celpolicy.Source.
type policySource[P, B resource.Object] struct {
	parts              *parts
	policies, bindings *lister
}

// errNotLoaded is why nothing is admitted before the first state of etcd has been read.
var errNotLoaded = errors.New("admission policies have not been read yet")

// Version implements celpolicy.Source.
func (s policySource[P, B]) Version() (v celpolicy.Version, err error) {
	select {
	case <-s.parts.mirror.Ready():
	default:
		return v, errNotLoaded
	}
	for i, l := range []*lister{s.policies, s.bindings} {
		if v[i], err = l.state(); err != nil {
			return v, err
		}
	}
	return v, nil
}

// Objects implements celpolicy.Source.
func (s policySource[P, B]) Objects() ([]P, []B, error) {
	policies, err := listOf[P](s.policies, "")
	if err != nil {
		return nil, nil, err
	}
	bindings, err := listOf[B](s.bindings, "")
	return policies, bindings, err
}

// state identifies what the cache holds of the resource.
func (l *lister) state() (any, error) {
	t, ok := l.finder.service.Table.Lookup(l.group, "v1", l.resource)
	if !ok {
		return nil, fmt.Errorf("%s is not served", l.resource)
	}
	return l.finder.service.Cache(t).Snapshot().State(), nil
}

// servedKinds implements celpolicy.Kinds.
type servedKinds struct {
	finder      *finder
	equivalents atomic.Pointer[equivalents]
}

// equivalents are what a table has of them. Few resources have any, and every write asks.
type equivalents struct {
	of    *resource.Table
	types map[schema.GroupVersionResource]bool
}

// Equivalents implements celpolicy.Kinds.
func (k *servedKinds) Equivalents(r schema.GroupVersionResource, subresource string) (list []celpolicy.Served) {
	table := k.finder.service.Table
	known := k.equivalents.Load()
	if known == nil || known.of != table {
		known = &equivalents{table, map[schema.GroupVersionResource]bool{}}
		for _, t := range table.Types() {
			if len(table.Equivalents(t.GVR(), "")) > 0 {
				known.types[t.GVR()] = true
			}
		}
		k.equivalents.Store(known)
	}
	if !known.types[r] {
		return nil
	}
	for _, t := range table.Equivalents(r, subresource) {
		list = append(list, celpolicy.Served{Resource: t.GVR(), Kind: t.GVK()})
	}
	return list
}

// Convert implements celpolicy.Kinds.
func (k *servedKinds) Convert(o runtime.Object, to schema.GroupVersionKind) (runtime.Object, error) {
	return k.finder.service.Table.Convert(o, to)
}

// Default implements celpolicy.Kinds.
func (k *servedKinds) Default(kind schema.GroupVersionKind, o runtime.Object) {
	if t, ok := k.finder.service.Table.LookupKind(kind); ok && t.Rules != nil {
		t.Rules.Default(o)
	}
}

// policyParams implements celpolicy.Params from the cache. Its errors are answers, whose texts are fit for clients.
type policyParams struct{ finder *finder }

// Kind implements celpolicy.Params.
func (p policyParams) Kind(kind schema.GroupVersionKind) (plural string, namespaced, served bool) {
	t, ok := p.finder.service.Table.LookupKind(kind)
	if !ok {
		return "", false, false
	}
	return t.Resource, t.Namespaced, true
}

// Param implements celpolicy.Params: from the cache, and live if the cache has none.
func (p policyParams) Param(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (runtime.Object, error) {
	info := p.info(kind, "get")
	info.Namespace, info.Name = namespace, name
	for _, version := range []string{"0", ""} {
		result, err := p.finder.service.Get(ctx, authz.System("admission policy parameters", info), version)
		if api.IsReason(err, metav1.StatusReasonNotFound) {
			continue
		}
		if err != nil {
			return nil, api.ToError(err)
		}
		o, err := result.Type.Decode(result.Item)
		if err != nil {
			return nil, api.ToError(err)
		}
		return o, nil
	}
	return nil, nil
}

// Params implements celpolicy.Params.
func (p policyParams) Params(ctx context.Context, kind schema.GroupVersionKind, namespace string, s labels.Selector) ([]runtime.Object, error) {
	info := p.info(kind, "list")
	info.Namespace = namespace
	result, err := p.finder.service.List(ctx, authz.System("admission policy parameters", info), resource.ListOptions{ResourceVersion: "0", Labels: s})
	if err != nil {
		return nil, api.ToError(err)
	}
	list := make([]runtime.Object, len(result.Items))
	for i, item := range result.Items {
		if list[i], err = result.Type.Decode(item); err != nil {
			return nil, api.ToError(err)
		}
	}
	return list, nil
}

// info is the request for objects of a kind.
func (p policyParams) info(kind schema.GroupVersionKind, verb string) api.RequestInfo {
	t, ok := p.finder.service.Table.LookupKind(kind)
	if !ok {
		return api.RequestInfo{}
	}
	return api.RequestInfo{IsResource: true, Verb: verb, Group: t.Group, Version: t.Version, Resource: t.Resource}
}

// settledNamespaces implements admission.Namespaces from the cache, once that has what this server itself has written: the plugins behind
// NamespaceLifecycle find that in the caches, too.
type settledNamespaces struct{ finder *finder }

// Namespace implements admission.Namespaces.
func (n settledNamespaces) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	if err := n.finder.service.Settled(ctx); err != nil {
		return nil, false, err
	}
	return as[*corev1.Namespace](n.finder.get(ctx, "namespace lifecycle", api.RequestInfo{Resource: "namespaces", Name: name, Namespace: name}, "0"))
}

// cachedNamespaces implements admission.Namespaces for labels, which need not be those of this very moment.
type cachedNamespaces struct{ finder *finder }

// Namespace implements admission.Namespaces: from the cache, and live if the cache has none.
func (c cachedNamespaces) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	return one[*corev1.Namespace](ctx, c.finder, "", "namespaces", name, name)
}
