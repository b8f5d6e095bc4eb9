package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const (
	maxRestartRules = 20
	maxExitCodes    = 255
)

// checkInitRestart is [checkRestartRules] for an init container, of whose rules nothing is said where there is no policy.
func checkInitRestart(c *rules.Checker, v, _ *corev1.Container) {
	switch {
	case v.RestartPolicy != nil:
		checkRestartRules(c, v, nil)
	case len(v.RestartPolicyRules) > 0:
		c.Add(field.Required(c.At("restartPolicy"), noRestartPolicy))
	}
}

const noRestartPolicy = "must specify restartPolicy when restart rules are used"

// checkRestartRules are the rules of how one container is restarted where the pod's policy does not say it.
func checkRestartRules(c *rules.Checker, v, _ *corev1.Container) {
	switch {
	case v.RestartPolicy == nil && len(v.RestartPolicyRules) == 0:
		return
	case v.RestartPolicy == nil:
		c.Add(field.Required(c.At("restartPolicy"), noRestartPolicy))
	default:
		checkRestartPolicy(c, *v.RestartPolicy)
	}
	if n := len(v.RestartPolicyRules); n > maxRestartRules {
		c.Add(field.TooMany(c.At("restartPolicyRules"), n, maxRestartRules))
	}
	for i, r := range v.RestartPolicyRules {
		p := func() *field.Path { return c.At("restartPolicyRules").Index(i) }
		switch r.Action {
		case corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers:
		default:
			c.Add(field.NotSupported(p().Child("action"), r.Action, []corev1.ContainerRestartRuleAction{
				corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers,
			}))
		}
		if r.ExitCodes == nil {
			c.Add(field.Required(p().Child("exitCodes"), "must be specified"))
			continue
		}
		switch op := r.ExitCodes.Operator; op {
		case corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn:
		default:
			c.Add(field.NotSupported(p().Child("exitCodes", "operator"), op, []corev1.ContainerRestartRuleOnExitCodesOperator{
				corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn,
			}))
		}
		if n := len(r.ExitCodes.Values); n > maxExitCodes {
			c.Add(field.TooMany(p().Child("exitCodes", "values"), n, maxExitCodes))
		}
	}
}

func checkRestartPolicy(c *rules.Checker, policy corev1.ContainerRestartPolicy) {
	switch policy {
	case corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure:
	default:
		c.Add(field.NotSupported(c.At("restartPolicy"), policy, []corev1.ContainerRestartPolicy{
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure,
		}))
	}
}
