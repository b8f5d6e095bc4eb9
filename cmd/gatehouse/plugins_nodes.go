package main

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// Object implements admission.ObjectReader: from the cache, and live if the cache has none.
func (f *finder) Object(ctx context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, bool, error) {
	return f.get(ctx, "node restriction", api.RequestInfo{Group: resource.Group, Resource: resource.Resource, Namespace: namespace, Name: name}, "0", "")
}
