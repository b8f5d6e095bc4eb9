package celpolicy_test

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission/celpolicy"
)

// TestHook guards which requests a webhook is asked about: conditions that cannot be evaluated refuse, or with Ignore leave it out.
func TestHook(t *testing.T) {
	const pods = `resourceRules: [{apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["pods"]}]`
	conditions := func(list ...string) (conditions []admissionregistrationv1.MatchCondition) {
		for _, x := range list {
			conditions = append(conditions, admissionregistrationv1.MatchCondition{Name: "c", Expression: x})
		}
		return conditions
	}
	for name, test := range map[string]struct {
		about      string
		conditions []admissionregistrationv1.MatchCondition
		ignore     bool
		namespace  string
		matches    bool
		refusal    string
	}{
		"a rule":                  {about: pods, namespace: "ns", matches: true},
		"no rule":                 {about: "{}", namespace: "ns"},
		"another resource":        {about: `resourceRules: [{apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["secrets"]}]`, namespace: "ns"},
		"namespaces":              {about: pods + "\nnamespaceSelector: {matchLabels: {tier: other}}", namespace: "ns"},
		"objects":                 {about: pods + "\nobjectSelector: {matchLabels: {app: other}}", namespace: "ns"},
		"no such namespace":       {about: pods + "\nnamespaceSelector: {matchLabels: {tier: other}}", namespace: "nosuch", refusal: `404 NotFound namespaces "nosuch" not found`},
		"true":                    {about: pods, conditions: conditions("object.metadata.name == 'web' && request.userInfo.username == 'alice'"), namespace: "ns", matches: true},
		"false":                   {about: pods, conditions: conditions("false"), namespace: "ns"},
		"the authorizer":          {about: pods, conditions: conditions("authorizer.group('').resource('secrets').check('get').allowed()"), namespace: "ns", matches: true},
		"an error":                {about: pods, conditions: conditions("object.none == 1"), namespace: "ns", refusal: `403 Forbidden pods "web" is forbidden: expression 'object.none == 1' resulted in error: no such key: none`},
		"an error and false":      {about: pods, conditions: conditions("object.none == 1", "false"), namespace: "ns"},
		"an error with Ignore":    {about: pods, conditions: conditions("object.none == 1"), ignore: true, namespace: "ns"},
		"a selector is not there": {about: "noselector", namespace: "ns", refusal: "500 InternalError "},
	} {
		t.Run(name, func(t *testing.T) {
			about := &admissionregistrationv1.MatchResources{}
			if test.about != "noselector" {
				about = parse[admissionregistrationv1.MatchResources](t, test.about)
				for _, s := range []**metav1.LabelSelector{&about.NamespaceSelector, &about.ObjectSelector} {
					if *s == nil {
						*s = &metav1.LabelSelector{}
					}
				}
			}
			c := world{}.config()
			_, kind, matches, err := celpolicy.NewHook(&c, about, test.conditions, test.ignore).Match(t.Context(), attributes(t, test.namespace))
			got := text(t, err)
			if test.about == "noselector" && len(got) > len(test.refusal) {
				got = got[:len(test.refusal)]
			}
			if matches != test.matches || got != test.refusal || (matches && kind.Kind != "Pod") {
				t.Errorf("%t %q", matches, got)
			}
		})
	}
}
