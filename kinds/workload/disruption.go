package workload

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// PodDisruptionBudget are the rules of policy/v1 PodDisruptionBudgets.
func PodDisruptionBudget() *rules.Kind {
	return rules.For(rules.Spec[policyv1.PodDisruptionBudget]{
		Fields: []rules.Entry{
			rules.At("spec", rules.Check(checkBudget)),
			rules.At("spec.selector", core.LabelSelector()),
			rules.At("spec.unhealthyPodEvictionPolicy", rules.Enum(policyv1.AlwaysAllow, policyv1.IfHealthyBudget)),
		},
		Parts: map[string]rules.Part[policyv1.PodDisruptionBudget]{"status": {Fields: []rules.Entry{
			rules.At("status.conditions", rules.Check(checkConditions)),
			rules.At("status.disruptionsAllowed", rules.NonNegative()),
			rules.At("status.currentHealthy", rules.NonNegative()),
			rules.At("status.desiredHealthy", rules.NonNegative()),
			rules.At("status.expectedPods", rules.NonNegative()),
		}}},
	})
}

func checkBudget(c *rules.Checker, s, _ *policyv1.PodDisruptionBudgetSpec) {
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		c.Add(field.Invalid(c.Path(), rules.Shown(*s), "minAvailable and maxUnavailable cannot be both set"))
	}
	checkCount(c, s.MinAvailable, "minAvailable")
	checkNotMoreThanAll(c, s.MinAvailable, "minAvailable")
	checkCount(c, s.MaxUnavailable, "maxUnavailable")
	checkNotMoreThanAll(c, s.MaxUnavailable, "maxUnavailable")
}

func checkConditions(c *rules.Checker, conditions, _ *[]metav1.Condition) {
	if len(metav1validation.ValidateConditions(*conditions, nil)) > 0 {
		c.Add(metav1validation.ValidateConditions(*conditions, c.Path())...)
	}
}
