package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/api"
)

// Nobody may grant what they do not hold. To check a role against the rules its author holds, the wanted rules
// are taken apart into single grants (one group, resource, name and verb, or one path and verb) and each must
// be covered by one held rule.
//
// A role of a few kilobytes with long lists has millions of such grants, so the check has a budget of
// comparisons; where it runs out, the rest of the wanted rules counts as not held. A wanted rule that is
// covered whole by one held rule costs only the length of its lists, which keeps administrators and ordinary
// roles far from the bound.
const (
	maxCoverSteps   = 1 << 22
	maxMissingRules = 1000
)

// Covers checks that the user holds every one of the rules in the namespace ("" for cluster-wide), and returns
// the parts that the user does not hold: nil means that the user may grant the rules. Each returned rule names
// one group, resource and name, or one path; after 1,000 of them, or when the check exceeds its budget
// (4,194,304 comparisons), what remains of a rule is returned whole. Members of system:masters hold
// everything.
func (x *Index) Covers(user api.User, namespace string, rules []rbacv1.PolicyRule) (missing []rbacv1.PolicyRule) {
	if user.Name != "" && user.InGroup(api.GroupMasters) {
		return nil
	}
	held, _ := x.RulesFor(user, namespace)
	return uncovered(held, rules)
}

// uncovered returns the parts of wanted that no rule of held covers.
func uncovered(held, wanted []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	c := coverage{steps: maxCoverSteps}
	for i := range held {
		c.held = append(c.held, heldRule{
			verbs: newSet(held[i].Verbs), groups: newSet(held[i].APIGroups), resources: newSet(held[i].Resources),
			names: newSet(held[i].ResourceNames), urls: held[i].NonResourceURLs,
		})
	}
	for i := range wanted {
		c.check(&wanted[i])
	}
	return c.missing
}

type coverage struct {
	held    []heldRule
	steps   int // comparisons left
	missing []rbacv1.PolicyRule
}

type heldRule struct {
	verbs, groups, resources, names set
	urls                            []string
}

func (h *heldRule) coversResource(resource string) bool {
	if h.resources.covers(resource) {
		return true
	}
	_, sub, ok := strings.Cut(resource, "/")
	return ok && h.resources.has(all+"/"+sub)
}

func (h *heldRule) coversURL(url string) bool {
	return slices.ContainsFunc(h.urls, func(held string) bool { return coversPath(held, url) })
}

// every reports whether f holds for all of list, within the budget.
func (c *coverage) every(list []string, f func(string) bool) bool {
	for _, v := range list {
		if !c.spend(1) || !f(v) {
			return false
		}
	}
	return true
}

func (c *coverage) spend(n int) bool {
	c.steps -= n
	return c.steps > 0
}

// check adds to c.missing what of the wanted rule is not held.
func (c *coverage) check(w *rbacv1.PolicyRule) {
	if c.coversWhole(w) {
		return
	}
	if !c.checkResources(w) || !c.checkURLs(w) {
		c.missing = append(c.missing, *w)
	}
}

// coversWhole reports whether one held rule covers all of w.
func (c *coverage) coversWhole(w *rbacv1.PolicyRule) bool {
	for i := range c.held {
		h := &c.held[i]
		if len(w.ResourceNames) == 0 && len(h.names) > 0 && len(w.Resources) > 0 {
			continue
		}
		if c.every(w.Verbs, h.verbs.covers) && c.every(w.APIGroups, h.groups.covers) &&
			c.every(w.Resources, h.coversResource) && c.every(w.NonResourceURLs, h.coversURL) &&
			(len(h.names) == 0 || c.every(w.ResourceNames, h.names.has)) {
			return true
		}
	}
	return false
}

// checkResources checks each group, resource and name of w, and returns false where it had to give up.
func (c *coverage) checkResources(w *rbacv1.PolicyRule) bool {
	names := w.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range w.APIGroups {
		for _, resource := range w.Resources {
			if !c.spend(len(c.held) + 1) {
				return false
			}
			candidates := c.matching(group, resource)
			for _, name := range names {
				var of []string
				if len(w.ResourceNames) > 0 {
					of = []string{name}
				}
				part := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: of}
				ok := c.checkVerbs(part, w.Verbs, candidates, func(h *heldRule) bool {
					return len(h.names) == 0 || (len(of) > 0 && h.names.has(name))
				})
				if !ok {
					return false
				}
			}
		}
	}
	return true
}

func (c *coverage) matching(group, resource string) []*heldRule {
	var list []*heldRule
	for i := range c.held {
		if h := &c.held[i]; h.groups.covers(group) && h.coversResource(resource) {
			list = append(list, h)
		}
	}
	return list
}

// checkURLs checks each path of w, and returns false where it had to give up.
func (c *coverage) checkURLs(w *rbacv1.PolicyRule) bool {
	for _, url := range w.NonResourceURLs {
		var candidates []*heldRule
		for i := range c.held {
			if h := &c.held[i]; c.spend(1+len(h.urls)) && h.coversURL(url) {
				candidates = append(candidates, h)
			}
		}
		part := rbacv1.PolicyRule{NonResourceURLs: []string{url}}
		if !c.checkVerbs(part, w.Verbs, candidates, func(*heldRule) bool { return true }) {
			return false
		}
	}
	return true
}

// checkVerbs adds part with those verbs that no candidate covers.
func (c *coverage) checkVerbs(part rbacv1.PolicyRule, verbs []string, candidates []*heldRule, applies func(*heldRule) bool) bool {
	for _, verb := range verbs {
		if !c.spend(len(candidates)+1) || len(c.missing) >= maxMissingRules {
			return false
		}
		if !slices.ContainsFunc(candidates, func(h *heldRule) bool { return h.verbs.covers(verb) && applies(h) }) {
			part.Verbs = append(part.Verbs, verb)
		}
	}
	if len(part.Verbs) > 0 {
		c.missing = append(c.missing, part)
	}
	return true
}
