//lint:file-ignore SA1019 ConfigSource is deprecated for clients; a server has to check it.

package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// Node are the rules of nodes. A kubelet registers its node with a status and later writes each on its own. What the reference
// checks both of a node and of a change to it is checked twice here as well, since clients see each error twice.
func Node() *rules.Kind {
	return rules.For(rules.Spec[corev1.Node]{
		Create: func(n *corev1.Node) { n.Spec.ConfigSource, n.Status.Config = nil, nil },
		Update: func(n, old *corev1.Node) {
			if old.Spec.ConfigSource == nil {
				n.Spec.ConfigSource = nil
			}
		},
		Fields: []rules.Entry{
			rules.At("spec", rules.Fill(alignPodCIDRs)),
			rules.At("status", rules.Fill(func(s *corev1.NodeStatus) {
				if len(s.Allocatable) == 0 { // An empty list is none once it has been stored.
					s.Allocatable = s.Capacity.DeepCopy()
				}
			})),
			rules.At("status.capacity", core.RoundedUp()),
			rules.At("status.allocatable", core.RoundedUp()),
			rules.At("", rules.Check(checkNode), rules.Check(checkNodeChange)),
			rules.At("spec", rules.Check(warnOfNode)),
		},
		Parts: map[string]rules.Part[corev1.Node]{"status": {
			Update: func(n, old *corev1.Node) {
				if old.Status.Config == nil {
					n.Status.Config = nil
				}
			},
			Fields: []rules.Entry{rules.At("", rules.Check(checkNodeChange))},
		}},
	})
}

// alignPodCIDRs makes the old single field and the list say the same. The single one wins, as old clients write only that.
func alignPodCIDRs(s *corev1.NodeSpec) {
	if s.PodCIDR != "" && (len(s.PodCIDRs) == 0 || s.PodCIDRs[0] != s.PodCIDR) {
		s.PodCIDRs = []string{s.PodCIDR}
	}
	if len(s.PodCIDRs) > 0 {
		s.PodCIDR = s.PodCIDRs[0]
	}
}

// checkNode checks a node by itself.
func checkNode(c *rules.Checker, n, _ *corev1.Node) {
	checkNodeAnnotations(c, n)
	checkTaints(c, n.Spec.Taints, func() *field.Path { return c.At("metadata", "taints") })
	checkNodeResources(c, n)
	if swap := n.Status.NodeInfo.Swap; swap != nil && swap.Capacity != nil && *swap.Capacity <= 0 {
		c.Add(field.Invalid(c.At("metadata", "nodeSwapStatus", "capacity"), *swap.Capacity, "must be greater than zero"))
	}
	checkDeclaredFeatures(c, n.Status.DeclaredFeatures)
	checkPodCIDRs(c, n.Spec.PodCIDRs)
}

// checkNodeChange checks a node that replaces old; on create there is none.
func checkNodeChange(c *rules.Checker, n, old *corev1.Node) {
	if old == nil {
		return
	}
	checkNodeAnnotations(c, n)
	checkNodeResources(c, n)
	checkDeclaredFeatures(c, n.Status.DeclaredFeatures)
	seen := make(map[corev1.NodeAddress]bool, len(n.Status.Addresses))
	for i, a := range n.Status.Addresses {
		if seen[a] {
			c.Add(field.Duplicate(c.At("status", "addresses").Index(i), rules.Shown(a)))
		}
		seen[a] = true
	}
	checkFixedNodeSpec(c, &n.Spec, &old.Spec)
	if source := n.Spec.ConfigSource; source != nil {
		checkConfigSource(c, source, func() *field.Path { return c.At("spec", "configSource") }, checkUnresolved)
	}
	if config := n.Status.Config; config != nil {
		checkConfigStatus(c, config)
	}
	checkTaints(c, n.Spec.Taints, func() *field.Path { return c.At("metadata", "taints") })
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		c.Add(field.Forbidden(c.At("spec", "externalID"), "may not be updated"))
	}
}

func checkConfigStatus(c *rules.Checker, config *corev1.NodeConfigStatus) {
	check := func(name string, source *corev1.NodeConfigSource) {
		if source != nil {
			checkConfigSource(c, source, func() *field.Path { return c.At("status", "config", name) }, checkResolved)
		}
	}
	check("assigned", config.Assigned)
	check("active", config.Active)
	check("lastKnownGood", config.LastKnownGood)
}

// checkFixedNodeSpec keeps what is given to a node once.
func checkFixedNodeSpec(c *rules.Checker, s, old *corev1.NodeSpec) {
	const fixed = `node updates may not change podCIDR except from "" to valid`
	for i, cidr := range old.PodCIDRs {
		if len(s.PodCIDRs) != len(old.PodCIDRs) {
			c.Add(field.Forbidden(c.At("spec", "podCIDRs"), fixed))
			break
		}
		if s.PodCIDRs[i] != cidr {
			c.Add(field.Forbidden(c.At("spec", "podCIDRs"), fixed))
		}
	}
	if old.ProviderID != "" && s.ProviderID != old.ProviderID {
		c.Add(field.Forbidden(c.At("spec", "providerID"), `node updates may not change providerID except from "" to valid`))
	}
}

func checkNodeResources(c *rules.Checker, n *corev1.Node) {
	check := func(list string, amounts corev1.ResourceList) {
		for _, name := range sortedKeys(amounts) {
			if amount := amounts[name]; len(core.Quantity(nil, name, amount)) > 0 {
				c.Add(core.Quantity(c.At("status", list, string(name)), name, amount)...)
			}
		}
	}
	check("capacity", n.Status.Capacity)
	check("allocatable", n.Status.Allocatable)
}
