package core

import (
	"math"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// PodSpec are the defaults and rules of a pod's specification, wherever it stands.
func PodSpec() *rules.Set { return podSpec() }

var podSpec = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.PodSpec](
		rules.At("", rules.Fill(fillAliases)),
		rules.At("schedulerName", rules.Default(corev1.DefaultSchedulerName)),
		rules.At("terminationGracePeriodSeconds", rules.Default(corev1.DefaultTerminationGracePeriodSeconds), rules.Required()),
		rules.At("volumes", rules.Fill(fillVolumes), rules.Check(checkVolumes)),
		rules.At("resourceClaims", rules.Check(checkResourceClaims)),
		rules.At("containers", rules.Fill(fillContainers), rules.Check(checkContainers)),
		rules.At("initContainers", rules.Fill(fillContainers), rules.Check(checkInitContainers)),
		rules.At("ephemeralContainers", rules.Fill(fillEphemeralContainers), rules.Check(checkEphemeralContainers)),
		rules.At("resources", podResources()),
		rules.At("", rules.Check(checkHostNetworkPorts)),
		rules.At("restartPolicy", rules.Default(corev1.RestartPolicyAlways), rules.Required(),
			rules.Enum(corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)),
		rules.At("dnsPolicy", rules.Default(corev1.DNSClusterFirst), rules.Required(),
			rules.Enum(corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)),
		rules.At("nodeSelector", rules.Check(checkNodeLabels)),
		rules.At("securityContext", rules.Default(corev1.PodSecurityContext{}), podSecurityContext()),
		rules.At("affinity", affinity()),
		rules.At("", rules.Check(checkDNS)),
		rules.At("readinessGates", rules.Each(rules.Of[corev1.PodReadinessGate](
			rules.At("conditionType", rules.Format(utilvalidation.IsQualifiedName)),
		))),
		rules.At("schedulingGates", rules.Check(checkSchedulingGates)),
		rules.At("topologySpreadConstraints", rules.Check(checkSpread)),
		rules.At("", rules.Check(checkHostProcess)),
		rules.At("", rules.Check(checkUserNamespace)),
		rules.At("", rules.Check(checkHostnameOverride)),
		rules.At("serviceAccountName", rules.Optional(),
			rules.Format(func(s string) []string { return validation.ValidateServiceAccountName(s, false) })),
		rules.At("nodeName", rules.Optional(), subdomain()),
		rules.At("activeDeadlineSeconds", rules.Between(1, math.MaxInt32)),
		rules.At("hostname", rules.Optional(), label()),
		rules.At("subdomain", rules.Optional(), label()),
		rules.At("tolerations", Tolerations()),
		rules.At("hostAliases", rules.Each(rules.Of[corev1.HostAlias](
			rules.At("ip", rules.FormatAt(ipAddress)),
			rules.At("hostnames", rules.Each(rules.Format(utilvalidation.IsDNS1123Subdomain))),
		))),
		rules.At("priorityClassName", rules.Optional(), subdomain()),
		rules.At("runtimeClassName", subdomain()),
		rules.At("preemptionPolicy", rules.Check(checkPreemption)),
		rules.At("overhead", RoundedUp(), rules.Check(checkOverhead)),
		rules.At("", rules.Check(checkOS)),
		rules.At("schedulingGroup", rules.Check(checkSchedulingGroup)),
		rules.At("", rules.Check(checkFileKeys)),
	)
})

// fillAliases keeps two names of one field in step. The newer one wins.
func fillAliases(spec *corev1.PodSpec) {
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
}

func checkNodeLabels(c *rules.Checker, v, _ *map[string]string) {
	if len(*v) > 0 && len(metav1validation.ValidateLabels(*v, nil)) > 0 {
		c.Add(metav1validation.ValidateLabels(*v, c.Path())...)
	}
}

func checkSchedulingGates(c *rules.Checker, v, _ *[]corev1.PodSchedulingGate) {
	seen := make(map[string]bool, len(*v))
	for i, gate := range *v {
		for _, m := range utilvalidation.IsQualifiedName(gate.Name) {
			c.Add(field.Invalid(c.Path().Index(i), gate.Name, m))
		}
		if seen[gate.Name] {
			c.Add(field.Duplicate(c.Path().Index(i), gate.Name))
		}
		seen[gate.Name] = true
	}
}

func checkPreemption(c *rules.Checker, v, _ *corev1.PreemptionPolicy) {
	switch *v {
	case corev1.PreemptLowerPriority, corev1.PreemptNever:
	case "":
		c.Add(field.Required(c.Path(), ""))
	default:
		c.Add(field.NotSupported(c.Path(), *v, []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever}))
	}
}

func checkSchedulingGroup(c *rules.Checker, v, _ *corev1.PodSchedulingGroup) {
	if v.PodGroupName == nil {
		c.Add(field.Invalid(c.At("podGroupName"), nil, "must specify one of: `podGroupName`"))
		return
	}
	for _, m := range validation.NameIsDNSSubdomain(*v.PodGroupName, false) {
		c.Add(field.Invalid(c.At("podGroupName"), *v.PodGroupName, m))
	}
}
