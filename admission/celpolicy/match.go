package celpolicy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
)

// criteria are the requests that a policy or a binding is about.
type criteria struct {
	namespaces, objects labels.Selector
	rules, excluded     []admissionregistrationv1.NamedRuleWithOperations
	equivalent          bool  // also by way of another version or group
	err                 error // why it cannot be told what they are about
}

// newCriteria parses the constraints of a policy, of which it must have some.
func newCriteria(m *admissionregistrationv1.MatchResources) *criteria {
	if m == nil {
		return &criteria{err: errors.New("policy contained no match constraints, a required field")}
	}
	const unset = "a nil %s selector was passed, please ensure selectors are initialized properly"
	c := &criteria{rules: m.ResourceRules, excluded: m.ExcludeResourceRules}
	c.equivalent = m.MatchPolicy != nil && *m.MatchPolicy == admissionregistrationv1.Equivalent
	switch {
	case m.NamespaceSelector == nil:
		c.err = fmt.Errorf(unset, "namespace")
	case m.ObjectSelector == nil:
		c.err = fmt.Errorf(unset, "object")
	default:
		var e1, e2 error
		c.namespaces, e1 = metav1.LabelSelectorAsSelector(m.NamespaceSelector)
		c.objects, e2 = metav1.LabelSelectorAsSelector(m.ObjectSelector)
		c.err = errors.Join(e1, e2)
	}
	return c
}

// about returns the resources that the rules name, and whether they may be about any.
func (c *criteria) about() (named map[schema.GroupResource]bool, every bool) {
	if c.err != nil || len(c.rules) == 0 {
		return nil, true
	}
	named = map[schema.GroupResource]bool{}
	for _, rule := range c.rules {
		for _, group := range rule.APIGroups {
			for _, path := range rule.Resources {
				resource, _, _ := strings.Cut(path, "/")
				if group == "*" || resource == "*" {
					return nil, true
				}
				named[schema.GroupResource{Group: group, Resource: resource}] = true
			}
		}
	}
	return named, false
}

// matches reports whether the request is one of them, and as which resource and kind.
func (c *criteria) matches(r *request) (Served, bool, error) {
	if c.err != nil {
		return Served{}, false, c.err
	}
	inNamespace, namespaceErr := c.matchesNamespace(r)
	if !inNamespace && namespaceErr == nil {
		return Served{}, false, nil
	}
	if !c.objects.Empty() && !selects(c.objects, r.Object) && !selects(c.objects, r.OldObject) {
		return Served{}, false, nil
	}
	if _, found := c.matchesRules(c.excluded, r); found {
		return Served{}, false, nil
	}
	as := Served{r.Resource, r.Kind}
	if len(c.rules) > 0 {
		var found bool
		if as, found = c.matchesRules(c.rules, r); !found {
			return Served{}, false, nil
		}
	}
	return as, namespaceErr == nil, namespaceErr
}

// matchesNamespace asks the selector about the namespace. Objects outside of namespaces are never left out by it.
func (c *criteria) matchesNamespace(r *request) (bool, error) {
	if (r.Namespace == "" && r.Resource.Resource != "namespaces") || c.namespaces.Empty() {
		return true, nil
	}
	if r.Resource.Resource == "namespaces" && r.Subresource == "" && r.Writes() {
		return selects(c.namespaces, r.Object), nil // The one that is stored is not the one that will be.
	}
	namespace, err := r.namespaceNamed(r.Namespace)
	if err != nil {
		return false, err
	}
	return c.namespaces.Matches(labels.Set(namespace.Labels)), nil
}

func selects(s labels.Selector, o runtime.Object) bool {
	if o == nil {
		return false
	}
	m, err := meta.Accessor(o)
	return err == nil && s.Matches(labels.Set(m.GetLabels()))
}

// matchesRules returns the first way in which one of the rules is about the request: as it was made, or else as an equivalent one.
func (c *criteria) matchesRules(rules []admissionregistrationv1.NamedRuleWithOperations, r *request) (Served, bool) {
	for i := range rules {
		if matchesRule(&rules[i], r, r.Resource) {
			return Served{r.Resource, r.Kind}, true
		}
	}
	if !c.equivalent {
		return Served{}, false
	}
	for i := range rules {
		for _, e := range r.equivalents {
			if matchesRule(&rules[i], r, e.Resource) {
				return e, true
			}
		}
	}
	return Served{}, false
}

func matchesRule(rule *admissionregistrationv1.NamedRuleWithOperations, r *request, as schema.GroupVersionResource) bool {
	return matchesScope(rule.Scope, r, as) && matchesOperation(rule.Operations, r.Operation) && oneOf(rule.APIGroups, as.Group) &&
		oneOf(rule.APIVersions, as.Version) && matchesPath(rule.Resources, as.Resource, r.Subresource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

// matchesScope takes a Namespace for what is not in one, although its requests carry its name as that of a namespace.
func matchesScope(scope *admissionregistrationv1.ScopeType, r *request, as schema.GroupVersionResource) bool {
	outside := r.Namespace == "" || as == schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	switch {
	case scope == nil || *scope == admissionregistrationv1.AllScopes:
		return true
	case *scope == admissionregistrationv1.NamespacedScope:
		return !outside
	case *scope == admissionregistrationv1.ClusterScope:
		return outside
	}
	return false
}

func matchesOperation(operations []admissionregistrationv1.OperationType, o admission.Operation) bool {
	return slices.Contains(operations, admissionregistrationv1.OperationAll) || slices.Contains(operations, admissionregistrationv1.OperationType(o))
}

func oneOf(list []string, s string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, s)
}

func matchesPath(paths []string, resource, subresource string) bool {
	for _, path := range paths {
		res, sub, _ := strings.Cut(path, "/")
		if (res == "*" || res == resource) && (sub == "*" || sub == subresource) {
			return true
		}
	}
	return false
}
