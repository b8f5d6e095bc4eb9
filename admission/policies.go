package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/policies"
)

// Keys of the audit annotations that policies leave.
const (
	// AnnotationDigest is the digest of the policy set that the request was put to.
	AnnotationDigest = "policy.gatehouse.dev/digest"
	// AnnotationDenied, AnnotationWarned and AnnotationAudited list the violations with that action.
	AnnotationDenied  = "policy.gatehouse.dev/denied"
	AnnotationWarned  = "policy.gatehouse.dev/warned"
	AnnotationAudited = "policy.gatehouse.dev/audited"
	// AnnotationMutated lists the names of the policies that changed the object.
	AnnotationMutated = "policy.gatehouse.dev/mutated"
)

// Bounds of what one refusal or annotation carries: violations, and bytes of the text of all of them.
const (
	maxCauses    = 32
	maxTextBytes = 8 << 10
)

// CausePolicyViolation is the type of the causes in the Status of a refusal, one for each violation.
const CausePolicyViolation metav1.CauseType = "PolicyViolation"

// Policies puts objects to the Rego policies. It is a Mutator and a Validator. Objects are converted only if some
// policy is about their kind.
type Policies struct {
	// Engine is required.
	Engine *policies.Engine
	// Namespaces gives policies the labels of the object's namespace, if one asks for them; nil leaves them unknown, in
	// which case selectors match.
	Namespaces Namespaces
}

// Mutate applies the mutate policies, once: in a second round of the mutators they would change again what they have changed. What they
// make must decode strictly into the object's type.
func (p Policies) Mutate(ctx context.Context, a *Attributes) error {
	if a.SecondRound() {
		return nil
	}
	mutating, _ := p.matches(a)
	if !mutating || a.Object == nil {
		return nil
	}
	review, restore, err := p.review(ctx, a)
	if err != nil {
		return api.ToError(err)
	}
	defer restore()
	result, changed, err := p.Engine.Mutate(ctx, review)
	if err != nil {
		var failed *policies.PolicyError
		if errors.As(err, &failed) {
			return a.denied([]policies.Violation{{Policy: failed.Policy, Message: "the policy could not be applied"}}).Wrap(err)
		}
		return api.Internal(err)
	}
	if len(changed) == 0 {
		return nil
	}
	a.annotate(AnnotationMutated, strings.Join(changed, ","))
	if err := replace(a.Object, result); err != nil {
		v := policies.Violation{Policy: strings.Join(changed, ","), Message: "the changed object does not decode"}
		return a.denied([]policies.Violation{v}).Wrap(err)
	}
	return nil
}

// Validate refuses on a violation with the action deny, and passes warnings and audit annotations on.
func (p Policies) Validate(ctx context.Context, a *Attributes) error {
	_, validating := p.matches(a)
	if !validating {
		return nil
	}
	review, restore, err := p.review(ctx, a)
	if err != nil {
		return api.ToError(err)
	}
	defer restore()
	found, err := p.Engine.Validate(ctx, review)
	if err != nil {
		return api.Internal(err)
	}
	a.annotate(AnnotationDigest, p.Engine.Digest())
	byAction := map[policies.Action][]policies.Violation{}
	for _, v := range found {
		switch v.Action {
		case policies.ActionWarn:
			a.Warnings.Add(fmt.Sprintf("policy %q: %s", v.Policy, v))
			byAction[v.Action] = append(byAction[v.Action], v)
		case policies.ActionAudit:
			byAction[v.Action] = append(byAction[v.Action], v)
		default: // what is no known action denies
			byAction[policies.ActionDeny] = append(byAction[policies.ActionDeny], v)
		}
	}
	for action, name := range map[policies.Action]string{
		policies.ActionDeny: AnnotationDenied, policies.ActionWarn: AnnotationWarned, policies.ActionAudit: AnnotationAudited,
	} {
		if list := byAction[action]; len(list) > 0 {
			a.annotate(name, text(list, "%s: "))
		}
	}
	if denied := byAction[policies.ActionDeny]; len(denied) > 0 {
		return a.denied(denied)
	}
	return nil
}

