package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// The reference checks metadata twice: once for all kinds, where a name need only fit a path, and again among the rules of most kinds,
// where it has to be a name of that kind. Nothing merges what both find, so an answer has a cause for each time a fault was seen, and
// how often that is differs by kind. Clients read causes, so the table below says it as the reference has it.

// metaPass is one look at the metadata among the rules of a kind.
type metaPass byte

const (
	metaForm   metaPass = 'f' // the form of everything, the name included
	metaChange metaPass = 'c' // what an update may change
)

// metaRules say how the rules of a kind look at metadata. The passes are letters in their order.
type metaRules struct {
	create, update, parts string // on create, on update, on update through a subresource
	plain                 bool   // finalizers need no domain
	fixed                 bool   // the status subresource does not write metadata at all
}

func metaRulesOf(group, resource string) metaRules {
	r := metaRules{create: "f", update: "c", parts: "c"}
	switch group + "/" + resource {
	case "/configmaps", "/endpoints", "/pods", "/secrets", "/serviceaccounts", "/persistentvolumeclaims",
		"apps/controllerrevisions", "networking.k8s.io/ingresses", "networking.k8s.io/ingressclasses",
		"storage.k8s.io/volumeattributesclasses":
		r.update = "cf"
	case "/namespaces", "/nodes", "batch/jobs", "networking.k8s.io/ipaddresses", "rbac.authorization.k8s.io/roles",
		"rbac.authorization.k8s.io/clusterroles", "rbac.authorization.k8s.io/rolebindings", "rbac.authorization.k8s.io/clusterrolebindings",
		"resource.k8s.io/deviceclasses", "resource.k8s.io/resourceclaimtemplates", "storage.k8s.io/csistoragecapacities",
		"storage.k8s.io/storageclasses":
		r.update = "fc"
	case "certificates.k8s.io/certificatesigningrequests":
		r.update, r.parts = "fc", "fc"
	case "resource.k8s.io/resourceclaims":
		r.update, r.fixed = "fc", true
	case "node.k8s.io/runtimeclasses":
		r.update, r.plain = "fc", true
	case "apiregistration.k8s.io/apiservices":
		r.update, r.plain, r.fixed = "cf", true, true
	case "/limitranges", "discovery.k8s.io/endpointslices", "storage.k8s.io/csinodes":
		r.update = "f"
	case "flowcontrol.apiserver.k8s.io/flowschemas", "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations", "storage.k8s.io/volumeattachments":
		r.update, r.fixed = "f", true
	case "/persistentvolumes":
		r.update = "ff"
	case "networking.k8s.io/servicecidrs":
		r.fixed = true
	case "coordination.k8s.io/leases", "apiextensions.k8s.io/customresourcedefinitions":
		r.plain = true
	case "batch/cronjobs":
		r.parts = ""
	case "/events", "events.k8s.io/events", "policy/poddisruptionbudgets":
		r = metaRules{} // Their own rules look at metadata where they do.
	}
	if group == "admissionregistration.k8s.io" {
		r = metaRules{create: "f", update: "f", plain: true, fixed: true}
	}
	return r
}

// checkMeta makes the passes over an object that replaces old, which is nil on create.
func (t *Type) checkMeta(passes string, o, old Object) (errs field.ErrorList) {
	path := field.NewPath("metadata")
	for _, pass := range []byte(passes) {
		switch metaPass(pass) {
		case metaForm:
			errs = append(errs, validation.ValidateObjectMetaAccessor(o, t.Namespaced, t.validName(old), path)...)
		case metaChange:
			errs = append(errs, validation.ValidateObjectMetaAccessorUpdate(o, old, path)...)
		}
		if !t.meta.plain {
			errs = append(errs, checkFinalizers(o.GetFinalizers())...)
		}
	}
	return errs
}

// checkAnyMeta is the look at the metadata of all kinds.
func (t *Type) checkAnyMeta(o Object) field.ErrorList {
	return validation.ValidateObjectMetaAccessor(o, t.Namespaced, pathName, field.NewPath("metadata"))
}

// validName lets an object keep the name it was stored under, even if a stricter rule came later.
func (t *Type) validName(old Object) validation.ValidateNameFunc {
	if old == nil {
		return t.ValidName
	}
	return func(name string, prefix bool) []string {
		if name == old.GetName() {
			return nil
		}
		return t.ValidName(name, prefix)
	}
}

// checkFinalizers refuses finalizers that are neither qualified by a domain nor the reference's own.
func checkFinalizers(finalizers []string) (errs field.ErrorList) {
	for i, f := range finalizers {
		switch {
		case strings.Contains(f, "/"), f == string(corev1.FinalizerKubernetes), f == metav1.FinalizerOrphanDependents, f == metav1.FinalizerDeleteDependents:
		default:
			errs = append(errs, field.Invalid(field.NewPath("metadata", "finalizers").Index(i), f,
				"name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// keepMeta gives o what users write of the metadata of old.
func keepMeta(o, old Object) {
	kept := old.DeepCopyObject().(Object)
	o.SetLabels(kept.GetLabels())
	o.SetAnnotations(kept.GetAnnotations())
	o.SetGenerateName(kept.GetGenerateName())
}

// matchUpdate is [matchRequest] for an object that replaces the one of the request, which it has to name.
func matchUpdate(t *Type, o metav1.Object, name, namespace string) error {
	if o.GetName() == "" {
		return api.BadRequest("the name of the object (%s based on URL) was undeterminable: name must be provided", name)
	}
	return matchRequest(t, o, name, namespace)
}

// clearSystemMeta clears what only the server sets.
func clearSystemMeta(o metav1.Object) {
	o.SetUID("")
	o.SetCreationTimestamp(metav1.Time{})
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
}

// errorKind is how errors name the kind: as the one that owns the stored form, which is what the reference checks.
func (t *Type) errorKind() schema.GroupKind {
	if t.StoredAs != nil {
		return schema.GroupKind{Group: t.StoredAs.Group, Kind: t.Kind}
	}
	return t.GK()
}

// When owner references were found to be given twice.
const (
	ownersInRequest = ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such " +
		"requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %v"
	ownersAfterMutation = ".metadata.ownerReferences contains duplicate entries after mutating admission happens; API server dedups owner references " +
		"in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %v"
)

// referenceKey is an owner reference as a key of a map, so that finding those that stand there twice takes linear time.
type referenceKey struct {
	apiVersion, kind, name string
	uid                    types.UID
	controller, block      tristate
}

// tristate is a *bool by value: 0 for nil, 1 for false, 2 for true.
type tristate int8

func tristateOf(b *bool) tristate {
	switch {
	case b == nil:
		return 0
	case *b:
		return 2
	}
	return 1
}

// uniqueOwners drops owner references that stand there twice, and warns in the words of one of the formats above.
func uniqueOwners(o Object, format string, w Write) {
	owners := o.GetOwnerReferences()
	if len(owners) < 2 {
		return
	}
	seen := make(map[referenceKey]bool, len(owners))
	var unique []metav1.OwnerReference
	var twice []string
	for _, owner := range owners {
		key := referenceKey{
			owner.APIVersion, owner.Kind, owner.Name, owner.UID,
			tristateOf(owner.Controller), tristateOf(owner.BlockOwnerDeletion),
		}
		if seen[key] {
			twice = append(twice, string(owner.UID))
			continue
		}
		seen[key] = true
		unique = append(unique, owner)
	}
	if len(twice) > 0 {
		w.Warnings.Add(fmt.Sprintf(format, strings.Join(twice, ", ")))
		o.SetOwnerReferences(unique)
	}
}
