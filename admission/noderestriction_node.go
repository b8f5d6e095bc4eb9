//lint:file-ignore SA1019 ConfigSource is deprecated for clients; a server has to check it.

package admission

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// checkNode is about Node objects, the status included, which carries the labels as well.
func checkNode(a *Attributes, node string) error {
	if name := target(a); name != node {
		return a.Forbidden(fmt.Errorf("node %q is not allowed to modify node %q", node, name))
	}
	if a.Operation == Delete {
		return nil // Whether it may is for the authorizers: Node allows it to nobody.
	}
	now, ok := a.Object.(*corev1.Node)
	if !ok {
		return a.Undecoded()
	}
	if a.Operation == Create {
		if now.Spec.ConfigSource != nil {
			return a.Forbidden(fmt.Errorf("node %q is not allowed to create pods with a non-nil configSource", node))
		}
		if forbidden := forbiddenLabels(now.Labels, nil); forbidden != "" {
			return a.Forbidden(fmt.Errorf("node %q is not allowed to set the following labels: %s", node, forbidden))
		}
		return nil
	}
	old, ok := a.OldObject.(*corev1.Node)
	if !ok {
		return a.Undecoded()
	}
	equal := apiequality.Semantic.DeepEqual
	switch {
	case now.Spec.ConfigSource != nil && !equal(now.Spec.ConfigSource, old.Spec.ConfigSource):
		return a.Forbidden(fmt.Errorf("node %q is not allowed to update configSource to a new non-nil configSource", node))
	case !equal(now.Spec.Taints, old.Spec.Taints):
		return a.Forbidden(fmt.Errorf("node %q is not allowed to modify taints", node))
	case !equal(now.OwnerReferences, old.OwnerReferences):
		// An owner that does not exist would have the garbage collector delete the node, which could then come back with other labels.
		return a.Forbidden(fmt.Errorf("node %q is not allowed to modify ownerReferences", node))
	}
	if forbidden := forbiddenLabels(now.Labels, old.Labels); forbidden != "" {
		return a.Forbidden(fmt.Errorf("is not allowed to modify labels: %s", forbidden))
	}
	return nil
}

// forbiddenLabels lists the labels in which the two differ and which a node may not choose for itself: those that are kept for
// telling nodes apart safely, and those of Kubernetes that it does not know.
func forbiddenLabels(a, b map[string]string) string {
	differing := map[string]bool{}
	for _, pair := range [][2]map[string]string{{a, b}, {b, a}} {
		for key, value := range pair[0] {
			if other, ok := pair[1][key]; (!ok || other != value) && forbiddenLabel(key) {
				differing[key] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(differing)), ", ")
}

func forbiddenLabel(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return false
	}
	within := func(parents ...string) bool {
		return slices.ContainsFunc(parents, func(p string) bool { return domain == p || strings.HasSuffix(domain, "."+p) })
	}
	if within(corev1.LabelNamespaceNodeRestriction) {
		return true
	}
	if !within("kubernetes.io", "k8s.io") || within(corev1.LabelNamespaceSuffixKubelet, corev1.LabelNamespaceSuffixNode) {
		return false
	}
	switch key {
	case corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone,
		corev1.LabelFailureDomainBetaRegion, corev1.LabelInstanceType, corev1.LabelInstanceTypeStable, corev1.LabelOSStable,
		corev1.LabelArchStable, "beta.kubernetes.io/os", "beta.kubernetes.io/arch":
		return false
	}
	return true
}

// checkClaim lets a node report on the size of a claim and on nothing else of it.
func checkClaim(a *Attributes, node string) error {
	if a.Subresource != "status" {
		return a.Forbidden(fmt.Errorf("may only update PVC status"))
	}
	if a.Operation != Update {
		return a.Forbidden(fmt.Errorf("unexpected operation %q", a.Operation))
	}
	old, ok := a.OldObject.(*corev1.PersistentVolumeClaim)
	if !ok {
		return a.Undecoded()
	}
	now, ok := a.Object.(*corev1.PersistentVolumeClaim)
	if !ok {
		return a.Undecoded()
	}
	old, now = withoutReport(old), withoutReport(now)
	if !apiequality.Semantic.DeepEqual(old, now) {
		return a.Forbidden(fmt.Errorf("node %q is not allowed to update fields other than status.quantity and status.conditions: %v", node, rules.Diff(old, now)))
	}
	return nil
}

// withoutReport is a copy of the claim without what a node may write, and without what changes with every write.
func withoutReport(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	c = c.DeepCopy()
	c.TypeMeta, c.ResourceVersion, c.ManagedFields = metav1.TypeMeta{}, "", nil
	c.Status.Capacity, c.Status.Conditions = nil, nil
	c.Status.AllocatedResources, c.Status.AllocatedResourceStatuses = nil, nil
	return c
}
