package audit

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// Policy says which requests are recorded and how much of them: the first rule that matches decides, and what no rule
// matches is not recorded. Its form is audit.k8s.io/v1 Policy. Policies come from [ParsePolicy] or
// [DefaultPolicy]; one that was built by hand has to pass [Policy.Validate]. A Policy in use must not be changed.
type Policy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// Rules are tried in order. At least one is required.
	Rules []Rule `json:"rules"`
	// OmitStages are not written for any request. RequestReceived is written all the same for requests that can change something
	// or open a way into a pod or node.
	OmitStages []Stage `json:"omitStages,omitempty"`
	// OmitManagedFields leaves metadata.managedFields out of bodies, unless a rule says otherwise.
	OmitManagedFields bool `json:"omitManagedFields,omitempty"`
}

// Rule matches a request if every list that is not empty matches it. A rule with Resources or Namespaces matches
// requests for resources only, one with NonResourceURLs other requests only, one with neither both.
type Rule struct {
	Level      Level            `json:"level"`
	Users      []string         `json:"users,omitempty"`
	UserGroups []string         `json:"userGroups,omitempty"`
	Verbs      []string         `json:"verbs,omitempty"`
	Resources  []GroupResources `json:"resources,omitempty"`
	// Namespaces may hold "", which stands for requests outside any namespace.
	Namespaces []string `json:"namespaces,omitempty"`
	// NonResourceURLs are paths; "*" at the end stands for anything.
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`
	// OmitStages are not written for what the rule matches, in addition to those of the policy and with the same exception.
	OmitStages []Stage `json:"omitStages,omitempty"`
	// OmitManagedFields overrides that of the policy; nil does not.
	OmitManagedFields *bool `json:"omitManagedFields,omitempty"`
}

// GroupResources names resources of one API group.
type GroupResources struct {
	// Group is "" for the core group and "*" for all.
	Group string `json:"group,omitempty"`
	// Resources are written "pods", "pods/log", "pods/*", "*/scale" or "*"; none stands for all. "pods" does not stand for subresources.
	Resources []string `json:"resources,omitempty"`
	// ResourceNames narrows Resources to objects of these names; none stands for all.
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// DefaultPolicy records everything but health checks at level Metadata: writes when they arrive and when they are
// done, watches when they start and when they end, other reads when they are done.
func DefaultPolicy() *Policy {
	return &Policy{
		TypeMeta: metav1.TypeMeta{APIVersion: eventAPIVersion, Kind: policyKind},
		Rules: []Rule{
			{
				Level: LevelNone, Verbs: []string{"get", "head", "options"},
				NonResourceURLs: []string{"/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*"},
			},
			{Level: LevelMetadata, Resources: []GroupResources{{Group: "*", Resources: []string{"*/exec", "*/attach", "*/portforward", "*/proxy"}}}},
			{Level: LevelMetadata, Verbs: []string{"get", "list", "head", "options", "watch"}, OmitStages: []Stage{StageRequestReceived}},
			{Level: LevelMetadata},
		},
	}
}

// stageSet is a set of stages. The zero value is empty.
type stageSet uint8

func (s stageSet) has(stage Stage) bool { return s&stageBit(stage) != 0 }

func (s stageSet) with(stages []Stage) stageSet {
	for _, stage := range stages {
		s |= stageBit(stage)
	}
	return s
}

func stageBit(stage Stage) stageSet {
	switch stage {
	case StageRequestReceived:
		return 1
	case StageResponseStarted:
		return 2
	case StageResponseComplete:
		return 4
	case StagePanic:
		return 8
	}
	return 0
}

func allStages() []Stage {
	return []Stage{StageRequestReceived, StageResponseStarted, StageResponseComplete, StagePanic}
}

// decision is what the policy says about one request. The zero value records everything there is at level "", which
// decide never returns.
type decision struct {
	level             Level
	omit              stageSet
	omitManagedFields bool
}

func (p *Policy) decide(user api.User, info api.RequestInfo) decision {
	for i := range p.Rules {
		rule := &p.Rules[i]
		if !rule.matches(user, info) {
			continue
		}
		d := decision{level: rule.Level, omit: stageSet(0).with(p.OmitStages).with(rule.OmitStages), omitManagedFields: p.OmitManagedFields}
		if rule.OmitManagedFields != nil {
			d.omitManagedFields = *rule.OmitManagedFields
		}
		return d
	}
	return decision{level: LevelNone}
}

// omitsIntent returns the numbers of the rules, from 0, that leave out RequestReceived and can match requests for which it is
// written all the same.
func (p *Policy) omitsIntent() (rules []int) {
	for i, r := range p.Rules {
		omit := stageSet(0).with(p.OmitStages).with(r.OmitStages)
		writes := func(verb string) bool { return precedes(api.RequestInfo{Verb: verb}) }
		if r.Level != LevelNone && omit.has(StageRequestReceived) && (len(r.Verbs) == 0 || slices.ContainsFunc(r.Verbs, writes)) {
			rules = append(rules, i)
		}
	}
	return rules
}

func (r *Rule) matches(user api.User, info api.RequestInfo) bool {
	if len(r.Users) > 0 && !slices.Contains(r.Users, user.Name) {
		return false
	}
	if len(r.UserGroups) > 0 && !slices.ContainsFunc(user.Groups, func(g string) bool { return slices.Contains(r.UserGroups, g) }) {
		return false
	}
	if len(r.Verbs) > 0 && !slices.Contains(r.Verbs, info.Verb) {
		return false
	}
	switch {
	case len(r.Resources) > 0 || len(r.Namespaces) > 0:
		return info.IsResource && r.matchesResource(info)
	case len(r.NonResourceURLs) > 0:
		return !info.IsResource && slices.ContainsFunc(r.NonResourceURLs, func(pattern string) bool { return pathMatches(pattern, info.Path) })
	}
	return true
}

func (r *Rule) matchesResource(info api.RequestInfo) bool {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, info.Namespace) {
		return false
	}
	return len(r.Resources) == 0 || slices.ContainsFunc(r.Resources, func(g GroupResources) bool { return g.matches(info) })
}

func (g GroupResources) matches(info api.RequestInfo) bool {
	if g.Group != "*" && g.Group != info.Group {
		return false
	}
	if len(g.ResourceNames) > 0 && !slices.Contains(g.ResourceNames, info.Name) {
		return false
	}
	return len(g.Resources) == 0 || slices.ContainsFunc(g.Resources, func(pattern string) bool { return resourceMatches(pattern, info) })
}

func resourceMatches(pattern string, info api.RequestInfo) bool {
	resource, sub, hasSub := strings.Cut(pattern, "/")
	switch {
	case pattern == "*":
		return true
	case !hasSub:
		return info.Subresource == "" && resource == info.Resource
	case sub == "*": // the resource itself too, as kube-apiserver reads it
		return resource == info.Resource
	case resource == "*":
		return info.Subresource != "" && sub == info.Subresource
	}
	return resource == info.Resource && sub == info.Subresource
}

func pathMatches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}
