package extension

import (
	"fmt"
	"slices"
	"strings"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/internal/cel"
	"github.com/gatehouse/gatehouse/rules"
)

// Bounds of the audit annotations of a policy: their number, and the bytes of the expression of each.
const (
	maxAnnotations          = 20
	maxAnnotationExpression = 5 * 1024
)

// ValidatingAdmissionPolicy are the rules of admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy.
func ValidatingAdmissionPolicy() *rules.Kind {
	return rules.For(rules.Spec[admissionv1.ValidatingAdmissionPolicy]{
		Fields: slices.Concat(policyHead(), []rules.Entry{
			rules.At("", rules.Check(newPolicyRules().check)),
			warnReservedName(),
		}),
		Parts: map[string]rules.Part[admissionv1.ValidatingAdmissionPolicy]{"status": {
			Update: func(o, old *admissionv1.ValidatingAdmissionPolicy) {
				metav1.ResetObjectMetaForStatus(&o.ObjectMeta, &old.ObjectMeta)
			},
			Fields: []rules.Entry{
				rules.At("status.typeChecking.expressionWarnings", rules.Each(rules.Of[admissionv1.ExpressionWarning](
					rules.At("warning", rules.Required()), rules.At("fieldRef", expression(""))))),
				rules.At("status.conditions", rules.Check(func(c *rules.Checker, v, _ *[]metav1.Condition) {
					c.Add(metav1validation.ValidateConditions(*v, c.Path())...)
				})),
			},
		}},
	})
}

// policyRules are the rules of the expressions of a policy that validates, and of what belongs to each.
type policyRules struct {
	scopes                                    *cel.Admission
	variable, expression, message, afterwards *rules.Set
}

func newPolicyRules() *policyRules {
	return &policyRules{
		scopes: cel.NewAdmission(), variable: variables(),
		expression: rules.Of[admissionv1.Validation](rules.At("expression", expression("expression is not specified"))),
		message: rules.Of[admissionv1.Validation](rules.At("messageExpression", rules.Optional(), rules.Check(func(c *rules.Checker, v, _ *string) {
			if strings.TrimSpace(*v) == "" {
				c.Add(field.Invalid(c.Path(), *v, "must be non-empty if specified"))
			}
		}))),
		afterwards: rules.Of[admissionv1.Validation](
			rules.At("message", rules.Optional(), rules.Check(func(c *rules.Checker, v, _ *string) {
				switch text := strings.TrimSpace(*v); {
				case text == "":
					c.Add(field.Invalid(c.Path(), *v, "must be non-empty if specified"))
				case strings.ContainsAny(text, "\n\r"):
					c.Add(field.Invalid(c.Path(), *v, "must not contain line breaks"))
				}
			})),
			rules.At("reason", rules.Enum(metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)),
		),
	}
}

func (r *policyRules) check(c *rules.Checker, v, _ *admissionv1.ValidatingAdmissionPolicy) {
	k := &compiler{scopes: r.scopes, params: v.Spec.ParamKind != nil}
	old, updating := c.Before().(*admissionv1.ValidatingAdmissionPolicy)
	if updating {
		k.stored = expressionsOf(&old.Spec)
	}
	if !updating || !sameConditions(v.Spec.ParamKind, old.Spec.ParamKind, v.Spec.MatchConditions, old.Spec.MatchConditions) {
		k.conditions(c, c.At("spec", "matchConditions"), v.Spec.MatchConditions)
	}
	if n := len(v.Spec.Variables); n > 0 {
		k.variables = cel.NewVariables(n)
		k.named(c, r.variable, v.Spec.Variables)
	}
	if len(v.Spec.Validations) == 0 && len(v.Spec.AuditAnnotations) == 0 {
		const detail = "validations or auditAnnotations must contain at least one item"
		c.Add(field.Required(c.At("spec", "validations"), detail), field.Required(c.At("spec", "auditAnnotations"), detail))
	}
	for i := range v.Spec.Validations {
		r.validation(c, k, &v.Spec.Validations[i], i)
	}
	checkAuditAnnotations(c, k, v)
}

