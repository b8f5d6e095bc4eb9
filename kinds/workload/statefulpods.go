package workload

import (
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// checkStatefulTemplate checks the template as the pods will be made of it: with the volumes of the claims, and with the host names
// that the controller gives. A template that is wrong in the stored object already may stay so.
func checkStatefulTemplate(c *rules.Checker, s, old *appsv1.StatefulSetSpec) {
	selector, ok := selectorOf(c, s.Selector, "statefulset", "")
	if !ok {
		return
	}
	template := asPods(s)
	if !selector.Empty() && !selector.Matches(labels.Set(template.Labels)) {
		c.Add(field.Invalid(c.At("template", "metadata", "labels"), template.Labels, doesNotMatch))
	}
	errs, _ := statefulPods().Check("", &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: *template}}, stored(old))
	if len(errs) == 0 || old == nil || !wasWrong(old) {
		c.Add(errs...)
	}
	// The reference looks at these twice and reports what it finds twice.
	if len(metav1validation.ValidateLabels(template.Labels, nil)) > 0 {
		c.Add(metav1validation.ValidateLabels(template.Labels, c.At("template", "labels"))...)
	}
	if len(validation.ValidateAnnotations(template.Annotations, nil)) > 0 {
		c.Add(validation.ValidateAnnotations(template.Annotations, c.At("template", "annotations"))...)
	}
}

// asPods is the template with what the controller puts into it.
func asPods(s *appsv1.StatefulSetSpec) *podTemplate {
	if s.Template.Spec.Subdomain == "" && s.Template.Spec.Hostname == "" && len(s.VolumeClaimTemplates) == 0 {
		return &s.Template
	}
	t := s.Template
	t.Spec.Subdomain, t.Spec.Hostname = "", ""
	if len(s.VolumeClaimTemplates) > 0 {
		t.Spec.Volumes = withClaims(s)
	}
	return &t
}

// withClaims are the volumes of the claims, and after them those of the template that have other names.
func withClaims(s *appsv1.StatefulSetSpec) []corev1.Volume {
	var volumes []corev1.Volume
	named := func(name string) bool {
		return slices.ContainsFunc(volumes, func(v corev1.Volume) bool { return v.Name == name })
	}
	for i := range s.VolumeClaimTemplates {
		if name := s.VolumeClaimTemplates[i].Name; !named(name) {
			volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
			}})
		}
	}
	claims := len(volumes)
	for _, v := range s.Template.Spec.Volumes {
		if !slices.ContainsFunc(volumes[:claims], func(c corev1.Volume) bool { return c.Name == v.Name }) {
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// statefulPods is the template alone, so that what is wrong with it can be told apart from the rest.
var statefulPods = sync.OnceValue(func() *rules.Kind {
	return rules.For(rules.Spec[appsv1.StatefulSet]{Fields: []rules.Entry{rules.At("spec.template", core.PodTemplate())}})
})

func stored(old *appsv1.StatefulSetSpec) any {
	if old == nil {
		return nil
	}
	return &appsv1.StatefulSet{Spec: *old}
}

// wasWrong reports whether the template that is stored would be refused today.
func wasWrong(old *appsv1.StatefulSetSpec) bool {
	errs, _ := statefulPods().Check("", &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: *asPods(old)}}, nil)
	return len(errs) > 0
}

// NameClaims writes their kind into the templates of claims, as the reference shows them. The stored form does not hold it.
func NameClaims(s *appsv1.StatefulSet) {
	for i := range s.Spec.VolumeClaimTemplates {
		claim := &s.Spec.VolumeClaimTemplates[i]
		claim.APIVersion, claim.Kind = "v1", "PersistentVolumeClaim"
	}
}

// defaultClaims sets the defaults of claims, and their kind as NameClaims does.
func defaultClaims(claims *[]corev1.PersistentVolumeClaim) {
	for i := range *claims {
		claim := &(*claims)[i]
		claim.APIVersion, claim.Kind = "v1", "PersistentVolumeClaim"
		rules.FillIn(core.ClaimSpec(), &claim.Spec)
		if claim.Status.Phase == "" {
			claim.Status.Phase = corev1.ClaimPending
		}
	}
}

// checkClaims looks at the claims of new objects only, since they never change.
func checkClaims(c *rules.Checker, claims, _ *[]corev1.PersistentVolumeClaim) {
	if c.Updating() {
		return
	}
	for i := range *claims {
		rules.InIndex(c, claimTemplate(), &(*claims)[i], nil, i)
	}
}

var claimTemplate = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.PersistentVolumeClaim](rules.At("spec", core.ClaimSpec()))
})
