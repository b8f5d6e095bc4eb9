package celpolicy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// annotationFailure holds, in the audit record, the validation that failed where a binding asks for an audit.
const annotationFailure = "validation.policy.admission.k8s.io/validation_failure"

// maxAnnotationBytes bounds the value of one audit annotation.
const maxAnnotationBytes = 10 << 10

// Validating puts objects to the ValidatingAdmissionPolicies. It is a Validator, to be asked after all that mutate.
type Validating struct {
	config Config
	held   holder[*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding, *validator]
}

// NewValidating returns a validator with the policies of the source.
func NewValidating(
	c Config, s Source[*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding],
) *Validating {
	v := &Validating{config: c}
	v.held.source, v.held.define, v.held.bind = s, v.define, bindValidating
	return v
}

func (v *Validating) define(p *admissionregistrationv1.ValidatingAdmissionPolicy) *definition[*validator] {
	return &definition[*validator]{
		name: p.Name, revision: string(p.UID) + "/" + p.ResourceVersion, match: newCriteria(p.Spec.MatchConstraints), paramKind: p.Spec.ParamKind,
		ignore: ignores(p.Spec.FailurePolicy), compiled: sync.OnceValue(func() *validator { return newValidator(v.config.Scopes, &p.Spec) }),
	}
}

func bindValidating(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) (string, *binding) {
	made := &binding{name: b.Name, paramRef: b.Spec.ParamRef, actions: b.Spec.ValidationActions}
	if b.Spec.MatchResources != nil {
		made.match = newCriteria(b.Spec.MatchResources)
	}
	return b.Spec.PolicyName, made
}

// denial is one reason to refuse. binding is empty where the policy itself is at fault.
type denial struct {
	policy, binding, message string
	reason                   metav1.StatusReason
}

// Validate refuses what a policy denies, warns and annotates the audit record. The error is the first denial, in the order of the names of policies
// and of their bindings, with its reason: 422 unless the policy says otherwise.
func (v *Validating) Validate(ctx context.Context, a *admission.Attributes) error {
	r, policies, err := begin(ctx, &v.config, &v.held, a)
	if err != nil || len(policies) == 0 {
		return err
	}
	if a.Served != nil {
		shown := *a
		if shown.Kind, shown.Object, shown.OldObject, err = a.Served(); err != nil {
			return api.Internal(err)
		}
		r.Attributes = &shown
	}
	var denials []denial
	for _, p := range policies {
		found, err := v.ask(r, p)
		if err != nil {
			return api.ToError(err)
		}
		denials = append(denials, found...)
	}
	if err := over(ctx); err != nil {
		return api.ToError(err)
	}
	if len(denials) == 0 {
		return nil
	}
	return denials[0].refuse(a)
}

// ask puts the request to one policy through each of its bindings. An error is one of the request and not of the policy.
func (v *Validating) ask(r *request, p *bound[*validator]) ([]denial, error) {
	as, matches, err := p.match.matches(r)
	if err != nil {
		return p.misconfigured("", err), nil
	}
	if !matches {
		return nil, nil
	}
	of, err := r.config.paramTypeOf(p.paramKind)
	if err != nil {
		return p.misconfigured("", err), nil
	}
	var denials []denial
	annotations := map[string][]string{}
	for _, b := range p.bindings {
		params, err := r.paramsFor(b, of)
		if err != nil {
			denials = append(denials, p.misconfigured(b.name, err)...)
		}
		for _, param := range params {
			o, err := p.compiled().validate(r, as, param.value, p.ignore)
			if err != nil {
				return nil, err
			}
			denials = append(denials, o.act(r, p.name, b, annotations)...)
		}
	}
	for key, values := range annotations {
		r.annotate(p.name+"/"+key, strings.Join(values, ", "))
	}
	return denials, nil
}

// misconfigured denies because of the policy or, if it has a name, the binding, unless the policy ignores its errors.
func (p *bound[E]) misconfigured(binding string, err error) []denial {
	if p.ignore {
		return nil
	}
	what := "policy"
	if binding != "" {
		what = "binding"
	}
	return []denial{{policy: p.name, binding: binding, message: fmt.Sprintf("failed to configure %s: %s", what, clientText(err))}}
}

// act does with what was found what the binding says, and returns what it denies. Failed annotations deny whatever it says.
func (o *outcome) act(r *request, policy string, b *binding, annotations map[string][]string) []denial {
	var denials []denial
	for i, f := range o.findings {
		if !f.denies {
			continue
		}
		for _, action := range b.actions {
			switch action {
			case admissionregistrationv1.Deny:
				denials = append(denials, denial{policy, b.name, f.message, f.reason})
			case admissionregistrationv1.Audit:
				r.auditFailure(policy, b, i, f.message)
			case admissionregistrationv1.Warn:
				r.Warnings.Add(fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", policy, b.name, f.message))
			}
		}
	}
	for _, a := range o.annotations {
		switch {
		case a.err != "":
			denials = append(denials, denial{policy: policy, binding: b.name, message: a.err})
		case a.value != "" && !slices.Contains(annotations[a.key], a.value):
			annotations[a.key] = append(annotations[a.key], a.value)
		}
	}
	return denials
}

// auditFailure annotates the audit record with the first failure of the request; there is one annotation for all.
func (r *request) auditFailure(policy string, b *binding, index int, message string) {
	data, err := json.Marshal([]struct {
		Message string                                     `json:"message"`
		Policy  string                                     `json:"policy"`
		Binding string                                     `json:"binding"`
		Index   int                                        `json:"expressionIndex"`
		Actions []admissionregistrationv1.ValidationAction `json:"validationActions"`
	}{{message, policy, b.name, index, b.actions}})
	if err == nil {
		r.annotate(annotationFailure, string(data))
	}
}

// annotate adds to the audit record what is not there yet.
func (r *request) annotate(key, value string) {
	if r.Annotate == nil || r.annotated[key] {
		return
	}
	if r.annotated == nil {
		r.annotated = map[string]bool{}
	}
	r.annotated[key] = true
	r.Annotate(key, value)
}

// refuse is the answer to a denied request.
func (d denial) refuse(a *admission.Attributes) *api.Error {
	text := fmt.Sprintf("ValidatingAdmissionPolicy '%s' denied request: %s", d.policy, d.message)
	if d.binding != "" {
		text = fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", d.policy, d.binding, d.message)
	}
	e := a.Forbidden(errors.New(text))
	e.Status.Reason, e.Status.Code = d.reason, codeOf(d.reason)
	if d.reason == "" {
		e.Status.Reason = metav1.StatusReasonInvalid
	}
	e.Status.Details.Causes = append(e.Status.Details.Causes, metav1.StatusCause{Message: text})
	return e
}

func codeOf(r metav1.StatusReason) int32 {
	switch r {
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonUnauthorized:
		return http.StatusUnauthorized
	case metav1.StatusReasonRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}
