package extension

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// What requests webhooks and admission policies are about.

// requestRule are the entries for a rule that says which requests it is about: operations on resources.
func requestRule() []rules.Entry {
	return []rules.Entry{
		rules.At("operations", rules.Required(), aloneIfAll[admissionv1.OperationType]("operations"), rules.Each(rules.Enum(admissionv1.OperationAll,
			admissionv1.Connect, admissionv1.Create, admissionv1.Delete, admissionv1.Update))),
		rules.At("apiGroups", rules.Required(), aloneIfAll[string]("API groups")),
		rules.At("apiVersions", rules.Required(), aloneIfAll[string]("API versions"), rules.Each(rules.Required())),
		rules.At("resources", rules.Required(), rules.Check(checkRuleResources)),
		rules.At("scope", rules.Default("*"),
			rules.Enum(admissionv1.AllScopes, admissionv1.ClusterScope, admissionv1.NamespacedScope)),
	}
}

// aloneIfAll refuses anything beside the asterisk that stands for all.
func aloneIfAll[T ~string](what string) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *[]T) {
		if len(*v) > 1 && slices.Contains(*v, "*") {
			c.Add(field.Invalid(c.Path(), *v, "if '*' is present, must not specify other "+what))
		}
	})
}

// checkRuleResources refuses resources that others in the list include, as far as the reference notices: a wildcard counts for what
// comes after it.
func checkRuleResources(c *rules.Checker, v, _ *[]string) {
	ofAll, ofResource := map[string]bool{}, map[string]bool{} // subresources of all resources; resources with all subresources
	plain := false                                            // whether the last entry without a subresource names one resource
	invalid := func(i int, detail string) { c.Add(field.Invalid(c.Path().Index(i), (*v)[i], detail)) }
	for i, entry := range *v {
		if entry == "" {
			c.Add(field.Required(c.Path().Index(i), ""))
			continue
		}
		resource, sub, found := strings.Cut(entry, "/")
		if !found {
			plain = entry != "*"
			continue
		}
		if ofResource[resource] {
			invalid(i, "if '"+resource+"/*' is present, must not specify "+entry)
		}
		if ofAll[sub] {
			invalid(i, "if '*/"+sub+"' is present, must not specify "+entry)
		}
		ofResource[resource] = ofResource[resource] || sub == "*"
		ofAll[sub] = ofAll[sub] || resource == "*"
	}
	if len(*v) > 1 && slices.Contains(*v, "*/*") {
		c.Add(field.Invalid(c.Path(), *v, "if '*/*' is present, must not specify other resources"))
	}
	if plain && slices.Contains(*v, "*") {
		c.Add(field.Invalid(c.Path(), *v, "if '*' is present, must not specify other resources without subresources"))
	}
}

// expression asks for a CEL expression, of which blanks are none.
func expression(detail string) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *string) {
		if isBlank(*v) {
			c.Add(field.Required(c.Path(), detail))
		}
	})
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// matchResources are the rules of the requests that an admission policy or its binding is about.
func matchResources() *rules.Set {
	rule := rules.Of[admissionv1.NamedRuleWithOperations](append([]rules.Entry{
		rules.At("resourceNames", rules.Check(checkResourceNames)),
	}, requestRule()...)...)
	return rules.Of[admissionv1.MatchResources](
		rules.At("matchPolicy", rules.Default("Equivalent"), rules.Required(), matchPolicies()),
		rules.At("namespaceSelector", rules.Default(metav1.LabelSelector{}), rules.Required(), core.LabelSelector()),
		rules.At("objectSelector", rules.Default(metav1.LabelSelector{}), rules.Required(), core.LabelSelector()),
		rules.At("resourceRules", rules.Each(rule)),
		rules.At("excludeResourceRules", rules.Each(rule)),
	)
}

func checkResourceNames(c *rules.Checker, v, _ *[]string) {
	seen := make(map[string]bool, len(*v))
	for i, name := range *v {
		for _, msg := range content.IsPathSegmentName(name) {
			c.Add(field.Invalid(c.Path().Index(i), name, msg))
		}
		if seen[name] {
			c.Add(field.Duplicate(c.Path().Index(i), name))
		}
		seen[name] = true
	}
}

func failurePolicies() rules.Rule { return rules.Enum(admissionv1.Fail, admissionv1.Ignore) }

func matchPolicies() rules.Rule { return rules.Enum(admissionv1.Equivalent, admissionv1.Exact) }

func reinvocationPolicies() rules.Rule {
	return rules.Enum(admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
}

// reservedSuffix ends the names of what is configured by files.
const reservedSuffix = ".static.k8s.io"

// warnReservedName tells of a name that is set aside for configuration that is read from files.
func warnReservedName() rules.Entry {
	return rules.At("metadata.name", rules.Check(func(c *rules.Checker, v, _ *string) {
		if strings.HasSuffix(*v, reservedSuffix) {
			c.Warn(`metadata.name: names ending with "` + reservedSuffix +
				`" are reserved for static manifest-based configurations and cannot be managed via the API`)
		}
	}))
}
