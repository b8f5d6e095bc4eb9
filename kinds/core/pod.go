package core

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Pod are the defaults and rules of pods.
func Pod() *rules.Kind {
	return rules.For(rules.Spec[corev1.Pod]{
		Create: createPod,
		Update: func(o, old *corev1.Pod) { DropGated(&o.Spec, &old.Spec) },
		Fields: append(podFields(),
			rules.At("", rules.Check(checkNewPod)),
			rules.At("", rules.Check(checkPodChange)),
			rules.At("", rules.Check(warnAboutPod)),
		),
		Parts: map[string]rules.Part[corev1.Pod]{
			"status": {Update: updatePodStatus, Fields: podStatusFields()},
			"ephemeralcontainers": {
				Update: updateEphemeralContainers,
				Fields: append(podFields(), rules.At("", rules.Check(checkEphemeralChange))),
			},
			"resize": {
				Update: updateResources,
				Fields: append(podFields(), rules.At("", rules.Check(checkResize))),
			},
		},
	})
}

// podFields are the rules of a pod by itself, however it is written.
func podFields() []rules.Entry {
	return []rules.Entry{
		rules.At("", rules.Fill(fillPod)),
		rules.At("metadata.annotations", rules.Fill(dropInitAnnotations)),
		rules.At("status", rules.Fill(fillPodStatus)),
		rules.At("", rules.Check(adoptAppArmor)),
		rules.At("", rules.Check(checkPodAnnotations)),
		rules.At("spec", PodSpec()),
		rules.At("", rules.Check(checkTokens)),
		rules.At("spec.containers", rules.Check(checkImages)),
		rules.At("spec.initContainers", rules.Check(checkImages)),
	}
}

// createPod begins the status of a pod. Of the one that a client may have sent the reference heeds the class, and so does this.
func createPod(pod *corev1.Pod) {
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: cmp.Or(pod.Status.QOSClass, qosOf(&pod.Spec))}
	DropGated(&pod.Spec, nil)
	if len(pod.Spec.SchedulingGates) > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates", LastTransitionTime: pod.CreationTimestamp,
		}}
	}
	eachTerm(&pod.Spec, func(t *corev1.PodAffinityTerm) {
		selectOwnLabels(t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
		selectOwnLabels(t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, pod.Labels)
	})
	for i := range pod.Spec.TopologySpreadConstraints {
		s := &pod.Spec.TopologySpreadConstraints[i]
		selectOwnLabels(s.LabelSelector, s.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
	}
}

// selectOwnLabels puts the pod's own values of some labels into a selector, which may be nil: it selects nothing then.
func selectOwnLabels(selector *metav1.LabelSelector, keys []string, operator metav1.LabelSelectorOperator, labels map[string]string) {
	if selector == nil {
		return
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			selector.MatchExpressions = append(selector.MatchExpressions,
				metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
		}
	}
}

// adoptAppArmor takes profiles of new pods from annotations, where they stood before there was a field. It changes the pod while it is being
// checked because only here can be told what was taken over, and that a client is to be warned about it.
func adoptAppArmor(c *rules.Checker, pod, _ *corev1.Pod) {
	if c.Updating() || len(pod.Annotations) == 0 || pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return
	}
	eachContainer(&pod.Spec, func(_ string, _ int, ctr *corev1.Container) {
		key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + ctr.Name
		annotation, ok := pod.Annotations[key]
		if !ok || ctr.SecurityContext != nil && ctr.SecurityContext.AppArmorProfile != nil {
			return
		}
		profile := annotatedAppArmor(annotation)
		if profile != nil && len(appArmorErrors(nil, profile)) > 0 {
			profile = nil
		}
		switch {
		case profile == nil:
		case pod.Spec.SecurityContext != nil && sameAppArmor(profile, pod.Spec.SecurityContext.AppArmorProfile):
			return
		default:
			if ctr.SecurityContext == nil {
				ctr.SecurityContext = &corev1.SecurityContext{}
			}
			ctr.SecurityContext.AppArmorProfile = profile
		}
		warnOfAppArmor(c, c.At("metadata", "annotations").Key(key))
	})
}

func warnOfAppArmor(c *rules.Checker, p *field.Path) {
	c.Warn(p.String() + `: deprecated since v1.30; use the "appArmorProfile" field instead`)
}

// annotatedAppArmor is the profile that an annotation stands for, nil if it is none.
func annotatedAppArmor(annotation string) *corev1.AppArmorProfile {
	switch annotation {
	case corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	}
	file, ok := strings.CutPrefix(annotation, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	if !ok || file == "" {
		return nil
	}
	return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &file}
}

func sameAppArmor(a, b *corev1.AppArmorProfile) bool {
	if a == nil || b == nil || a.Type != b.Type || (a.LocalhostProfile == nil) != (b.LocalhostProfile == nil) {
		return a == b
	}
	return a.LocalhostProfile == nil || *a.LocalhostProfile == *b.LocalhostProfile
}

func checkPodAnnotations(c *rules.Checker, pod, old *corev1.Pod) {
	var before map[string]string
	if old != nil {
		before = old.Annotations
	}
	checkAnnotations(c, pod.Annotations, before, &pod.Spec, func() *field.Path { return c.At("metadata", "annotations") })
}

// checkTokens refuses tokens of an account where there is none.
func checkTokens(c *rules.Checker, pod, _ *corev1.Pod) {
	if pod.Spec.ServiceAccountName != "" {
		return
	}
	for i := range pod.Spec.Volumes {
		if p := pod.Spec.Volumes[i].Projected; p != nil {
			for j := range p.Sources {
				if p.Sources[j].ServiceAccountToken != nil {
					c.Add(field.Forbidden(c.At("spec", "volumes").Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
						"must not be specified when serviceAccountName is not set"))
				}
			}
		}
	}
}

func checkImages(c *rules.Checker, v, _ *[]corev1.Container) {
	for i := range *v {
		if image := (*v)[i].Image; image != strings.TrimSpace(image) {
			c.Add(padded(c.Path().Index(i).Child("image"), image))
		}
	}
}

func checkNewPod(c *rules.Checker, pod, _ *corev1.Pod) {
	if c.Updating() {
		return
	}
	if len(pod.Spec.EphemeralContainers) > 0 {
		c.Add(field.Forbidden(c.At("spec", "ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		c.Add(field.Forbidden(c.At("spec", "nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	checkAnnotatedProfiles(c, pod.Annotations, &pod.Spec)
}
