package resource

import (
	"crypto/rand"
	"errors"
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
	if len(base) > maxGeneratedLen-generatedSuffix {
		base = base[:maxGeneratedLen-generatedSuffix]
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

// matchNamespace makes the object's namespace the request's, and refuses one that contradicts it.
func matchNamespace(t *Type, o Object, info api.RequestInfo) error {
	if !t.Namespaced {
		if o.GetNamespace() != "" {
			o.SetNamespace("")
		}
		return nil
	}
	switch o.GetNamespace() {
	case "", info.Namespace:
		o.SetNamespace(info.Namespace)
		return nil
	}
	return api.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
}

// matchName makes the object's name the one in the path, and refuses one that contradicts it.
func matchName(o Object, info api.RequestInfo) error {
	switch o.GetName() {
	case "", info.Name:
		o.SetName(info.Name)
		return nil
	}
	return api.BadRequest("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), info.Name)
}

// beforeCreate sets what the server decides and checks the metadata and the kind's own create rules.
func (s *Service) beforeCreate(t *Type, o Object, p authz.Permit) error {
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
	if _, ok := t.Subresource("status"); ok {
		t.setStatus(o, nil)
	}
	if t.onCreate != nil {
		t.onCreate(o, p.User())
	}
	errs := validation.ValidateObjectMetaAccessor(o, t.Namespaced, t.ValidName, field.NewPath("metadata"))
	if t.check != nil {
		errs = append(errs, t.check(o, nil)...)
	}
	if len(errs) > 0 {
		return api.Invalid(t.GK(), o.GetName(), errs)
	}
	return nil
}

// beforeUpdate carries over what an update cannot change, counts the generation and checks the transition. part says which
// part of the object the request may write.
func (s *Service) beforeUpdate(t *Type, o, old Object, part part) error {
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
	if t.HasGeneration && specChanged(t, o, old) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	meta := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessor(o, t.Namespaced, validName(t, old), meta)
	errs = append(errs, validation.ValidateObjectMetaAccessorUpdate(o, old, meta)...)
	if t.check != nil && part == wholeObject {
		errs = append(errs, t.check(o, old)...)
	}
	if len(errs) > 0 {
		return api.Invalid(t.GK(), o.GetName(), errs)
	}
	return nil
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

// keep takes from the old object what the part does not cover.
func (p part) keep(t *Type, o, old Object) {
	switch p {
	case wholeObject:
		if _, ok := t.Subresource("status"); ok {
			t.setStatus(o, old)
		}
	case statusOnly:
		keepAllBut(t, o, old, t.statusIndex)
		o.SetOwnerReferences(old.GetOwnerReferences())
		o.SetFinalizers(old.GetFinalizers())
	case finalizersOnly, approvalOnly:
		// The kind's update hook takes what it needs from o.
	}
}

// keepAllBut copies every top-level field except type, metadata and the given one from old.
func keepAllBut(_ *Type, o, old Object, index int) {
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
func checkExpected(t *Type, o Object, uid types.UID, revision string) error {
	switch {
	case uid != "" && uid != o.GetUID():
		return api.Conflict(t.GR(), o.GetName(), fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", uid, o.GetUID()))
	case revision != "" && revision != "0" && revision != o.GetResourceVersion():
		return api.Conflict(t.GR(), o.GetName(), fmt.Errorf(
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
