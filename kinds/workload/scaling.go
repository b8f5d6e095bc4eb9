package workload

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Bounds of what an autoscaler looks at, in seconds, and its defaults.
const (
	maxPeriodSeconds        = 1800
	maxStabilizationSeconds = 3600
	defaultPeriodSeconds    = 15
)

// defaultBehavior completes a behavior that is given in part. Without one the controller has its own.
func defaultBehavior(b *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	all := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: defaultPeriodSeconds}
	four := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: defaultPeriodSeconds}
	b.ScaleUp = withPolicies(b.ScaleUp, four, all)
	if b.ScaleUp.StabilizationWindowSeconds == nil {
		b.ScaleUp.StabilizationWindowSeconds = new(int32)
	}
	b.ScaleDown = withPolicies(b.ScaleDown, all)
}

func withPolicies(r *autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	if r == nil {
		r = &autoscalingv2.HPAScalingRules{}
	}
	if r.SelectPolicy == nil {
		r.SelectPolicy = new(autoscalingv2.MaxChangePolicySelect)
	}
	if r.Policies == nil {
		r.Policies = policies
	}
	return r
}

func checkScaling(c *rules.Checker, r, _ *autoscalingv2.HPAScalingRules) {
	if s := r.StabilizationWindowSeconds; s != nil && *s < 0 {
		c.Add(field.Invalid(c.At("stabilizationWindowSeconds"), *s, "must be greater than or equal to zero"))
	} else if s != nil && *s > maxStabilizationSeconds {
		c.Add(field.Invalid(c.At("stabilizationWindowSeconds"), *s, fmt.Sprintf("must be less than or equal to %d", maxStabilizationSeconds)))
	}
	if p := r.SelectPolicy; p != nil {
		switch *p {
		case autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect:
		default:
			c.Add(field.NotSupported(c.At("selectPolicy"), *p, []autoscalingv2.ScalingPolicySelect{
				autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect,
			}))
		}
	}
	if len(r.Policies) == 0 {
		c.Add(field.Required(c.At("policies"), "must specify at least one Policy"))
	}
	for i := range r.Policies {
		checkScalingPolicy(c, &r.Policies[i], func(name string) *field.Path { return c.At("policies").Index(i).Child(name) })
	}
	if r.Tolerance != nil && r.Tolerance.Sign() < 0 {
		c.Add(field.Invalid(c.At("tolerance"), r.Tolerance.String(), "must be greater than or equal to 0"))
	}
}

func checkScalingPolicy(c *rules.Checker, p *autoscalingv2.HPAScalingPolicy, at func(name string) *field.Path) {
	if p.Type != autoscalingv2.PodsScalingPolicy && p.Type != autoscalingv2.PercentScalingPolicy {
		c.Add(field.NotSupported(at("type"), p.Type, []autoscalingv2.HPAScalingPolicyType{
			autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy,
		}))
	}
	const tooSmall = "must be greater than zero"
	if p.Value <= 0 {
		c.Add(field.Invalid(at("value"), p.Value, tooSmall))
	}
	if p.PeriodSeconds <= 0 {
		c.Add(field.Invalid(at("periodSeconds"), p.PeriodSeconds, tooSmall))
	}
	if p.PeriodSeconds > maxPeriodSeconds {
		c.Add(field.Invalid(at("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %d", maxPeriodSeconds)))
	}
}
