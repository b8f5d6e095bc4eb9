package resource

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Lengths of generated names: five characters are appended to a base cut so that the result fits a label.
const (
	generatedSuffix = 5
	maxGeneratedLen = 63
	generateTries   = 8
)

// suffixLetters leaves out vowels and look-alikes, so that no words appear and names read unambiguously.
const suffixLetters = "bcdfghjklmnpqrstvwxz2456789"

func generateName(base string) (string, error) {
	base = api.Cut(base, maxGeneratedLen-generatedSuffix)
	suffix := make([]byte, generatedSuffix)
	for i := range suffix {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(suffixLetters))))
		if err != nil {
			return "", fmt.Errorf("generate name: %w", err)
		}
		suffix[i] = suffixLetters[n.Int64()]
	}
	return base + string(suffix), nil
}

// matchRequest makes the object's name and namespace the given ones, which are those of the request, and refuses an object that
// contradicts them.
func matchRequest(t *Type, o metav1.Object, name, namespace string) error {
	if got := o.GetName(); got != "" && got != name {
		return api.BadRequest("the name of the object (%s) does not match the name on the URL (%s)", got, name)
	}
	o.SetName(name)
	if !t.Namespaced {
		namespace = ""
	} else if got := o.GetNamespace(); got != "" && got != namespace {
		return api.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	o.SetNamespace(namespace)
	return nil
}

// beforeCreate sets what the server decides and checks the metadata and the kind's own create rules.
func (s *Service) beforeCreate(ctx context.Context, p authz.Permit, t *Type, o Object, w Write) error {
	if o.GetResourceVersion() != "" && o.GetResourceVersion() != "0" {
		return api.BadRequest("resourceVersion should not be set on objects to be created")
	}
	o.SetResourceVersion("")
	o.SetUID(types.UID(uuid.NewString()))
	o.SetCreationTimestamp(s.now())
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
	if t.HasGeneration {
		o.SetGeneration(1)
	}
	if _, ok := t.Subresource("status"); ok && !t.CreatesStatus {
		t.setStatus(o, nil)
	}
	if t.onCreate != nil {
		t.onCreate(o, p.User())
	}
	t.Rules.Create(o)
	uniqueOwners(o, ownersAfterMutation, w)
	errs := t.checkMeta(t.meta.create, o, nil)
	if t.guard != nil {
		errs = append(errs, t.guard(ctx, s, p, o, nil, wholeObject)...)
	}
	return t.judge("", o, nil, errs, w)
}

// judge asks the rules of the kind about an object that is to be stored, after errs has been found already.
func (t *Type) judge(subresource string, o, old Object, errs field.ErrorList, w Write) error {
	var before any
	if old != nil {
		before = old
	}
	found, warnings := t.Rules.Check(subresource, o, before)
	errs = append(errs, found...)
	if len(errs) == 0 && old == nil {
		// Only where the kind has nothing against it: its messages are the more specific ones.
		errs = t.checkAnyMeta(o)
	}
	if len(errs) > 0 {
		return api.Invalid(t.errorKind(), o.GetName(), errs)
	}
	for _, text := range warnings {
		w.Warnings.Add(text)
	}
	return nil
}

// beforeUpdate carries over what an update cannot change, counts the generation and checks the transition. part says which
// part of the object the request may write.
func (s *Service) beforeUpdate(ctx context.Context, p authz.Permit, t *Type, o, old Object, part part, w Write) error {
	o.SetSelfLink("")
	o.SetGeneration(old.GetGeneration())
	if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	if ts := old.GetCreationTimestamp(); !ts.IsZero() {
		o.SetCreationTimestamp(ts)
	}
	if old.GetDeletionTimestamp() != nil {
		o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	}
	if o.GetDeletionGracePeriodSeconds() == nil {
		o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
	uniqueOwners(o, ownersAfterMutation, w)
	record := o.GetManagedFields()
	part.keep(t, o, old)
	if t.onUpdate != nil {
		t.onUpdate(o, old, part)
	}
	t.Rules.Update(part.subresource(), o, old)
	passes := t.meta.update
	if part != wholeObject {
		passes = t.meta.parts
		if t.stamp != nil {
			t.stamp(o, old, s.now())
		}
	}
	o.SetManagedFields(record) // whatever parts of the old object have been taken
	if t.HasGeneration && part.countsGeneration() && specChanged(t, o, old) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	errs := t.checkAnyMeta(o)
	errs = append(errs, validation.ValidateObjectMetaAccessorUpdate(o, old, field.NewPath("metadata"))...)
	errs = append(errs, t.checkMeta(passes, o, old)...)
	if t.guard != nil {
		errs = append(errs, t.guard(ctx, s, p, o, old, part)...)
	}
	return t.judge(part.subresource(), o, old, errs, w)
}

// part is the part of an object that a request writes.
type part int

const (
	wholeObject    part = iota // everything but the status, where the type has a status subresource
	statusOnly                 // the status and metadata
	finalizersOnly             // a namespace's spec.finalizers
	approvalOnly               // a certificate request's approval conditions
	nodeOnly                   // a pod's assignment to a node
	ephemeralOnly              // a pod's ephemeral containers
	resourcesOnly              // the resources of a pod and its containers
)

func partOf(subresource string) part {
	switch subresource {
	case "status":
		return statusOnly
	case "finalize":
		return finalizersOnly
	case "approval":
		return approvalOnly
	case "ephemeralcontainers":
		return ephemeralOnly
	case "resize":
		return resourcesOnly
	}
	return wholeObject
}

// countsGeneration tells the parts that belong to what is wanted of an object.
func (p part) countsGeneration() bool {
	return p == wholeObject || p == ephemeralOnly || p == resourcesOnly
}

// subresource is the name that the part has in paths and in the rules of kinds; empty for the main resource.
func (p part) subresource() string {
	switch p {
	case statusOnly:
		return "status"
	case finalizersOnly:
		return "finalize"
	case approvalOnly:
		return "approval"
	case nodeOnly:
		return "binding"
	case ephemeralOnly:
		return "ephemeralcontainers"
	case resourcesOnly:
		return "resize"
	}
	return ""
}

// keep takes from the old object what the part does not cover.
func (p part) keep(t *Type, o, old Object) {
	switch p {
	case wholeObject:
		if _, ok := t.Subresource("status"); ok {
			t.setStatus(o, old)
		}
	case statusOnly:
		keepAllBut(o, old, t.statusIndex)
		keepOwners(o, old)
		if t.meta.fixed {
			keepMeta(o, old)
		}
	case finalizersOnly, approvalOnly:
		keepOwners(o, old) // The kind's rules keep the rest.
	case ephemeralOnly, resourcesOnly:
		keepOwners(o, old)
		keepMeta(o, old)
	case nodeOnly:
		// The verb takes what it needs.
	}
}

// keepOwners leaves alone what frees an object or hands it over, which takes the right to write the object itself.
func keepOwners(o, old Object) {
	o.SetOwnerReferences(old.GetOwnerReferences())
	o.SetFinalizers(old.GetFinalizers())
}

// keepAllBut copies every top-level field except type, metadata and the given one from old.
func keepAllBut(o, old Object, index int) {
	dst, src := structOf(o), structOf(old)
	for i := range dst.NumField() {
		if i != index && !isMeta(dst.Type().Field(i)) {
			dst.Field(i).Set(src.Field(i))
		}
	}
}

// specChanged compares everything but type, metadata and status.
func specChanged(t *Type, o, old Object) bool {
	a, b := structOf(o), structOf(old)
	for i := range a.NumField() {
		if i == t.statusIndex || isMeta(a.Type().Field(i)) {
			continue
		}
		if !apiequality.Semantic.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			return true
		}
	}
	return false
}

func isMeta(f reflect.StructField) bool { return f.Name == "TypeMeta" || f.Name == "ObjectMeta" }

func (s *Service) now() metav1.Time { return metav1.NewTime(s.Now().UTC().Truncate(time.Second)) }

// checkExpected refuses a change to an object that is not the one the client means. revision "" and "0" and an empty
// uid expect nothing.
func checkExpected(r schema.GroupResource, o Object, uid types.UID, revision string) error {
	switch {
	case uid != "" && uid != o.GetUID():
		return api.Conflict(r, o.GetName(), fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", uid, o.GetUID()))
	case revision != "" && revision != "0" && revision != o.GetResourceVersion():
		return api.Conflict(r, o.GetName(), fmt.Errorf(
			"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", revision, o.GetResourceVersion()))
	}
	return nil
}

// deleted is the answer to a delete that is complete.
func deleted(t *Type, o Object) Result {
	return Result{Code: http.StatusOK, Object: &metav1.Status{
		Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{
			Name: o.GetName(), Group: t.Group, Kind: t.Resource, UID: o.GetUID(),
		},
	}}
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}