func (r *policyRules) validation(c *rules.Checker, k *compiler, v *admissionv1.Validation, i int) {
	at := func(name string) *field.Path { return c.At("spec", "validations").Index(i).Child(name) }
	rules.InIndex(c, r.expression, v, nil, i, "spec", "validations")
	if !isBlank(v.Expression) {
		_, _ = k.check(c, at("expression"), k.scope(cel.Has{Params: k.params, Authorizer: true}), v.Expression, v.Expression, celgo.BoolType)
	}
	rules.InIndex(c, r.message, v, nil, i, "spec", "validations")
	if !isBlank(v.MessageExpression) {
		_, _ = k.check(c, at("messageExpression"), k.scope(cel.Has{Params: k.params}), v.MessageExpression, v.MessageExpression, celgo.StringType)
	}
	rules.InIndex(c, r.afterwards, v, nil, i, "spec", "validations")
}

// expressionsOf are the expressions of a stored policy.
func expressionsOf(s *admissionv1.ValidatingAdmissionPolicySpec) map[string]bool {
	m := map[string]bool{}
	for _, x := range s.MatchConditions {
		m[x.Expression] = true
	}
	for _, x := range s.Variables {
		m[x.Expression] = true
	}
	for _, x := range s.Validations {
		m[x.Expression], m[x.MessageExpression] = true, true
	}
	for _, x := range s.AuditAnnotations {
		m[x.ValueExpression] = true
	}
	return m
}

// checkAuditAnnotations checks the keys, which are prefixed by the name of the policy, and the expressions of their values.
func checkAuditAnnotations(c *rules.Checker, k *compiler, v *admissionv1.ValidatingAdmissionPolicy) {
	list, at := v.Spec.AuditAnnotations, func() *field.Path { return c.At("spec", "auditAnnotations") }
	if len(list) > maxAnnotations {
		c.Add(field.Invalid(at(), rules.Shown(list), fmt.Sprintf("must not have more than %d auditAnnotations", maxAnnotations)))
	}
	seen := map[string]bool{}
	for i, a := range list {
		if v.Name == "" {
			c.Add(field.Invalid(at().Index(i).Child("key"), a.Key, "requires metadata.name be non-empty"))
		} else if messages := utilvalidation.IsQualifiedName(v.Name + "/" + a.Key); len(messages) > 0 {
			for _, msg := range messages {
				c.Add(field.Invalid(at().Index(i).Child("key"), v.Name+"/"+a.Key, msg))
			}
		}
		switch text := strings.TrimSpace(a.ValueExpression); {
		case text == "":
			c.Add(field.Required(at().Index(i).Child("valueExpression"), "valueExpression is not specified"))
		case len(text) > maxAnnotationExpression:
			c.Add(field.Required(at().Index(i).Child("valueExpression"), fmt.Sprintf("must not exceed %d bytes in length", maxAnnotationExpression)))
		default:
			_, _ = k.check(c, at().Index(i).Child("valueExpression"), k.scope(cel.Has{Params: k.params, Authorizer: true}), text, a.ValueExpression,
				celgo.StringType, celgo.NullType)
		}
		if seen[a.Key] {
			c.Add(field.Duplicate(at().Index(i).Child("key"), a.Key))
		}
		seen[a.Key] = true
	}
}

// ValidatingAdmissionPolicyBinding are the rules of admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding.
func ValidatingAdmissionPolicyBinding() *rules.Kind {
	return rules.For(rules.Spec[admissionv1.ValidatingAdmissionPolicyBinding]{Fields: append(binding(),
		rules.At("spec.validationActions", rules.Check(checkActions)),
		warnReservedName(),
	)})
}

// checkActions asks for something to be done about what does not pass. To deny and to warn of it says the same thing twice.
func checkActions(c *rules.Checker, v, _ *[]admissionv1.ValidationAction) {
	known := []admissionv1.ValidationAction{admissionv1.Audit, admissionv1.Deny, admissionv1.Warn}
	seen := make(map[admissionv1.ValidationAction]bool, len(*v))
	for i, action := range *v {
		if !slices.Contains(known, action) {
			c.Add(field.NotSupported(c.Path().Index(i), action, known))
		}
		if seen[action] {
			c.Add(field.Duplicate(c.Path().Index(i), action))
		}
		seen[action] = true
	}
	if slices.Contains(*v, admissionv1.Deny) && slices.Contains(*v, admissionv1.Warn) {
		c.Add(field.Invalid(c.Path(), *v, "must not contain both Deny and Warn (repeating the same validation failure information in "+
			"the API response and headers serves no purpose)"))
	}
	if len(*v) == 0 {
		c.Add(field.Required(c.Path(), "at least one validation action is required"))
	}
}
