package extension

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/internal/cel"
	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// ValidatingWebhookConfiguration are the rules of admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration.
func ValidatingWebhookConfiguration() *rules.Kind {
	hook := rules.Of[admissionv1.ValidatingWebhook](webhookEntries(cel.NewAdmission())...)
	return rules.For(rules.Spec[admissionv1.ValidatingWebhookConfiguration]{
		Fields: []rules.Entry{
			rules.At("webhooks", rules.Each(hook), rules.Check(func(c *rules.Checker, v, _ *[]admissionv1.ValidatingWebhook) {
				checkHookNames(c, len(*v), func(i int) string { return (*v)[i].Name })
			})),
			warnReservedName(),
		},
		Update: func(o, old *admissionv1.ValidatingWebhookConfiguration) {
			countWebhooks(o, old, o.Webhooks, old.Webhooks)
		},
	})
}

// MutatingWebhookConfiguration are the rules of admissionregistration.k8s.io/v1 MutatingWebhookConfiguration.
func MutatingWebhookConfiguration() *rules.Kind {
	hook := rules.Of[admissionv1.MutatingWebhook](
		webhookEntries(cel.NewAdmission(), rules.At("reinvocationPolicy", rules.Default("Never"), reinvocationPolicies()))...)
	return rules.For(rules.Spec[admissionv1.MutatingWebhookConfiguration]{
		Fields: []rules.Entry{
			rules.At("webhooks", rules.Each(hook), rules.Check(func(c *rules.Checker, v, _ *[]admissionv1.MutatingWebhook) {
				checkHookNames(c, len(*v), func(i int) string { return (*v)[i].Name })
			})),
			warnReservedName(),
		},
		Update: func(o, old *admissionv1.MutatingWebhookConfiguration) {
			countWebhooks(o, old, o.Webhooks, old.Webhooks)
		},
	})
}

// webhookEntries are the rules of a webhook of either kind. What a mutating one has besides stands among them, in the order that clients see.
func webhookEntries(scopes *cel.Admission, more ...rules.Entry) []rules.Entry {
	rule := rules.Of[admissionv1.RuleWithOperations](requestRule()...)
	before := []rules.Entry{
		rules.At("name", rules.FormatAt(utilvalidation.IsFullyQualifiedName)),
		rules.At("rules", rules.Each(rule)),
		rules.At("failurePolicy", rules.Default("Fail"), failurePolicies()),
		rules.At("matchPolicy", rules.Default("Equivalent"), matchPolicies()),
		rules.At("sideEffects", rules.Check(checkSideEffects)),
		rules.At("timeoutSeconds", rules.Default(10), rules.Check(func(c *rules.Checker, v, _ *int32) {
			if *v < 1 || *v > 30 {
				c.Add(field.Invalid(c.Path(), *v, "the timeout value must be between 1 and 30 seconds"))
			}
		})),
		rules.At("namespaceSelector", rules.Default(metav1.LabelSelector{}), core.LabelSelector()),
		rules.At("objectSelector", rules.Default(metav1.LabelSelector{}), core.LabelSelector()),
	}
	after := []rules.Entry{
		rules.At("clientConfig.service.port", rules.Default(443)),
		rules.At("clientConfig", rules.Check(checkClientConfig)),
		rules.At("matchConditions", webhookConditions(scopes)),
		rules.At("admissionReviewVersions", rules.Check(checkReviewVersions)),
	}
	return slices.Concat(before, more, after)
}

// countWebhooks counts a change of the webhooks, for which an empty list is another one than none, as a new generation.
func countWebhooks[T any](o, old metav1.Object, now, before []T) {
	if !sameExactly(now, before) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
}

// storedHook is what of a stored webhook decides about one that is written.
type storedHook struct {
	name        string
	sideEffects *admissionv1.SideEffectClass
	versions    []string
	conditions  []admissionv1.MatchCondition
}

// storedHooks are the webhooks of the stored object, none on create.
func storedHooks(c *rules.Checker) (hooks []storedHook) {
	switch o := c.Before().(type) {
	case *admissionv1.ValidatingWebhookConfiguration:
		for _, h := range o.Webhooks {
			hooks = append(hooks, storedHook{h.Name, h.SideEffects, h.AdmissionReviewVersions, h.MatchConditions})
		}
	case *admissionv1.MutatingWebhookConfiguration:
		for _, h := range o.Webhooks {
			hooks = append(hooks, storedHook{h.Name, h.SideEffects, h.AdmissionReviewVersions, h.MatchConditions})
		}
	}
	return hooks
}

// checkSideEffects asks for a webhook without side effects on dry runs, unless the stored configuration has one that has them.
func checkSideEffects(c *rules.Checker, v, _ **admissionv1.SideEffectClass) {
	strict := []admissionv1.SideEffectClass{admissionv1.SideEffectClassNone, admissionv1.SideEffectClassNoneOnDryRun}
	if *v != nil && slices.Contains(strict, **v) {
		return
	}
	allowed := strict
	if slices.ContainsFunc(storedHooks(c), func(h storedHook) bool { return h.sideEffects == nil || !slices.Contains(strict, *h.sideEffects) }) {
		allowed = append(slices.Clone(strict), admissionv1.SideEffectClassSome, admissionv1.SideEffectClassUnknown)
	}
	switch {
	case *v == nil:
		names := make([]string, len(allowed))
		for i, class := range allowed {
			names[i] = string(class)
		}
		c.Add(field.Required(c.Path(), "must specify one of "+strings.Join(names, ", ")))
	case !slices.Contains(allowed, **v):
		c.Add(field.NotSupported(c.Path(), **v, allowed))
	}
}

// checkHookNames asks that names differ, unless they did not in the stored configuration.
func checkHookNames(c *rules.Checker, n int, name func(i int) string) {
	seen := make(map[string]bool, n)
	for i := range n {
		if s := name(i); s != "" && seen[s] && !storedTwice(c) {
			c.Add(field.Duplicate(c.Path().Index(i).Child("name"), s))
		}
		seen[name(i)] = true
	}
}

func storedTwice(c *rules.Checker) bool {
	seen := map[string]bool{}
	for _, h := range storedHooks(c) {
		if seen[h.name] {
			return true
		}
		seen[h.name] = true
	}
	return false
}

// checkReviewVersions asks for a version of the review that servers send.
func checkReviewVersions(c *rules.Checker, v, _ *[]string) {
	if len(*v) == 0 {
		c.Add(field.Required(c.Path(), "must specify one of v1, v1beta1"))
		return
	}
	seen := map[string]bool{}
	for i, version := range *v {
		if seen[version] {
			c.Add(field.Invalid(c.Path().Index(i), version, "duplicate version"))
			continue
		}
		seen[version] = true
		for _, msg := range utilvalidation.IsDNS1035Label(version) {
			c.Add(field.Invalid(c.Path().Index(i), version, msg))
		}
	}
	unknown := func(h storedHook) bool { return len(h.versions) > 0 && !hasKnownVersion(h.versions) }
	if !hasKnownVersion(*v) && !slices.ContainsFunc(storedHooks(c), unknown) {
		c.Add(field.Invalid(c.Path(), *v, "must include at least one of v1, v1beta1"))
	}
}

func hasKnownVersion(versions []string) bool {
	return slices.Contains(versions, "v1") || slices.Contains(versions, "v1beta1")
}
