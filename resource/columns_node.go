package resource

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func nodeColumns() *columns {
	definitions := append([]Column{
		nameColumn(),
		textColumn("Status", "The status of the node"),
		textColumn("Roles", "The roles of the node"),
		ageColumn(),
		textColumn("Version", documented(corev1.NodeSystemInfo{}, "kubeletVersion")),
	}, wideColumns(
		textColumn("Internal-IP", documented(corev1.NodeStatus{}, "addresses")),
		textColumn("External-IP", documented(corev1.NodeStatus{}, "addresses")),
		textColumn("OS-Image", documented(corev1.NodeSystemInfo{}, "osImage")),
		textColumn("Kernel-Version", documented(corev1.NodeSystemInfo{}, "kernelVersion")),
		textColumn("Container-Runtime", documented(corev1.NodeSystemInfo{}, "containerRuntimeVersion")),
	)...)
	return rowsOf(func(n *corev1.Node) []any {
		info := n.Status.NodeInfo
		kernel := orText(info.KernelVersion, unknown)
		if info.Architecture != "" {
			kernel += " (" + info.Architecture + ")"
		}
		return []any{
			n.Name, nodeStatus(n), nodeRoles(n), ageOf(n), info.KubeletVersion,
			nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
			orText(info.OSImage, unknown), kernel, orText(info.ContainerRuntimeVersion, unknown),
		}
	}, definitions...)
}

// nodeStatus goes by the last condition that says whether the node is ready.
func nodeStatus(n *corev1.Node) string {
	status := unknownStatus
	for _, c := range n.Status.Conditions {
		switch {
		case c.Type != corev1.NodeReady:
		case c.Status == corev1.ConditionTrue:
			status = "Ready"
		default:
			status = "NotReady"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// nodeRoles reads both kinds of role labels.
func nodeRoles(n *corev1.Node) string {
	var roles []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/"); ok {
			roles = append(roles, role)
		} else if key == "kubernetes.io/role" {
			roles = append(roles, value)
		}
	}
	return orText(strings.Join(distinct(roles), ","), none)
}

// nodeAddress is the first address of a type.
func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	i := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == t })
	if i < 0 {
		return none
	}
	return n.Status.Addresses[i].Address
}
