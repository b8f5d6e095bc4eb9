package core

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const podMayNotChange = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`," +
	"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"

// checkPodChange keeps a pod that was admitted from becoming another one: what runs in it, as whom and where stays. Where containers are
// added or removed nothing more is said, since the rest is compared container by container.
func checkPodChange(c *rules.Checker, pod, old *corev1.Pod) {
	if old == nil {
		return
	}
	checkAnnotationChanges(c, pod, old)
	if !checkImageChanges(c, pod.Spec.Containers, old.Spec.Containers, "containers") ||
		!checkImageChanges(c, pod.Spec.InitContainers, old.Spec.InitContainers, "initContainers") ||
		!checkDeadlineChange(c, pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds) {
		return
	}
	checkTolerationChanges(c, pod.Spec.Tolerations, old.Spec.Tolerations)
	checkGateChanges(c, pod.Spec.SchedulingGates, old.Spec.SchedulingGates)
	if apiequality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		return
	}
	rest := *pod.Spec.DeepCopy()
	takeImages(rest.Containers, old.Spec.Containers)
	takeImages(rest.InitContainers, old.Spec.InitContainers)
	rest.ActiveDeadlineSeconds = old.Spec.ActiveDeadlineSeconds
	rest.SchedulingGates = old.Spec.SchedulingGates
	rest.Tolerations = old.Spec.Tolerations
	if was, is := old.Spec.TerminationGracePeriodSeconds, rest.TerminationGracePeriodSeconds; was != nil && *was < 0 && is != nil && *is == 1 {
		rest.TerminationGracePeriodSeconds = was
	}
	if len(old.Spec.SchedulingGates) > 0 {
		checkPlacementChange(c, &rest, &old.Spec)
	}
	if !apiequality.Semantic.DeepEqual(rest, old.Spec) {
		c.Add(field.Forbidden(c.At("spec"), podMayNotChange+rules.Diff(old.Spec, rest)))
	}
}

// checkAnnotationChanges keeps annotations that are settings of a pod.
func checkAnnotationChanges(c *rules.Checker, pod, old *corev1.Pod) {
	fixed := func(key string) string {
		switch {
		case strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix):
			return "AppArmor annotations"
		case key == corev1.MirrorPodAnnotationKey:
			return "mirror pod annotation"
		}
		return ""
	}
	for key, was := range old.Annotations {
		if is, ok := pod.Annotations[key]; (!ok || is != was) && fixed(key) != "" {
			c.Add(field.Forbidden(c.At("metadata", "annotations").Key(key), "may not remove or update "+fixed(key)))
		}
	}
	for key := range pod.Annotations {
		if _, ok := old.Annotations[key]; !ok && fixed(key) != "" {
			c.Add(field.Forbidden(c.At("metadata", "annotations").Key(key), "may not add "+fixed(key)))
		}
	}
	checkPodAnnotations(c, pod, old) // The reference asks this again.
}

// checkImageChanges reports whether there are as many containers as before.
func checkImageChanges(c *rules.Checker, containers, old []corev1.Container, list string) bool {
	if len(containers) != len(old) {
		c.Add(field.Forbidden(c.At("spec", list), "pod updates may not add or remove containers"))
		return false
	}
	for i := range containers {
		image := containers[i].Image
		if image == "" {
			c.Add(field.Required(c.At("spec", list).Index(i).Child("image"), ""))
		}
		if image != strings.TrimSpace(image) {
			c.Add(padded(c.At("spec", list).Index(i).Child("image"), image))
		}
	}
	return true
}

func takeImages(containers, from []corev1.Container) {
	for i := range containers {
		containers[i].Image = from[i].Image
	}
}

// checkDeadlineChange lets a deadline be set or come nearer. It reports whether what is left is worth looking at.
func checkDeadlineChange(c *rules.Checker, deadline, old *int64) bool {
	at := func() *field.Path { return c.At("spec", "activeDeadlineSeconds") }
	switch {
	case deadline == nil && old != nil:
		c.Add(field.Invalid(at(), deadline, "must not update from a positive integer to nil value"))
	case deadline == nil:
	case *deadline < 0 || *deadline > math.MaxInt32:
		c.Add(field.Invalid(at(), *deadline, utilvalidation.InclusiveRangeError(0, math.MaxInt32)))
		return false
	case old != nil && *old < *deadline:
		c.Add(field.Invalid(at(), *deadline, "must be less than or equal to previous value"))
		return false
	}
	return true
}

// checkTolerationChanges lets tolerations be added, and last longer or shorter.
func checkTolerationChanges(c *rules.Checker, list, old []corev1.Toleration) {
	timeless := func(t corev1.Toleration) corev1.Toleration {
		t.TolerationSeconds = nil
		return t
	}
	have := make(map[corev1.Toleration]bool, len(list))
	for _, t := range list {
		have[timeless(t)] = true
	}
	for _, t := range old {
		if !have[timeless(t)] {
			c.Add(field.Forbidden(c.At("spec", "tolerations"), "existing toleration can not be modified except its tolerationSeconds"))
			return
		}
	}
	for i := range list {
		checkToleration(c, &list[i], func() *field.Path { return c.At("spec", "tolerations").Index(i) })
	}
}

// checkGateChanges lets gates be removed.
func checkGateChanges(c *rules.Checker, gates, old []corev1.PodSchedulingGate) {
	had := make(map[string]bool, len(old))
	for _, g := range old {
		had[g.Name] = true
	}
	for i, g := range gates {
		if !had[g.Name] {
			c.Add(field.Forbidden(c.At("spec", "schedulingGates").Index(i).Child("name"),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name)))
		}
	}
}

// checkPlacementChange lets the nodes that a pod may run on become fewer while gates still hold it, and makes rest as it was there.
func checkPlacementChange(c *rules.Checker, rest, old *corev1.PodSpec) {
	for key, value := range old.NodeSelector {
		if now, ok := rest.NodeSelector[key]; !ok || now != value {
			c.Add(field.Invalid(c.At("spec", "nodeSelector"), rest.NodeSelector,
				"only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	rest.NodeSelector = old.NodeSelector
	was, is := nodeAffinity(old.Affinity), nodeAffinity(rest.Affinity)
	if apiequality.Semantic.DeepEqual(was, is) {
		return
	}
	checkNodeAffinityChange(c, is, was)
	switch a := rest.Affinity; {
	case a == nil:
		rest.Affinity = &corev1.Affinity{NodeAffinity: was}
	case old.Affinity == nil && a.PodAffinity == nil && a.PodAntiAffinity == nil:
		rest.Affinity = nil
	default:
		a.NodeAffinity = was
	}
}

func nodeAffinity(a *corev1.Affinity) *corev1.NodeAffinity {
	if a == nil {
		return nil
	}
	return a.NodeAffinity
}

func requiredTerms(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

func checkNodeAffinityChange(c *rules.Checker, is, was *corev1.NodeAffinity) {
	before, now := requiredTerms(was), requiredTerms(is)
	at := func() *field.Path {
		return c.At("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	}
	if len(before) > 0 && len(before) != len(now) {
		c.Add(field.Invalid(at(), rules.Shown(now), "no additions/deletions to non-empty NodeSelectorTerms list are allowed"))
		return
	}
	for i := range before {
		if !narrows(&now[i], &before[i]) {
			c.Add(field.Invalid(at().Index(i), rules.Shown(now[i]), "only additions are allowed (no mutations or deletions)"))
		}
	}
}

// narrows reports whether a term begins with all that it had before. One that had nothing matches nothing, so what is added widens it.
func narrows(now, before *corev1.NodeSelectorTerm) bool {
	if len(before.MatchExpressions) == 0 && len(before.MatchFields) == 0 {
		return len(now.MatchExpressions) == 0 && len(now.MatchFields) == 0
	}
	return beginsWith(now.MatchExpressions, before.MatchExpressions) && beginsWith(now.MatchFields, before.MatchFields)
}

func beginsWith(list, start []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(start) && (len(start) == 0 || apiequality.Semantic.DeepEqual(slices.Clone(list[:len(start)]), start))
}
