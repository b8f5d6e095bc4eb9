package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// Namespaces finds namespaces.
type Namespaces interface {
	// Namespace returns the stored namespace, as current as a consistent read, and whether it exists. The object is not changed by
	// the caller.
	Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error)
}

// NamespaceLifecycle keeps objects from being created where they would outlive their namespace, and the namespaces that the
// cluster itself needs from being deleted. It is a Validator and a Mutator, to be asked first, and decides like the plugin of that
// name in kube-apiserver, except that kube-node-lease cannot be deleted either.
//
// As a Mutator it changes nothing: it looks before any other plugin, so that a missing namespace is not told as something
// that is missing in it.
//
// With several servers, one that has not heard of a deletion must not create in what is gone. To ask etcd before each create was a tenth of its
// cost, and left the time between question and write open. Instead a namespace in the cache will do, and whoever writes makes the
// write depend on it ([Attributes.SeenNamespace]).
type NamespaceLifecycle struct {
	// Namespaces is required, and reads consistently.
	Namespaces Namespaces
	// Cached is asked first, and may be late in what it knows of other servers' writes; nil is not asked. Nobody is refused by what it says.
	Cached Namespaces
}

// Mutate refuses like Validate, which then does not look again.
func (l NamespaceLifecycle) Mutate(ctx context.Context, a *Attributes) (err error) {
	if !l.concerns(a) {
		return l.Validate(ctx, a)
	}
	if l.Cached != nil {
		ns, found, err := l.Cached.Namespace(ctx, a.Namespace)
		if err == nil && found && admits(ns, a) {
			a.namespace = ns
			return nil
		}
	}
	a.namespace, err = l.look(ctx, a)
	return err
}

// Validate refuses with 404 in a namespace that does not exist and 403 in one that is terminating.
func (l NamespaceLifecycle) Validate(ctx context.Context, a *Attributes) error {
	if a.Kind.GroupKind() == (schema.GroupKind{Kind: "Namespace"}) && a.Operation == Delete && slices.Contains(requiredNamespaces(), a.Name) {
		return a.Forbidden(errors.New("this namespace may not be deleted"))
	}
	if !l.concerns(a) || a.namespace != nil {
		return nil
	}
	_, err := l.look(ctx, a)
	return err
}

// concerns says whether it matters for the request which namespace there is.
func (l NamespaceLifecycle) concerns(a *Attributes) bool {
	return a.within() && a.Operation != Delete && a.Operation != Connect && !a.isAccessReview()
}

func admits(ns *corev1.Namespace, a *Attributes) bool {
	return a.Operation != Create || (ns.Status.Phase != corev1.NamespaceTerminating && ns.DeletionTimestamp == nil)
}

// look reads the namespace, and refuses if the request has no place in it.
func (l NamespaceLifecycle) look(ctx context.Context, a *Attributes) (*corev1.Namespace, error) {
	ns, found, err := l.Namespaces.Namespace(ctx, a.Namespace)
	if err != nil {
		return nil, api.ToError(err)
	}
	if !found {
		return nil, api.NotFound(schema.GroupResource{Resource: "namespaces"}, a.Namespace)
	}
	if admits(ns, a) {
		return ns, nil
	}
	refusal := a.Forbidden(fmt.Errorf("unable to create new content in namespace %s because it is being terminated", a.Namespace))
	refusal.Status.Details.Causes = append(refusal.Status.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", a.Namespace),
		Field:   "metadata.namespace",
	})
	return nil, refusal
}

// requiredNamespaces are those that the control plane works in.
func requiredNamespaces() []string {
	return []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}
}

// isAccessReview tells the one namespaced kind that is answered and not stored: its answer must not depend on whether the namespace
// exists.
func (a *Attributes) isAccessReview() bool {
	return a.Resource.Group == "authorization.k8s.io" && a.Resource.Resource == "localsubjectaccessreviews"
}
