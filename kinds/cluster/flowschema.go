package cluster

import (
	"fmt"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// FlowSchema are the rules of the sorting of requests into priority levels.
func FlowSchema() *rules.Kind {
	conditions := rules.At("status.conditions", rules.Check(checkFlowConditions))
	return rules.For(rules.Spec[flowcontrolv1.FlowSchema]{
		Fields: []rules.Entry{
			rules.At("spec.matchingPrecedence", rules.Default(1000)),
			rules.At("", rules.Check(checkPrecedence)),
			rules.At("spec.distinguisherMethod", rules.Check(checkDistinguisher)),
			rules.At("spec.priorityLevelConfiguration.name", rules.Required("must reference a priority level"),
				rules.Format(func(s string) []string { return apivalidation.NameIsDNSSubdomain(s, false) })),
			rules.At("spec.rules", rules.Each(flowRule())),
			rules.At("", rules.Check(checkMandatorySchema)),
			conditions,
		},
		Parts: map[string]rules.Part[flowcontrolv1.FlowSchema]{"status": {Fields: []rules.Entry{conditions}}},
	})
}

// flowRule are the rules of whose requests for what a schema is about.
func flowRule() *rules.Set {
	subject := rules.Of[flowcontrolv1.Subject](rules.At("", rules.Check(checkFlowSubject)))
	resourceRule := rules.Of[flowcontrolv1.ResourcePolicyRule](
		rules.At("verbs", rules.Check(checkFlowVerbs)),
		rules.At("apiGroups", rules.Required("resource rules must supply at least one api group"), starAlone("api groups")),
		rules.At("resources", rules.Required("resource rules must supply at least one resource"), starAlone("resources")),
		rules.At("", rules.Check(checkFlowNamespaces)),
	)
	otherRule := rules.Of[flowcontrolv1.NonResourcePolicyRule](
		rules.At("verbs", rules.Check(checkFlowVerbs)),
		rules.At("nonResourceURLs", rules.Required("nonResourceURLs must contain at least one value"), rules.Check(checkFlowPaths)),
	)
	return rules.Of[flowcontrolv1.PolicyRulesWithSubjects](
		rules.At("subjects", rules.Required("subjects must contain at least one value"), rules.Each(subject)),
		rules.At("", rules.Check(func(c *rules.Checker, r, _ *flowcontrolv1.PolicyRulesWithSubjects) {
			if len(r.ResourceRules) == 0 && len(r.NonResourceRules) == 0 {
				c.Add(field.Required(c.Path(), "at least one of resourceRules and nonResourceRules has to be non-empty"))
			}
		})),
		rules.At("resourceRules", rules.Each(resourceRule)),
		rules.At("nonResourceRules", rules.Each(otherRule)),
	)
}

// Bounds of matchingPrecedence. The lowest is for one schema only, since it goes before all others.
const (
	exemptPrecedence = 1
	maxPrecedence    = 10000
)

func checkPrecedence(c *rules.Checker, s, _ *flowcontrolv1.FlowSchema) {
	n := s.Spec.MatchingPrecedence
	invalid := func(detail string) { c.Add(field.Invalid(c.At("spec", "matchingPrecedence"), n, detail)) }
	switch {
	case n <= 0:
		invalid("must be a positive value")
	case n > maxPrecedence:
		invalid(fmt.Sprintf("must not be greater than %v", maxPrecedence))
	case n == exemptPrecedence && s.Name != flowcontrolv1.PriorityLevelConfigurationNameExempt:
		invalid("only the schema named 'exempt' may have matchingPrecedence 1")
	}
}

func checkDistinguisher(c *rules.Checker, m, _ *flowcontrolv1.FlowDistinguisherMethod) {
	if m.Type != flowcontrolv1.FlowDistinguisherMethodByNamespaceType && m.Type != flowcontrolv1.FlowDistinguisherMethodByUserType {
		c.Add(field.NotSupported(c.At("type"), rules.Shown(m), []string{"ByNamespace", "ByUser"}))
	}
}

// checkFlowSubject asks for the one member that the kind names.
func checkFlowSubject(c *rules.Checker, s, _ *flowcontrolv1.Subject) {
	members := []struct {
		kind      flowcontrolv1.SubjectKind
		name      string
		set       bool
		mandatory func()
	}{
		{flowcontrolv1.SubjectKindServiceAccount, "serviceAccount", s.ServiceAccount != nil, func() { checkFlowAccount(c, s.ServiceAccount) }},
		{flowcontrolv1.SubjectKindUser, "user", s.User != nil, func() { checkFlowName(c, "user", s.User.Name) }},
		{flowcontrolv1.SubjectKindGroup, "group", s.Group != nil, func() { checkFlowName(c, "group", s.Group.Name) }},
	}
	known := false
	for _, m := range members {
		if s.Kind != m.kind {
			continue
		}
		known = true
		if m.set {
			m.mandatory()
		} else {
			c.Add(field.Required(c.At(m.name), fmt.Sprintf("%s is required when subject kind is '%s'", m.name, m.kind)))
		}
	}
	if !known {
		c.Add(field.NotSupported(c.At("kind"), s.Kind, []string{"Group", "ServiceAccount", "User"}))
		return
	}
	for _, m := range members {
		if s.Kind != m.kind && m.set {
			c.Add(field.Forbidden(c.At(m.name), fmt.Sprintf("%s is forbidden when subject kind is not '%s'", m.name, m.kind)))
		}
	}
}

func checkFlowName(c *rules.Checker, member, name string) {
	if name == "" {
		c.Add(field.Required(c.At(member, "name"), ""))
	}
}

func checkFlowAccount(c *rules.Checker, a *flowcontrolv1.ServiceAccountSubject) {
	checkFlowName(c, "serviceAccount", a.Name)
	if a.Name != "" && a.Name != "*" {
		for _, m := range apivalidation.ValidateServiceAccountName(a.Name, false) {
			c.Add(field.Invalid(c.At("serviceAccount", "name"), a.Name, m))
		}
	}
	if a.Namespace == "" {
		c.Add(field.Required(c.At("serviceAccount", "namespace"), "must specify namespace for service account"))
		return
	}
	for _, m := range apivalidation.ValidateNamespaceName(a.Namespace, false) {
		c.Add(field.Invalid(c.At("serviceAccount", "namespace"), a.Namespace, m))
	}
}

// starAlone asks that "*" is the only value where it is one.
func starAlone(what string) rules.Rule {
	return rules.Check(func(c *rules.Checker, list, _ *[]string) {
		if len(*list) > 1 && slices.Contains(*list, "*") {
			c.Add(field.Invalid(c.Path(), *list, "if '*' is present, must not specify other "+what))
		}
	})
}

func checkFlowVerbs(c *rules.Checker, verbs, _ *[]string) {
	known := []string{"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"}
	isUnknown := func(v string) bool { return !slices.Contains(known, v) }
	switch {
	case len(*verbs) == 0:
		c.Add(field.Required(c.Path(), "verbs must contain at least one value"))
	case slices.Contains(*verbs, "*"):
		if len(*verbs) > 1 {
			c.Add(field.Invalid(c.Path(), *verbs, "if '*' is present, must not specify other verbs"))
		}
	case slices.ContainsFunc(*verbs, isUnknown):
		c.Add(field.NotSupported(c.Path(), *verbs, known))
	}
}

func checkFlowNamespaces(c *rules.Checker, r, _ *flowcontrolv1.ResourcePolicyRule) {
	switch {
	case len(r.Namespaces) == 0 && !r.ClusterScope:
		c.Add(field.Required(c.At("namespaces"), "resource rules that are not cluster scoped must supply at least one namespace"))
	case slices.Contains(r.Namespaces, "*"):
		if len(r.Namespaces) > 1 {
			c.Add(field.Invalid(c.At("namespaces"), r.Namespaces, "if '*' is present, must not specify other namespaces"))
		}
	default:
		for i, name := range r.Namespaces {
			for _, m := range apivalidation.ValidateNamespaceName(name, false) {
				c.Add(field.Invalid(c.At("namespaces").Index(i), name, "each member of this list must be '*' or a DNS-1123 label; "+m))
			}
		}
	}
}

func checkFlowPaths(c *rules.Checker, paths, _ *[]string) {
	if slices.Contains(*paths, "*") {
		if len(*paths) > 1 {
			c.Add(field.Invalid(c.Path(), *paths, "if '*' is present, must not specify other non-resource URLs"))
		}
		return
	}
	for i, p := range *paths {
		if detail := pathFault(p); detail != "" {
			c.Add(field.Invalid(c.Path().Index(i), p, detail))
		}
	}
}

func pathFault(p string) string {
	stars := strings.Count(p, "*")
	switch {
	case p == "":
		return "must not be empty"
	case p == "/":
		return ""
	case !strings.HasPrefix(p, "/"):
		return "must start with slash"
	case strings.Contains(p, " "):
		return "must not contain white-space"
	case strings.Contains(p, "//"):
		return "must not contain double slash"
	case stars > 1 || stars == 1 && !strings.HasSuffix(p, "/*"):
		return "wildcard can only do suffix matching"
	}
	return ""
}

func checkFlowConditions(c *rules.Checker, conditions, _ *[]flowcontrolv1.FlowSchemaCondition) {
	checkConditionTypes(c, len(*conditions), func(i int) string { return string((*conditions)[i].Type) })
}

// checkConditionTypes asks that each of n conditions has a type of its own.
func checkConditionTypes(c *rules.Checker, n int, typeOf func(int) string) {
	seen := make(map[string]bool, n)
	for i := range n {
		t := typeOf(i)
		if seen[t] {
			c.Add(field.Duplicate(c.Path().Index(i).Child("type"), t))
		}
		seen[t] = true
		if t == "" {
			c.Add(field.Required(c.Path().Index(i).Child("type"), ""))
		}
	}
}

// checkMandatorySchema keeps the two schemas that sort what no other does as they are.
func checkMandatorySchema(c *rules.Checker, s, _ *flowcontrolv1.FlowSchema) {
	want, ok := mandatorySchema(s.Name)
	if ok && !apiequality.Semantic.DeepEqual(s.Spec, want) {
		c.Add(field.Invalid(c.At("spec"), rules.Shown(s.Spec), fmt.Sprintf("spec of '%s' must equal the fixed value", s.Name)))
	}
}

func mandatorySchema(name string) (flowcontrolv1.FlowSchemaSpec, bool) {
	all := []string{"*"}
	spec := flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: name},
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all}},
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
		}},
	}
	var groups []string
	switch name {
	case flowcontrolv1.PriorityLevelConfigurationNameExempt:
		spec.MatchingPrecedence, groups = exemptPrecedence, []string{"system:masters"}
	case flowcontrolv1.FlowSchemaNameCatchAll:
		spec.MatchingPrecedence, groups = maxPrecedence, []string{"system:unauthenticated", "system:authenticated"}
		spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType}
	default:
		return spec, false
	}
	for _, g := range groups {
		spec.Rules[0].Subjects = append(spec.Rules[0].Subjects, flowcontrolv1.Subject{
			Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: g},
		})
	}
	return spec, true
}
