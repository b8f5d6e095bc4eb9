package admission

import (
	"context"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// ObjectReader finds objects that others name.
type ObjectReader interface {
	// Object returns an object, which the caller does not change, and whether there is one. The resource is in the plural; the
	// namespace is empty for what has none. It is as current as a consistent read where there is none.
	Object(ctx context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, bool, error)
}

// NodeRestriction keeps what a node writes to what is its own: its Node without the labels and taints that decide which pods it gets,
// its lease and CSINode, the status of its pods, mirror pods that name nothing, and tokens for its pods. It decides like the plugin
// of that name in kube-apiserver 1.36, where pod certificate requests are off. Other users are not asked.
//
// It is a Mutator that changes nothing: like the plugin it comes before those that complete an object, and refuses what was
// sent. As a Validator it looks at deletions.
type NodeRestriction struct {
	// Objects and Authorizer are required. The Authorizer is asked for audiences of tokens that a pod does not mention.
	Objects    ObjectReader
	Authorizer authz.Authorizer
}

// Mutate refuses creations and updates by nodes of what is not theirs. Refusals are 403, and 404 for a pod that is not there.
func (n NodeRestriction) Mutate(ctx context.Context, a *Attributes) error {
	if !a.Writes() {
		return nil
	}
	return n.check(ctx, a)
}

// Validate refuses deletions by nodes of what is not theirs.
func (n NodeRestriction) Validate(ctx context.Context, a *Attributes) error {
	if a.Operation != Delete {
		return nil
	}
	return n.check(ctx, a)
}

func (n NodeRestriction) check(ctx context.Context, a *Attributes) error {
	user := a.Permit.User()
	node, ok := user.Node()
	switch {
	case !ok:
		return nil
	case node == "":
		return a.Forbidden(fmt.Errorf("could not determine node from user %q", user.Name))
	}
	switch a.Resource.GroupResource() {
	case schema.GroupResource{Resource: "pods"}:
		return n.pod(ctx, a, node)
	case schema.GroupResource{Resource: "nodes"}:
		return checkNode(a, node)
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return checkClaim(a, node)
	case schema.GroupResource{Resource: "serviceaccounts"}:
		return n.token(ctx, a, node)
	case schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}:
		if a.Namespace != corev1.NamespaceNodeLease {
			return a.Forbidden(fmt.Errorf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease))
		}
		return checkNamesake(a, node, "node lease")
	case schema.GroupResource{Group: storagev1.GroupName, Resource: "csinodes"}:
		return checkNamesake(a, node, "CSINode")
	case schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceslices"}:
		return checkSlice(a, node)
	case schema.GroupResource{Group: certificatesv1.GroupName, Resource: "certificatesigningrequests"}:
		return checkNodeCSR(a, node)
	}
	return nil
}

// checkNamesake is for objects of which a node has one, called like itself.
func checkNamesake(a *Attributes, node, what string) error {
	name := target(a)
	if name != node {
		return a.Forbidden(fmt.Errorf("can only access %s with the same name as the requesting node", what))
	}
	return nil
}

// target is the name of the object that will be written: of a new one, as it says itself, and of another one, as it is stored.
func target(a *Attributes) string {
	object := a.OldObject
	if a.Operation == Create {
		object = a.Object
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return "" // which is no node's
	}
	return m.GetName()
}

// checkSlice is about creations, whose content the authorizer does not see, and deletions, of which one request may be for many. An
// update cannot change the node.
func checkSlice(a *Attributes, node string) error {
	object, verb := a.Object, "create"
	switch a.Operation {
	case Update:
		return nil
	case Delete:
		object, verb = a.OldObject, "delete"
	}
	slice, ok := object.(*resourcev1.ResourceSlice)
	if !ok {
		return a.Undecoded()
	}
	if slice.Spec.NodeName == nil || *slice.Spec.NodeName != node {
		return a.Forbidden(errors.New("can only " + verb + " ResourceSlice with the same NodeName as the requesting node"))
	}
	return nil
}

// checkNodeCSR keeps a node from asking for the certificate of another one.
func checkNodeCSR(a *Attributes, node string) error {
	if a.Operation != Create {
		return nil
	}
	csr, err := signingRequest(a.Object)
	if err != nil {
		return err
	}
	if s := csr.Spec.SignerName; s != certificatesv1.KubeletServingSignerName && s != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return nil
	}
	request, err := parseCSR(csr.Spec.Request)
	if err != nil {
		return a.Forbidden(fmt.Errorf("unable to parse csr: %w", err))
	}
	if request.Subject.CommonName != api.NodePrefix+node {
		return a.Forbidden(fmt.Errorf("can only create a node CSR with CN=system:node:%s", node))
	}
	return nil
}

// find returns an object that a node names. Where there is none, that is told as 404 with the resource in the singular, which is
// written after its plural.
func find[T runtime.Object](ctx context.Context, objects ObjectReader, group, plural, singular, namespace, name string) (T, error) {
	var none T
	o, found, err := objects.Object(ctx, schema.GroupResource{Group: group, Resource: plural}, namespace, name)
	switch {
	case err != nil:
		return none, api.ToError(err)
	case !found:
		return none, api.NotFound(schema.GroupResource{Group: group, Resource: singular}, name)
	}
	typed, ok := o.(T)
	if !ok {
		return none, api.Internal(fmt.Errorf("admission: %s: unexpected %T", plural, o))
	}
	return typed, nil
}
