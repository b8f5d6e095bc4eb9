package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/api"
)

// all is the wildcard of verbs, groups, resources and paths.
const all = "*"

// A target is a resource as a rule names it, split at its first slash: "pods", "pods/status", "*/scale" or the
// wildcard "*".
type target struct{ resource, sub string }

// A query is a request in the form that rules are compared with. It is made once per decision.
type query struct {
	isResource        bool
	verb, group, name string
	path              string
	target            target // resource and subresource, joined and split again as rules are
	sub               string // subresource as asked, for "*/sub" rules
}

func newQuery(info api.RequestInfo) query {
	q := query{
		isResource: info.IsResource, verb: info.Verb, group: info.Group, name: info.Name, path: info.Path,
		target: target{info.Resource, info.Subresource}, sub: info.Subresource,
	}
	if strings.Contains(info.Resource, "/") {
		// Only an access review can ask for such a thing; the request path cannot.
		q.target = parseTarget(info.ResourceWithSub())
	}
	if info.Verb == "deletecollection" {
		// A field selector narrows what is deleted, it does not make the request one for a named object.
		q.name = ""
	}
	return q
}

func parseTarget(resource string) target {
	name, sub, _ := strings.Cut(resource, "/")
	return target{name, sub}
}

// A role is what a Role or ClusterRole grants, compiled once when the object is seen.
type role struct {
	rules      []rbacv1.PolicyRule // as written, for reviews and escalation checks
	byResource map[target][]*rule
	paths      []*rule // the rules with nonResourceURLs
}

type rule struct {
	verbs, groups, names set
	urls                 []string
}

// compile indexes the rules by resource alone: the table is as long as the rules' resource lists, whereas an
// index by group and resource would let a small object with long lists grow to their product.
func compile(rules []rbacv1.PolicyRule) *role {
	r := &role{rules: rules}
	for i := range rules {
		pr := &rules[i]
		c := &rule{verbs: newSet(pr.Verbs), groups: newSet(pr.APIGroups), names: newSet(pr.ResourceNames), urls: pr.NonResourceURLs}
		if len(pr.NonResourceURLs) > 0 {
			r.paths = append(r.paths, c)
		}
		for _, name := range pr.Resources {
			if r.byResource == nil {
				r.byResource = make(map[target][]*rule)
			}
			t := parseTarget(name)
			if known := r.byResource[t]; len(known) == 0 || known[len(known)-1] != c {
				r.byResource[t] = append(known, c)
			}
		}
	}
	return r
}

func (r *role) allows(q *query) bool {
	if !q.isResource {
		return slices.ContainsFunc(r.paths, func(c *rule) bool { return c.allowsPath(q) })
	}
	if len(r.byResource) == 0 {
		return false
	}
	return anyAllows(r.byResource[target{resource: all}], q) || anyAllows(r.byResource[q.target], q) ||
		(q.sub != "" && anyAllows(r.byResource[target{all, q.sub}], q))
}

// anyAllows compares everything but the resource, which the caller has matched.
func anyAllows(rules []*rule, q *query) bool {
	for _, c := range rules {
		if c.verbs.covers(q.verb) && c.groups.covers(q.group) && (len(c.names) == 0 || c.names.has(q.name)) {
			return true
		}
	}
	return false
}

func (c *rule) allowsPath(q *query) bool {
	return c.verbs.covers(q.verb) && slices.ContainsFunc(c.urls, func(url string) bool { return coversPath(url, q.path) })
}

// coversPath reports whether a nonResourceURL covers a path: by equality, as "*", or as a prefix that ends in
// "*".
func coversPath(url, path string) bool {
	if url == path || url == all {
		return true
	}
	return strings.HasSuffix(url, all) && strings.HasPrefix(path, strings.TrimRight(url, all))
}

// A set holds strings for membership tests: as given while short, sorted when longer than scanLimit.
type set []string

const scanLimit = 16

func newSet(list []string) set {
	if len(list) <= scanLimit {
		return list
	}
	s := slices.Clone(list)
	slices.Sort(s)
	return s
}

func (s set) has(v string) bool {
	if len(s) <= scanLimit {
		return slices.Contains(s, v)
	}
	_, ok := slices.BinarySearch(s, v)
	return ok
}

// covers is has with the wildcard.
func (s set) covers(v string) bool { return s.has(v) || s.has(all) }
