package extension

import (
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// What policies that validate and policies that mutate have in common.

// policyHead are the first entries of both: what to do on failure, which parameters there are, and which requests they are about.
func policyHead() []rules.Entry {
	return []rules.Entry{
		rules.At("spec.failurePolicy", rules.Default("Fail"), rules.Required(), failurePolicies()),
		rules.At("spec.paramKind", rules.Check(checkParamKind)),
		rules.At("spec.matchConstraints", rules.Required(), matchResources()),
		rules.At("spec.matchConstraints.resourceRules", rules.Required()),
	}
}

func checkParamKind(c *rules.Checker, v, _ *admissionv1.ParamKind) {
	checkParamVersion(c, v.APIVersion)
	if v.Kind == "" {
		c.Add(field.Required(c.At("kind"), ""))
	} else if messages := utilvalidation.IsDNS1035Label(strings.ToLower(v.Kind)); len(messages) > 0 {
		c.Add(field.Invalid(c.At("kind"), v.Kind, "may have mixed case, but should otherwise match: "+strings.Join(messages, ",")))
	}
}

// checkParamVersion asks for a group and a version, or for a version of the core group.
func checkParamVersion(c *rules.Checker, v string) {
	group, version, found := strings.Cut(v, "/")
	if !found {
		group, version = "", v
	}
	invalid := func(value, detail string) { c.Add(field.Invalid(c.At("apiVersion"), value, detail)) }
	switch {
	case v == "":
		c.Add(field.Required(c.At("apiVersion"), ""))
		return
	case strings.Contains(version, "/"):
		invalid(v, "unexpected GroupVersion string: "+v)
		return
	}
	if messages := utilvalidation.IsDNS1123Subdomain(group); group != "" && len(messages) > 0 {
		invalid(group, strings.Join(messages, ","))
	}
	if version == "" {
		invalid(v, "version must be specified")
	} else if messages := utilvalidation.IsDNS1035Label(version); len(messages) > 0 {
		invalid(version, strings.Join(messages, ","))
	}
}

// variables are the rules of the expressions that others of a policy refer to by name.
func variables() *rules.Set {
	return rules.Of[admissionv1.Variable](
		rules.At("name", rules.Check(func(c *rules.Checker, v, _ *string) {
			switch {
			case strings.TrimSpace(*v) == "":
				c.Add(field.Required(c.Path(), "name is not specified"))
			case !isCELIdentifier(*v):
				c.Add(field.Invalid(c.Path(), *v, "must be a valid CEL identifier"))
			}
		})),
		rules.At("expression", expression("expression is not specified")),
	)
}

var celIdentifier = regexp.MustCompile("^[_a-zA-Z][_a-zA-Z0-9]*$")

func isCELIdentifier(s string) bool {
	reserved := []string{
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
		"package", "namespace", "return", "var", "void", "while",
	}
	return celIdentifier.MatchString(s) && !slices.Contains(reserved, s)
}

// binding are the entries that the bindings of both kinds of policy have.
func binding() []rules.Entry {
	return []rules.Entry{
		rules.At("spec.policyName", rules.Required(), rules.Format(func(s string) []string { return validation.NameIsDNSSubdomain(s, false) })),
		rules.At("spec.paramRef", paramRef()),
		rules.At("spec.matchResources", matchResources()),
	}
}

// paramRef are the rules of the objects that a binding gives to its policy as parameters: one by its name, or some by their labels.
func paramRef() *rules.Set {
	const exclusive = "name and selector are mutually exclusive"
	twice := func(v *admissionv1.ParamRef) bool { return v.Name != "" && v.Selector != nil }
	return rules.Of[admissionv1.ParamRef](
		rules.At("name", rules.Optional(), rules.Format(content.IsPathSegmentName)),
		rules.At("", rules.If(twice, rules.Check(func(c *rules.Checker, _, _ *admissionv1.ParamRef) {
			c.Add(field.Forbidden(c.At("name"), exclusive))
		}))),
		rules.At("selector", core.LabelSelector()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *admissionv1.ParamRef) {
			switch {
			case twice(v):
				c.Add(field.Forbidden(c.At("selector"), exclusive))
			case v.Name == "" && v.Selector == nil:
				c.Add(field.Required(c.Path(), "one of name or selector must be specified"))
			}
			switch a := v.ParameterNotFoundAction; {
			case a == nil || *a == "":
				c.Add(field.Required(c.At("parameterNotFoundAction"), ""))
			case *a != admissionv1.DenyAction && *a != admissionv1.AllowAction:
				c.Add(field.NotSupported(c.At("parameterNotFoundAction"), *a,
					[]admissionv1.ParameterNotFoundActionType{admissionv1.DenyAction, admissionv1.AllowAction}))
			}
		})),
	)
}

// checkMutates refuses operations that have no object to mutate. The reference does not tell which of the rules it is.
func checkMutates() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *admissionv1.MatchResources) {
		able := []admissionv1.OperationType{admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Update}
		for _, rule := range v.ResourceRules {
			for _, op := range rule.Operations {
				if !slices.Contains(able, op) {
					c.Add(field.NotSupported(c.At("resourceRules", "operations"), op, able))
				}
			}
		}
	})
}
