package main

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// Object implements admission.ObjectReader: from the cache, and live if the cache has none.
func (f *finder) Object(ctx context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, bool, error) {
	return f.get(ctx, "node restriction", api.RequestInfo{Group: resource.Group, Resource: resource.Resource, Namespace: namespace, Name: name}, "0", "")
}

// MakeNamespace implements admission.NamespaceMaker.
func (f *finder) MakeNamespace(ctx context.Context, name string) error {
	data, err := json.Marshal(&corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name},
	})
	if err != nil {
		return err
	}
	permit := authz.System("NamespaceAutoProvision", api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: "namespaces"})
	_, err = f.service.Create(ctx, permit, resource.Body{Data: data}, resource.Write{})
	if api.IsReason(err, metav1.StatusReasonAlreadyExists) {
		return nil
	}
	return err
}

// ownerKinds implements admission.Kinds by the table of what is served.
type ownerKinds struct{ finder *finder }

// Kind implements admission.Kinds.
func (k ownerKinds) Kind(kind schema.GroupVersionKind) (plural string, namespaced, served bool) {
	t, ok := k.finder.service.Table.LookupKind(kind)
	if !ok {
		return "", false, false
	}
	return t.Resource, t.Namespaced, true
}
