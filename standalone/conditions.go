package standalone

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The conditions of a namespace that is being deleted, in the words of kube-controller-manager.

// fine is what a condition says where nothing is wrong. Discovery and parsing of versions cannot fail here.
func fine() []corev1.NamespaceCondition {
	condition := func(kind corev1.NamespaceConditionType, reason, message string) corev1.NamespaceCondition {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	}
	return []corev1.NamespaceCondition{
		condition(corev1.NamespaceDeletionDiscoveryFailure, "ResourcesDiscovered", "All resources successfully discovered"),
		condition(corev1.NamespaceDeletionGVParsingFailure, "ParsedGroupVersions", "All legacy kube types successfully parsed"),
		condition(corev1.NamespaceDeletionContentFailure, "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
		condition(corev1.NamespaceContentRemaining, "ContentRemoved", "All content successfully removed"),
		condition(corev1.NamespaceFinalizersRemaining, "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
	}
}

// conditionsOf says what is left.
func conditionsOf(left *content) []corev1.NamespaceCondition {
	list := fine()
	set := func(kind corev1.NamespaceConditionType, reason, message string) {
		i := slices.IndexFunc(list, func(c corev1.NamespaceCondition) bool { return c.Type == kind })
		list[i].Status, list[i].Reason, list[i].Message = corev1.ConditionTrue, reason, message
	}
	if len(left.errs) > 0 {
		var texts []string
		for _, err := range left.errs {
			texts = append(texts, err.Error())
		}
		slices.Sort(texts)
		set(corev1.NamespaceDeletionContentFailure, "ContentDeletionFailed",
			fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(texts), strings.Join(texts, ", ")))
	}
	if len(left.remaining) > 0 {
		set(corev1.NamespaceContentRemaining, "SomeResourcesRemain",
			"Some resources are remaining: "+counted(left.remaining, "%s has %d resource instances"))
	}
	if len(left.finalizers) > 0 {
		set(corev1.NamespaceFinalizersRemaining, "SomeFinalizersRemain",
			"Some content in the namespace has finalizers remaining: "+counted(left.finalizers, "%s in %d resource instances"))
	}
	return list
}

func counted(numbers map[string]int, format string) string {
	var texts []string
	for what, n := range numbers {
		texts = append(texts, fmt.Sprintf(format, what, n))
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// updateConditions brings the conditions up to date and reports whether one has changed. A condition keeps the time of its last
// transition while its status is the same.
func updateConditions(status *corev1.NamespaceStatus, left *content, now metav1.Time) (changed bool) {
	for _, c := range conditionsOf(left) {
		i := slices.IndexFunc(status.Conditions, func(old corev1.NamespaceCondition) bool { return old.Type == c.Type })
		c.LastTransitionTime = now
		if i < 0 {
			status.Conditions, changed = append(status.Conditions, c), true
			continue
		}
		old := &status.Conditions[i]
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		changed = changed || old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message
		*old = c
	}
	return changed
}
