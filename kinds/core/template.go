package core

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// PodTemplate are the defaults and rules of a pod template, as it stands in the kinds that make pods. The rules compare with the template
// that is replaced only where something stored under older rules may stay; whether a template may change is for the kind to say. Its warnings
// are [PodTemplateWarnings].
func PodTemplate() *rules.Set { return podTemplate() }

var podTemplate = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.PodTemplateSpec](
		rules.At("metadata.annotations", rules.Fill(dropInitAnnotations)),
		rules.At("", rules.Check(checkTemplateMeta)),
		rules.At("spec", PodSpec()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.PodTemplateSpec) {
			checkAnnotatedProfiles(c, v.Annotations, &v.Spec)
			if len(v.Spec.EphemeralContainers) > 0 {
				c.Add(field.Forbidden(c.At("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
			}
		})),
	)
})

// checkTemplateMeta reports what is wrong with metadata at the template, as the reference does.
func checkTemplateMeta(c *rules.Checker, v, old *corev1.PodTemplateSpec) {
	if len(v.Labels) > 0 && len(metav1validation.ValidateLabels(v.Labels, nil)) > 0 {
		c.Add(metav1validation.ValidateLabels(v.Labels, c.At("labels"))...)
	}
	if len(v.Annotations) == 0 {
		return
	}
	at := func() *field.Path { return c.At("annotations") }
	if len(validation.ValidateAnnotations(v.Annotations, nil)) > 0 {
		c.Add(validation.ValidateAnnotations(v.Annotations, at())...)
	}
	var before map[string]string
	if old != nil {
		before = old.Annotations
	}
	checkAnnotations(c, v.Annotations, before, &v.Spec, at)
}

// dropInitAnnotations takes away what described init containers before they had fields, so that nothing old acts on it.
func dropInitAnnotations(annotations *map[string]string) {
	for _, key := range []string{
		"pod.beta.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-containers",
		"pod.beta.kubernetes.io/init-container-statuses", "pod.alpha.kubernetes.io/init-container-statuses",
	} {
		delete(*annotations, key)
	}
}

// DropGated clears the fields of a specification that belong to features which are off by default, unless the old one has such a field.
// Kinds with a template call it before their rules are asked; old is nil on create.
func DropGated(spec, old *corev1.PodSpec) {
	if old == nil {
		old = &corev1.PodSpec{}
	}
	if old.SchedulingGroup == nil {
		spec.SchedulingGroup = nil
	}
	dropSources(spec, old)
	hasSignal := func(ctr *corev1.Container) bool { return ctr.Lifecycle != nil && ctr.Lifecycle.StopSignal != nil }
	if !anyContainer(spec, hasSignal) || anyContainer(old, hasSignal) {
		return
	}
	eachContainer(spec, func(_ string, _ int, ctr *corev1.Container) {
		if !hasSignal(ctr) {
			return
		}
		if ctr.Lifecycle.StopSignal = nil; *ctr.Lifecycle == (corev1.Lifecycle{}) {
			ctr.Lifecycle = nil
		}
	})
}

// dropSources clears the sources of projected volumes that come from certificates.
func dropSources(spec, old *corev1.PodSpec) {
	hadBundle, hadCertificate := false, false
	eachProjection(old, func(p *corev1.VolumeProjection) {
		hadBundle = hadBundle || p.ClusterTrustBundle != nil
		hadCertificate = hadCertificate || p.PodCertificate != nil
	})
	eachProjection(spec, func(p *corev1.VolumeProjection) {
		if !hadBundle {
			p.ClusterTrustBundle = nil
		}
		if !hadCertificate {
			p.PodCertificate = nil
		}
	})
}

func eachProjection(spec *corev1.PodSpec, f func(*corev1.VolumeProjection)) {
	for i := range spec.Volumes {
		if p := spec.Volumes[i].Projected; p != nil {
			for j := range p.Sources {
				f(&p.Sources[j])
			}
		}
	}
}
