package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// NodeSelector are the rules of a selector of nodes. Values that no label can have may stay in a selector that had such values already.
func NodeSelector() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, old *corev1.NodeSelector) {
		CheckNodeSelector(c, v, old != nil && HasBadValue(old))
	})
}

// DeprecatedNodeLabel says since when a label of nodes is deprecated and what is used in its place, and is empty for all others.
func DeprecatedNodeLabel(key string) string {
	switch key {
	case "beta.kubernetes.io/arch":
		return `deprecated since v1.14; use "kubernetes.io/arch" instead`
	case "beta.kubernetes.io/os":
		return `deprecated since v1.14; use "kubernetes.io/os" instead`
	case "failure-domain.beta.kubernetes.io/region":
		return `deprecated since v1.17; use "topology.kubernetes.io/region" instead`
	case "failure-domain.beta.kubernetes.io/zone":
		return `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`
	case "beta.kubernetes.io/instance-type":
		return `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`
	case "app.kubernetes.io/created-by":
		return "deprecated since v1.9"
	case "scheduler.alpha.kubernetes.io/preferAvoidPods":
		return "deprecated since v1.22; use Taints and Tolerations instead"
	case "node-role.kubernetes.io/master":
		return `use "node-role.kubernetes.io/control-plane" instead`
	}
	return ""
}