func (p Policies) matches(a *Attributes) (mutating, validating bool) {
	return p.Engine.Matches(a.Kind.Group, a.Kind.Kind, string(a.Operation), a.Subresource)
}

// review is what policies see of the attributes. Until restore is called the objects are without managedFields.
func (p Policies) review(ctx context.Context, a *Attributes) (r *policies.Review, restore func(), err error) {
	r = &policies.Review{
		Operation: string(a.Operation), Group: a.Kind.Group, Version: a.Kind.Version, Kind: a.Kind.Kind,
		Resource: a.Resource.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name,
		User: a.Permit.User(), DryRun: a.DryRun, Object: document(a.Object), OldObject: document(a.OldObject),
	}
	if a.Namespace != "" && p.Namespaces != nil && p.Engine.SelectsNamespaces() {
		ns, found, err := a.NamespaceOf(ctx, p.Namespaces)
		if err != nil {
			return nil, nil, err
		}
		if found {
			r.NamespaceLabels = map[string]string{}
			if ns.Labels != nil {
				r.NamespaceLabels = ns.Labels
			}
		}
	}
	restoreNew, restoreOld := withoutOwners(a.Object), withoutOwners(a.OldObject)
	return r, func() { restoreNew(); restoreOld() }, nil
}

// document is the object in a form that policies take; nil for none.
func document(object runtime.Object) any {
	switch o := object.(type) {
	case nil:
		return nil
	case *unstructured.Unstructured:
		return o.Object
	default:
		return o
	}
}

// withoutOwners takes managedFields off an object until restore is called. The record of who owns which field is as large
// as the object, converting it costs more than the rest, and a policy that decided by it would decide by what clients claim.
func withoutOwners(object runtime.Object) (restore func()) {
	if object == nil {
		return func() {}
	}
	o, err := meta.Accessor(object)
	if err != nil || o.GetManagedFields() == nil {
		return func() {}
	}
	owners := o.GetManagedFields()
	o.SetManagedFields(nil)
	return func() { o.SetManagedFields(owners) }
}

// replace makes object hold what m describes, and keeps its managedFields. On an error object is unchanged.
func replace(object runtime.Object, m map[string]any) error {
	if u, ok := object.(*unstructured.Unstructured); ok {
		u.Object = m
		return nil
	}
	target := reflect.ValueOf(object)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("object is a %T, want a pointer", object)
	}
	fresh := reflect.New(target.Type().Elem())
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(m, fresh.Interface(), true); err != nil {
		return err
	}
	kind := object.GetObjectKind().GroupVersionKind()
	var owners []metav1.ManagedFieldsEntry
	o, err := meta.Accessor(object)
	if err == nil {
		owners = o.GetManagedFields()
	}
	target.Elem().Set(fresh.Elem())
	object.GetObjectKind().SetGroupVersionKind(kind)
	if err == nil {
		o.SetManagedFields(owners)
	}
	return nil
}

// denied is the 403 with one cause for each violation.
func (a *Attributes) denied(list []policies.Violation) *api.Error {
	details := &metav1.StatusDetails{Name: a.displayName(), Group: a.Resource.Group, Kind: a.Resource.Resource}
	for _, v := range list[:min(len(list), maxCauses)] {
		details.Causes = append(details.Causes, metav1.StatusCause{Type: CausePolicyViolation, Message: v.Message, Field: v.Field})
	}
	return &api.Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Message: text(list, "admission policy %q denied the request: "), Details: details,
	}}
}

// text writes violations one after the other, each policy once with the heading in front.
func text(list []policies.Violation, heading string) string {
	var b strings.Builder
	for i, v := range list {
		switch {
		case i == 0:
			fmt.Fprintf(&b, heading, v.Policy)
		case v.Policy == list[i-1].Policy:
			b.WriteString(", ")
		default:
			b.WriteString("; ")
			fmt.Fprintf(&b, heading, v.Policy)
		}
		if i >= maxCauses || b.Len() > maxTextBytes {
			fmt.Fprintf(&b, "and %d more", len(list)-i)
			break
		}
		b.WriteString(v.String())
	}
	return b.String()
}
