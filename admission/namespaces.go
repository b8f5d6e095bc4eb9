package admission

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// within reports whether the request is for something in a namespace.
func (a *Attributes) within() bool {
	return a.Namespace != "" && a.Kind.GroupKind() != corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind()
}

// NamespaceExists refuses with 404 every write in a namespace that does not exist, deletes included. It is a Validator and decides like the plugin of that name in
// kube-apiserver.
type NamespaceExists struct {
	// Namespaces is required.
	Namespaces Namespaces
}

// Validate implements [Validator].
func (n NamespaceExists) Validate(ctx context.Context, a *Attributes) error {
	if !a.within() || a.Operation == Connect {
		return nil
	}
	switch _, found, err := n.Namespaces.Namespace(ctx, a.Namespace); {
	case err != nil:
		return api.Internal(err)
	case !found:
		return api.NotFound(schema.GroupResource{Resource: "namespaces"}, a.Namespace)
	}
	return nil
}

// NamespaceMaker makes namespaces.
type NamespaceMaker interface {
	// MakeNamespace makes the namespace unless it exists.
	MakeNamespace(ctx context.Context, name string) error
}

// NamespaceAutoProvision makes the namespace of what is created, if there is none. Whoever may create anything in a namespace can thus create the
// namespace. It is a Mutator and does what the plugin of that name does in kube-apiserver.
type NamespaceAutoProvision struct {
	// Namespaces and Maker are required.
	Namespaces Namespaces
	Maker      NamespaceMaker
}

// Mutate makes the namespace; a dry run makes none.
func (n NamespaceAutoProvision) Mutate(ctx context.Context, a *Attributes) error {
	if !a.within() || a.Operation != Create || a.DryRun {
		return nil
	}
	_, found, err := n.Namespaces.Namespace(ctx, a.Namespace)
	if err == nil && !found {
		err = n.Maker.MakeNamespace(ctx, a.Namespace)
	}
	if err != nil {
		return a.Forbidden(errors.New("its namespace could not be made")).Wrap(err)
	}
	return nil
}

// AlwaysDeny refuses everything. It is a Validator, for tests of what happens then.
type AlwaysDeny struct{}

// Validate refuses with 403.
func (AlwaysDeny) Validate(_ context.Context, a *Attributes) error {
	return a.Forbidden(errors.New("admission control is denying all modifications"))
}
