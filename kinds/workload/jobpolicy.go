package workload

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Bounds of the policies of a job.
const (
	maxPolicyRules    = 20
	maxExitCodes      = 255
	maxPodConditions  = 20
	maxSucceededBytes = 64 << 10
)

func checkFailurePolicy(c *rules.Checker, p, _ *batchv1.PodFailurePolicy) {
	if n := len(p.Rules); n > maxPolicyRules {
		c.Add(field.TooMany(c.At("rules"), n, maxPolicyRules))
	}
	spec, _ := rules.Within[batchv1.JobSpec](c)
	for i := range p.Rules {
		checkFailureRule(c, spec, &p.Rules[i], func() *field.Path { return c.At("rules").Index(i) })
	}
}

func checkFailureRule(c *rules.Checker, s *batchv1.JobSpec, r *batchv1.PodFailurePolicyRule, at func() *field.Path) {
	actions := []batchv1.PodFailurePolicyAction{
		batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
		batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore,
	}
	switch {
	case r.Action == "":
		c.Add(field.Required(at().Child("action"), fmt.Sprintf("valid values: %q", actions)))
	case r.Action == batchv1.PodFailurePolicyActionFailIndex:
		if s.BackoffLimitPerIndex == nil {
			c.Add(field.Invalid(at().Child("action"), r.Action, "requires the backoffLimitPerIndex to be set"))
		}
	case !slices.Contains(actions, r.Action):
		c.Add(field.NotSupported(at().Child("action"), r.Action, actions))
	}
	if r.OnExitCodes != nil {
		checkExitCodes(c, s, r.OnExitCodes, func() *field.Path { return at().Child("onExitCodes") })
	}
	checkPodConditions(c, r.OnPodConditions, func() *field.Path { return at().Child("onPodConditions") })
	switch conditions := len(r.OnPodConditions) > 0; {
	case r.OnExitCodes != nil && conditions:
		c.Add(field.Invalid(at(), field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"))
	case r.OnExitCodes == nil && !conditions:
		c.Add(field.Invalid(at(), field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"))
	}
}

func checkExitCodes(c *rules.Checker, s *batchv1.JobSpec, r *batchv1.PodFailurePolicyOnExitCodesRequirement, at func() *field.Path) {
	operators := []batchv1.PodFailurePolicyOnExitCodesOperator{
		batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn,
	}
	if r.Operator == "" {
		c.Add(field.Required(at().Child("operator"), fmt.Sprintf("valid values: %q", operators)))
	} else if !slices.Contains(operators, r.Operator) {
		c.Add(field.NotSupported(at().Child("operator"), r.Operator, operators))
	}
	if r.ContainerName != nil && !hasContainer(&s.Template.Spec, *r.ContainerName) {
		c.Add(field.Invalid(at().Child("containerName"), *r.ContainerName, "must be one of the container or initContainer names in the pod template"))
	}
	values := func() *field.Path { return at().Child("values") }
	if n := len(r.Values); n == 0 {
		c.Add(field.Invalid(values(), r.Values, "at least one value is required"))
	} else if n > maxExitCodes {
		c.Add(field.TooMany(values(), n, maxExitCodes))
	}
	seen := make(map[int32]bool, len(r.Values))
	for i, code := range r.Values {
		if code == 0 && r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			c.Add(field.Invalid(values().Index(i), code, "must not be 0 for the In operator"))
		}
		if seen[code] {
			c.Add(field.Duplicate(values().Index(i), code))
		}
		seen[code] = true
	}
	if !slices.IsSorted(r.Values) {
		c.Add(field.Invalid(values(), r.Values, "must be ordered"))
	}
}

func hasContainer(s *corev1.PodSpec, name string) bool {
	named := func(ctr corev1.Container) bool { return ctr.Name == name }
	return slices.ContainsFunc(s.Containers, named) || slices.ContainsFunc(s.InitContainers, named)
}

func checkPodConditions(c *rules.Checker, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern, at func() *field.Path) {
	states := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
	if n := len(patterns); n > maxPodConditions {
		c.Add(field.TooMany(at(), n, maxPodConditions))
	}
	for i, p := range patterns {
		for _, m := range utilvalidation.IsQualifiedName(string(p.Type)) {
			c.Add(field.Invalid(at().Index(i).Child("type"), string(p.Type), m))
		}
		if p.Status == "" {
			c.Add(field.Required(at().Index(i).Child("status"), fmt.Sprintf("valid values: %q", states)))
		} else if !slices.Contains(states, p.Status) {
			c.Add(field.NotSupported(at().Index(i).Child("status"), p.Status, states))
		}
	}
}

func checkSuccessPolicy(c *rules.Checker, p, _ *batchv1.SuccessPolicy) {
	spec, _ := rules.Within[batchv1.JobSpec](c)
	if !indexed(spec) {
		c.Add(field.Invalid(c.Path(), rules.Shown(*p), "requires indexed completion mode"))
		return
	}
	if n := len(p.Rules); n == 0 {
		c.Add(field.Required(c.At("rules"), "at least one rules must be specified when the successPolicy is specified"))
	} else if n > maxPolicyRules {
		c.Add(field.TooMany(c.At("rules"), n, maxPolicyRules))
	}
	if spec.Completions == nil {
		return // What is said about it elsewhere is enough; there is nothing that a rule could be compared with.
	}
	for i := range p.Rules {
		checkSuccessRule(c, *spec.Completions, &p.Rules[i], func() *field.Path { return c.At("rules").Index(i) })
	}
}

func checkSuccessRule(c *rules.Checker, completions int32, r *batchv1.SuccessPolicyRule, at func() *field.Path) {
	if r.SucceededCount == nil && r.SucceededIndexes == nil {
		c.Add(field.Required(at(), "at least one of succeededCount or succeededIndexes must be specified"))
	}
	total := int32(0)
	if s := r.SucceededIndexes; s != nil {
		if len(*s) > maxSucceededBytes {
			c.Add(field.TooLong(at().Child("succeededIndexes"), "", maxSucceededBytes))
		}
		n, err := countIndexes(*s, completions)
		if err != nil {
			c.Add(field.Invalid(at().Child("succeededIndexes"), *s, fmt.Sprintf("error parsing succeededIndexes: %v", err)))
		}
		total = n
	}
	n := r.SucceededCount
	if n == nil {
		return
	}
	count := func() *field.Path { return at().Child("succeededCount") }
	if *n < 0 {
		c.Add(field.Invalid(count(), int64(*n), "must be greater than or equal to 0"))
	}
	if *n > completions {
		c.Add(field.Invalid(count(), *n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
	}
	if r.SucceededIndexes != nil && *n > total {
		c.Add(field.Invalid(count(), *n, fmt.Sprintf(
			"must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", total)))
	}
}
