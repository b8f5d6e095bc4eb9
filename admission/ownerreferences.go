package admission

import (
	"context"
	"fmt"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Kinds tells how kinds are served.
type Kinds interface {
	// Kind returns the resource of a kind and whether it is namespaced; false for a kind that is not served.
	Kind(kind schema.GroupVersionKind) (resource string, namespaced, served bool)
}

// OwnerReferencesPermissionEnforcement keeps users from having garbage collection delete what they may not delete, by an owner that they give to it, and from
// keeping owners from being deleted whose finalizers they may not write. It is a Validator and decides like the plugin of that name in kube-apiserver. The
// server's own loops are not asked.
type OwnerReferencesPermissionEnforcement struct {
	// Authorizer and Kinds are required.
	Authorizer authz.Authorizer
	Kinds      Kinds
}

// Validate refuses with 403.
func (o OwnerReferencesPermissionEnforcement) Validate(ctx context.Context, a *Attributes) error {
	// The status of a pod cannot change its owners.
	if !a.Writes() || a.Permit.IsSystem() || (a.Resource.Group == "" && a.Resource.Resource == "pods" && a.Subresource == "status") {
		return nil
	}
	now, had := owners(a.Object), owners(a.OldObject)
	if slices.EqualFunc(now, had, func(x, y metav1.OwnerReference) bool { return apiequality.Semantic.DeepEqual(x, y) }) {
		return nil
	}
	if a.Operation != Create {
		info := api.RequestInfo{
			IsResource: true, Verb: "delete", Group: a.Resource.Group, Version: a.Resource.Version, Resource: a.Resource.Resource,
			Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name,
		}
		if ok, why := o.may(ctx, a, info); !ok {
			return a.Forbidden(fmt.Errorf("cannot set an ownerRef on a resource you can't delete: %s, <nil>", why))
		}
	}
	return o.blocking(ctx, a, now, had)
}

// blocking checks the owners that are from now on not to be deleted before the object.
func (o OwnerReferencesPermissionEnforcement) blocking(ctx context.Context, a *Attributes, now, had []metav1.OwnerReference) error {
	fresh := slices.DeleteFunc(slices.Clone(now), func(r metav1.OwnerReference) bool {
		return !blocks(r) || slices.ContainsFunc(had, func(h metav1.OwnerReference) bool { return h.UID == r.UID && blocks(h) })
	})
	if len(fresh) == 0 {
		return nil
	}
	everything := api.RequestInfo{IsResource: true, Verb: "update", Group: "*", Version: "*", Resource: "*", Subresource: "finalizers", Name: "*"}
	if ok, _ := o.may(ctx, a, everything); ok {
		return nil
	}
	for _, r := range fresh {
		kind := schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
		resource, namespaced, served := o.Kinds.Kind(kind)
		if !served {
			return a.Forbidden(fmt.Errorf("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %s Kind %s: %w",
				r.APIVersion, r.Kind, &meta.NoKindMatchError{GroupKind: kind.GroupKind(), SearchedVersions: []string{kind.Version}}))
		}
		info := api.RequestInfo{
			IsResource: true, Verb: "update", Group: kind.Group, Version: kind.Version, Resource: resource, Subresource: "finalizers", Name: r.Name,
		}
		if namespaced {
			info.Namespace = a.Namespace // an owner in a namespace is in that of the object
		}
		if ok, why := o.may(ctx, a, info); !ok {
			return a.Forbidden(fmt.Errorf("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %s, <nil>", why))
		}
	}
	return nil
}

// may asks for the user. An error is a no, of which the client is not told why.
func (o OwnerReferencesPermissionEnforcement) may(ctx context.Context, a *Attributes, info api.RequestInfo) (ok bool, why string) {
	decision, why, err := o.Authorizer.Authorize(ctx, a.Permit.User(), info)
	if err != nil {
		return false, ""
	}
	return decision == authz.Allow, why
}

func owners(o runtime.Object) []metav1.OwnerReference {
	if o == nil {
		return nil
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return nil // what has no metadata has no owners
	}
	return m.GetOwnerReferences()
}

func blocks(r metav1.OwnerReference) bool {
	return r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion
}
