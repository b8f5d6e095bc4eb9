package cluster

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// ResourceQuota are the rules of the bounds on a namespace as a whole.
func ResourceQuota() *rules.Kind {
	return rules.For(rules.Spec[corev1.ResourceQuota]{
		Fields: []rules.Entry{
			rules.At("spec.hard", core.RoundedUp(), rules.Check(checkQuotaAmounts)),
			rules.At("status.hard", core.RoundedUp()),
			rules.At("status.used", core.RoundedUp()),
			rules.At("spec", rules.Check(checkScopes), rules.Check(checkScopeSelector), rules.Check(checkSameScopes), rules.Check(warnOfRequests)),
		},
		Parts: map[string]rules.Part[corev1.ResourceQuota]{"status": {Fields: []rules.Entry{
			rules.At("status.hard", rules.Check(checkQuotaAmounts)),
			rules.At("status.used", rules.Check(checkQuotaAmounts)),
		}}},
	})
}

func checkQuotaAmounts(c *rules.Checker, list, _ *corev1.ResourceList) {
	for _, name := range sortedKeys(*list) {
		amount := (*list)[name]
		if len(quotaResource(nil, name)) > 0 || len(core.Quantity(nil, name, amount)) > 0 {
			c.Add(quotaResource(c.Path().Key(string(name)), name)...)
			c.Add(core.Quantity(c.Path().Key(string(name)), name, amount)...)
		}
	}
}

// maxUnfit bounds the errors about resources that do not fit scopes. There can be as many as scopes times resources, and answers hold fewer.
const maxUnfit = 2000

// unfitted counts the resources that do not fit a scope, once for each scope there is, and no more than left of them in all.
type unfitted struct {
	hard  corev1.ResourceList
	known map[corev1.ResourceQuotaScope]int
	left  int
}

func unfittedOf(hard corev1.ResourceList) *unfitted {
	return &unfitted{hard: hard, known: map[corev1.ResourceQuotaScope]int{}, left: maxUnfit}
}

func (u *unfitted) count(scope corev1.ResourceQuotaScope) int {
	n, ok := u.known[scope]
	if !ok {
		n = len(unfit(scope, u.hard))
		u.known[scope] = n
	}
	n = min(n, u.left)
	u.left -= n
	return n
}

func checkScopes(c *rules.Checker, spec, _ *corev1.ResourceQuotaSpec) {
	unfit := unfittedOf(spec.Hard)
	for _, scope := range spec.Scopes {
		if !isScope(scope) {
			c.Add(field.Invalid(c.At("scopes"), spec.Scopes, "unsupported scope"))
		}
		for range unfit.count(scope) {
			c.Add(field.Invalid(c.At("scopes"), spec.Scopes, "unsupported scope applied to resource"))
		}
	}
	for range conflicts(spec.Scopes) {
		c.Add(field.Invalid(c.At("scopes"), spec.Scopes, "conflicting scopes"))
	}
}

func checkScopeSelector(c *rules.Checker, spec, _ *corev1.ResourceQuotaSpec) {
	if spec.ScopeSelector == nil {
		return
	}
	at := func(name string) *field.Path { return c.At("scopeSelector", "matchExpressions", name) }
	var scopes []corev1.ResourceQuotaScope
	unfit := unfittedOf(spec.Hard)
	for _, r := range spec.ScopeSelector.MatchExpressions {
		if !isScope(r.ScopeName) {
			c.Add(field.Invalid(at("scopeName"), r.ScopeName, "unsupported scope"))
		}
		for range unfit.count(r.ScopeName) {
			c.Add(field.Invalid(c.At("scopeSelector", "matchExpressions"), rules.Shown(spec.ScopeSelector), "unsupported scope applied to resource"))
		}
		checkScopeOperator(c, r, at)
		scopes = append(scopes, r.ScopeName)
	}
	for range conflicts(scopes) {
		c.Add(field.Invalid(c.At("scopeSelector", "matchExpressions"), spec.Scopes, "conflicting scopes"))
	}
}

func checkScopeOperator(c *rules.Checker, r corev1.ScopedResourceSelectorRequirement, at func(string) *field.Path) {
	switch r.ScopeName {
	case corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeVolumeAttributesClass:
	default:
		if isScope(r.ScopeName) && r.Operator != corev1.ScopeSelectorOpExists {
			c.Add(field.Invalid(at("operator"), r.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "+
				"ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
		}
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			c.Add(field.Required(at("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			c.Add(field.Invalid(at("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
		}
	default:
		c.Add(field.Invalid(at("operator"), r.Operator, "not a valid selector operator"))
	}
}

func isScope(s corev1.ResourceQuotaScope) bool {
	switch s {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity,
		corev1.ResourceQuotaScopeVolumeAttributesClass:
		return true
	}
	return false
}

// unfit are the known resources of a quota that have nothing to do with a scope.
func unfit(scope corev1.ResourceQuotaScope, hard corev1.ResourceList) []corev1.ResourceName {
	var fit []corev1.ResourceName
	switch scope {
	case corev1.ResourceQuotaScopeBestEffort:
		fit = []corev1.ResourceName{corev1.ResourcePods}
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		fit = []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage}
	default:
		if !isScope(scope) {
			return nil
		}
		fit = []corev1.ResourceName{
			corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
			corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		}
	}
	return slices.DeleteFunc(sortedKeys(hard), func(name corev1.ResourceName) bool {
		return !isQuotaResource(name) || slices.Contains(fit, name)
	})
}

// conflicts are the pairs of scopes that no pod can be in both of.
func conflicts(scopes []corev1.ResourceQuotaScope) (found [][2]corev1.ResourceQuotaScope) {
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(scopes, pair[0]) && slices.Contains(scopes, pair[1]) {
			found = append(found, pair)
		}
	}
	return found
}

func checkSameScopes(c *rules.Checker, spec, old *corev1.ResourceQuotaSpec) {
	if old == nil {
		return
	}
	set := func(scopes []corev1.ResourceQuotaScope) []corev1.ResourceQuotaScope {
		return slices.Compact(slices.Sorted(slices.Values(scopes)))
	}
	if !slices.Equal(set(spec.Scopes), set(old.Scopes)) {
		c.Add(field.Invalid(c.At("scopes"), spec.Scopes, "field is immutable"))
	}
}

// warnOfRequests says, when a quota is made, where it bounds requests less tightly than limits.
func warnOfRequests(c *rules.Checker, spec, _ *corev1.ResourceQuotaSpec) {
	if c.Updating() {
		return
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceStorage, corev1.ResourceEphemeralStorage} {
		requests := corev1.DefaultResourceRequestsPrefix + name
		request, ok := spec.Hard[requests]
		if !ok && (name == corev1.ResourceCPU || name == corev1.ResourceMemory) {
			if request, ok = spec.Hard[name]; ok {
				requests = name
			}
		}
		limits := "limits." + name
		if limit, both := spec.Hard[limits]; ok && both && request.Cmp(limit) > 0 {
			c.Warn(fmt.Sprintf("ResourceQuota %s (%s) should be less than %s (%s)", requests, request.String(), limits, limit.String()))
		}
	}
}
