package celpolicy

import (
	"fmt"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/cel"
)

// validator is a compiled ValidatingAdmissionPolicy. It is safe for concurrent use.
type validator struct {
	common
	spec                               *admissionregistrationv1.ValidatingAdmissionPolicySpec
	validations, messages, annotations []expression
}

func newValidator(scopes *cel.Admission, spec *admissionregistrationv1.ValidatingAdmissionPolicySpec) *validator {
	v := &validator{spec: spec}
	hasParams := spec.ParamKind != nil
	var scope *cel.Scope
	v.common, scope = compileCommon(scopes, hasParams, spec.Variables, spec.MatchConditions)
	var plain *cel.Scope // without the authorizer
	for _, x := range spec.Validations {
		v.validations = append(v.validations, compile(scope, x.Expression, celgo.BoolType))
		var message expression
		if x.MessageExpression != "" {
			if plain == nil {
				plain = scopes.ScopeFor(cel.Has{Params: hasParams}, v.variables)
			}
			message = compile(plain, x.MessageExpression, celgo.StringType)
		}
		v.messages = append(v.messages, message)
	}
	for _, a := range spec.AuditAnnotations {
		v.annotations = append(v.annotations, compile(scope, a.ValueExpression, celgo.StringType, celgo.NullType))
	}
	return v
}

// outcome is what a policy says of one request with one set of parameters.
type outcome struct {
	findings    []finding
	annotations []annotation
}

// finding is what one validation says.
type finding struct {
	denies  bool
	message string
	reason  metav1.StatusReason
}

// annotation is one for the audit record, or an error that denies. Without a value there is nothing to record.
type annotation struct{ key, value, err string }

// failed is the outcome of a policy that could not be evaluated.
func failed(ignore bool, err error) *outcome {
	return &outcome{findings: []finding{{denies: !ignore, message: err.Error()}}}
}

// validate evaluates the policy. An error is one of the request and not of the policy.
func (v *validator) validate(r *request, as Served, params any, ignore bool) (*outcome, error) {
	values, err := r.allInputs(as, params, v.spec.ParamKind != nil)
	if err != nil {
		return failed(ignore, fmt.Errorf("failed to convert object version: %w", err)), nil
	}
	if values[cel.NamespaceName], err = r.namespaceValue(); err != nil {
		return nil, err
	}
	applies, err := v.applies(r.ctx, r.authorized(values))
	if err != nil {
		return failed(ignore, err), nil
	}
	if !applies {
		return &outcome{}, nil
	}
	budget := cel.NewBudget(cel.BindingBudget)
	results, err := v.evaluate(r.ctx, v.validations, r.authorized(values), budget)
	if err != nil {
		return failed(ignore, err), nil
	}
	messages, messageErr := v.evaluate(r.ctx, v.messages, values, budget)
	o := &outcome{}
	for i, x := range v.spec.Validations {
		var message result
		if messageErr == nil {
			message = messages[i]
		}
		o.findings = append(o.findings, judge(&x, results[i], message, messageErr, ignore))
	}
	texts, err := v.evaluate(r.ctx, v.annotations, values, cel.NewBudget(cel.BindingBudget))
	if err != nil {
		return failed(ignore, err), nil
	}
	for i, a := range v.spec.AuditAnnotations {
		o.annotations = append(o.annotations, annotate(&a, texts[i], ignore))
	}
	return o, nil
}

// judge makes a finding of the results of a validation and of its message.
func judge(x *admissionregistrationv1.Validation, r, message result, messageErr error, ignore bool) finding {
	switch {
	case r.err != nil:
		return finding{denies: !ignore, message: r.err.Error()}
	case messageErr != nil:
		return finding{denies: !ignore, message: fmt.Sprintf("failed messageExpression: %s", messageErr)}
	case r.value == types.True:
		return finding{}
	}
	f := finding{denies: true, message: messageOf(message), reason: metav1.StatusReasonInvalid}
	if x.Reason != nil {
		f.reason = *x.Reason
	}
	if f.message == "" {
		f.message = strings.TrimSpace(x.Message)
	}
	if f.message == "" {
		f.message = "failed expression: " + strings.TrimSpace(x.Expression)
	}
	return f
}

// messageOf is the text that a message expression made, if it is fit for a client.
func messageOf(r result) string {
	if r.err != nil || r.value == nil {
		return ""
	}
	text, _ := r.value.Value().(string)
	text = strings.TrimSpace(text)
	if len(text) > celconfig.MaxEvaluatedMessageExpressionSizeBytes || strings.Contains(text, "\n") {
		return ""
	}
	return text
}

// annotate makes an annotation of the value of its expression. Null and blanks make none.
func annotate(a *admissionregistrationv1.AuditAnnotation, r result, ignore bool) annotation {
	if r.err != nil {
		if ignore {
			return annotation{}
		}
		return annotation{err: r.err.Error()}
	}
	switch r.value.Type() {
	case types.StringType:
		text := strings.TrimSpace(r.value.Value().(string))
		return annotation{key: a.Key, value: api.Cut(text, maxAnnotationBytes)}
	case types.NullType:
		return annotation{}
	}
	return annotation{err: fmt.Sprintf("valueExpression '%v' resulted in unsupported return type: %v. Return type must be either string or null.",
		a.ValueExpression, r.value.Type())}
}
