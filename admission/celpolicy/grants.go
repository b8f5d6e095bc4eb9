package celpolicy

import (
	"context"
	"fmt"
	"reflect"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Grants keeps users from reading by way of policies what they may not read: parameters are read with the server's rights, and what a policy
// says of them reaches clients. Who names a kind of parameters in a policy must be allowed to get all objects of it, and who names
// objects in a binding must be allowed to get or list them. It is a Validator that is not turned off with the policies, which may be turned
// on again. The server's own writes and system:masters are not asked.
type Grants struct {
	// Config is as for the policies.
	Config Config
	// Policies finds the kind of parameters of the policy that a binding is for; known is false without such a policy.
	Policies func(mutating bool, name string) (kind *admissionregistrationv1.ParamKind, known bool)
}

// Validate refuses, with 422, policies and bindings that name parameters which the user may not read.
func (g Grants) Validate(ctx context.Context, a *admission.Attributes) error {
	if a.Resource.Group != admissionregistrationv1.GroupName || a.Subresource != "" || !a.Writes() || a.Permit.IsSystem() ||
		a.Permit.User().InGroup(api.GroupMasters) {
		return nil
	}
	var denied *field.Error
	switch o := a.Object.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		old, _ := a.OldObject.(*admissionregistrationv1.ValidatingAdmissionPolicy)
		if old == nil || !reflect.DeepEqual(old.Spec.ParamKind, o.Spec.ParamKind) {
			denied = g.kind(ctx, a, o.Spec.ParamKind)
		}
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		old, _ := a.OldObject.(*admissionregistrationv1.MutatingAdmissionPolicy)
		if old == nil || !reflect.DeepEqual(old.Spec.ParamKind, o.Spec.ParamKind) {
			denied = g.kind(ctx, a, o.Spec.ParamKind)
		}
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		old, _ := a.OldObject.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding)
		if old == nil || old.Spec.PolicyName != o.Spec.PolicyName || !reflect.DeepEqual(old.Spec.ParamRef, o.Spec.ParamRef) {
			denied = g.ref(ctx, a, o.Spec.ParamRef, false, o.Spec.PolicyName)
		}
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		old, _ := a.OldObject.(*admissionregistrationv1.MutatingAdmissionPolicyBinding)
		if old == nil || old.Spec.PolicyName != o.Spec.PolicyName || !reflect.DeepEqual(old.Spec.ParamRef, o.Spec.ParamRef) {
			denied = g.ref(ctx, a, o.Spec.ParamRef, true, o.Spec.PolicyName)
		}
	}
	if denied == nil {
		return nil
	}
	return api.Invalid(a.Kind.GroupKind(), a.Name, field.ErrorList{denied})
}

// kind asks for the right to get all objects of a kind.
func (g Grants) kind(ctx context.Context, a *admission.Attributes, kind *admissionregistrationv1.ParamKind) *field.Error {
	if kind == nil {
		return nil
	}
	info, _ := g.resource(kind)
	info.Verb, info.Name, info.Namespace = "get", "*", "*"
	if g.allowed(ctx, a, info) {
		return nil
	}
	return field.Forbidden(field.NewPath("spec", "paramKind"), fmt.Sprintf(
		`user %q must have "get" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)`, a.Permit.User().Name, kind.Kind, kind.APIVersion))
}

// ref asks for the right to read what a binding refers to. Where it is not known what that is, it asks for the right to read everything.
func (g Grants) ref(ctx context.Context, a *admission.Attributes, ref *admissionregistrationv1.ParamRef, mutating bool, policy string) *field.Error {
	if ref == nil {
		return nil
	}
	kind, known := g.Policies(mutating, policy)
	info, resolved := g.resource(kind)
	info.Verb, info.Name, info.Namespace = "get", ref.Name, ref.Namespace
	if ref.Name == "" {
		info.Verb = "list"
	}
	if g.allowed(ctx, a, info) {
		return nil
	}
	user := a.Permit.User().Name
	text := fmt.Sprintf(`user %q does not have %q permission on the object referenced by paramRef`, user, info.Verb)
	switch {
	case !known:
		text = fmt.Sprintf(`unable to get policy %s to determine minimum required permissions and user %q does not have %q permission for all groups, versions and resources`,
			policy, user, info.Verb)
	case kind != nil && !resolved:
		text = fmt.Sprintf(`unable to resolve paramKind %s, Kind=%s to determine minimum required permissions and user %q does not have %q permission for all groups, versions and resources`,
			kind.APIVersion, kind.Kind, user, info.Verb)
	}
	return field.Forbidden(field.NewPath("spec", "paramRef"), text)
}

// resource is the resource of a kind, with asterisks for what is not known of it.
func (g Grants) resource(kind *admissionregistrationv1.ParamKind) (info api.RequestInfo, resolved bool) {
	info = api.RequestInfo{IsResource: true, Group: "*", Version: "*", Resource: "*"}
	if kind == nil {
		return info, false
	}
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return info, false
	}
	info.Group, info.Version = gv.Group, gv.Version
	if resource, _, served := g.Config.Params.Kind(gv.WithKind(kind.Kind)); served {
		info.Resource, resolved = resource, true
	}
	return info, resolved
}

// allowed asks the authorizer. An error is a no.
func (g Grants) allowed(ctx context.Context, a *admission.Attributes, info api.RequestInfo) bool {
	decision, _, err := g.Config.Authorizer.Authorize(ctx, a.Permit.User(), info)
	return err == nil && decision == authz.Allow
}

// ParamKind returns the kind of parameters of a policy, and whether there is such a policy.
func (v *Validating) ParamKind(policy string) (*admissionregistrationv1.ParamKind, bool) {
	return v.held.paramKind(policy)
}

// ParamKind returns the kind of parameters of a policy, and whether there is such a policy.
func (m *Mutating) ParamKind(policy string) (*admissionregistrationv1.ParamKind, bool) {
	return m.held.paramKind(policy)
}

func (h *holder[P, B, E]) paramKind(policy string) (*admissionregistrationv1.ParamKind, bool) {
	s, err := h.get()
	if err != nil || s.definitions[policy] == nil {
		return nil, false
	}
	return s.definitions[policy].paramKind, true
}
