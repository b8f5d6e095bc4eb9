package resource

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
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
	if len(base) > maxGeneratedLen-generatedSuffix {
		base = strings.ToValidUTF8(base[:maxGeneratedLen-generatedSuffix], "")
	}
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
func (s *Service) beforeCreate(t *Type, o Object, p authz.Permit, w Write) error {
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
	errs := validation.ValidateObjectMetaAccessor(o, t.Namespaced, t.ValidName, field.NewPath("metadata"))
	errs = append(errs, checkFinalizers(o.GetFinalizers(), nil)...)
	if t.check != nil {
		errs = append(errs, t.check(o, nil)...)
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
	if errs = append(errs, found...); len(errs) > 0 {
		return api.Invalid(t.GK(), o.GetName(), errs)
	}
	for _, text := range warnings {
		w.Warnings.Add(text)
	}
	return nil
}

// beforeUpdate carries over what an update cannot change, counts the generation and checks the transition. part says which
// part of the object the request may write.
func (s *Service) beforeUpdate(t *Type, o, old Object, part part, w Write) error {
	o.SetSelfLink("")
	if o.GetManagedFields() == nil {
		// Field ownership is not tracked here yet; what another server has recorded is kept.
		o.SetManagedFields(old.GetManagedFields())
	}
	if o.GetGeneration() == 0 || t.HasGeneration {
		o.SetGeneration(old.GetGeneration())
	}
	if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	if ts := o.GetCreationTimestamp(); ts.IsZero() {
		o.SetCreationTimestamp(old.GetCreationTimestamp())
	}
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	if o.GetGenerateName() == "" {
		o.SetGenerateName(old.GetGenerateName())
	}
	part.keep(t, o, old)
	if t.onUpdate != nil {
		t.onUpdate(o, old, part)
	}
	t.Rules.Update(part.subresource(), o, old)
	if t.HasGeneration && part == wholeObject && specChanged(t, o, old) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	meta := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessor(o, t.Namespaced, validName(t, old), meta)
	errs = append(errs, validation.ValidateObjectMetaAccessorUpdate(o, old, meta)...)
	errs = append(errs, checkFinalizers(o.GetFinalizers(), old.GetFinalizers())...)
	if t.check != nil && part == wholeObject {
		errs = append(errs, t.check(o, old)...)
	}
	return t.judge(part.subresource(), o, old, errs, w)
}

// checkFinalizers refuses new finalizers that are neither qualified by a domain nor the reference's own.
func checkFinalizers(finalizers, old []string) (errs field.ErrorList) {
	known := sets.New(old...).Insert(string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents)
	for i, f := range finalizers {
		if !strings.Contains(f, "/") && !known.Has(f) {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "finalizers").Index(i), f,
				"name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// validName lets an object keep the name it was stored under, even if a stricter rule came later.
func validName(t *Type, old Object) validation.ValidateNameFunc {
	return func(name string, prefix bool) []string {
		if name == old.GetName() {
			return nil
		}
		return t.ValidName(name, prefix)
	}
}

// part is the part of an object that a request writes.
type part int

const (
	wholeObject    part = iota // everything but the status, where the type has a status subresource
	statusOnly                 // the status and metadata
	finalizersOnly             // a namespace's spec.finalizers
	approvalOnly               // a certificate request's approval conditions
	nodeOnly                   // a pod's assignment to a node
)

func partOf(subresource string) part {
	switch subresource {
	case "status":
		return statusOnly
	case "finalize":
		return finalizersOnly
	case "approval":
		return approvalOnly
	}
	return wholeObject
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
		o.SetOwnerReferences(old.GetOwnerReferences())
		o.SetFinalizers(old.GetFinalizers())
	case finalizersOnly, approvalOnly, nodeOnly:
		// The kind's update hook, or for a binding the verb, takes what it needs from o.
	}
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

var errNoName = errors.New("name or generateName is required")
