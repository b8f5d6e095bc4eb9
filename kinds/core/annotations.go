package core

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func isMirror(annotations map[string]string) bool {
	_, ok := annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// checkAnnotations are the rules of annotations that once were, or still are, settings of a pod. at is where they are.
func checkAnnotations(c *rules.Checker, annotations, old map[string]string, spec *corev1.PodSpec, at func() *field.Path) {
	if len(annotations) == 0 {
		return
	}
	if isMirror(annotations) && spec.NodeName == "" {
		c.Add(field.Invalid(at().Key(corev1.MirrorPodAnnotationKey), annotations[corev1.MirrorPodAnnotationKey],
			"must set spec.nodeName if mirror pod annotation is set"))
	}
	checkTolerationsAnnotation(c, annotations[corev1.TolerationsAnnotationKey], at)
	if cost, ok := annotations[corev1.PodDeletionCost]; ok && !isCost(cost) {
		if had, ok := old[corev1.PodDeletionCost]; !ok || isCost(had) {
			c.Add(field.Invalid(at().Key(corev1.PodDeletionCost), cost, "must be a 32bit integer"))
		}
	}
	if profile, ok := annotations[corev1.SeccompPodAnnotationKey]; ok {
		c.Add(seccompAnnotation(profile, func() *field.Path { return at().Child(corev1.SeccompPodAnnotationKey) })...)
	}
	keys := slices.Sorted(maps.Keys(annotations))
	for _, key := range keys {
		if strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) {
			c.Add(seccompAnnotation(annotations[key], func() *field.Path { return at().Child(key) })...)
		}
	}
	for _, key := range keys {
		name, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		if !anyContainer(spec, func(ctr *corev1.Container) bool { return ctr.Name == name }) {
			c.Add(field.Invalid(at().Key(key), name, "container not found"))
		}
		if profile := annotations[key]; !isAppArmorAnnotation(profile) {
			c.Add(field.Invalid(at().Key(key), profile, fmt.Sprintf("invalid AppArmor profile name: %q", profile)))
		}
	}
}

// isCost reports whether an annotation is a number of 32 bits as it is written without superfluous characters.
func isCost(s string) bool {
	if s == "" || (s != "0" && s[0] != '-' && (s[0] < '1' || s[0] > '9')) {
		return false
	}
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil
}

func checkTolerationsAnnotation(c *rules.Checker, text string, at func() *field.Path) {
	if text == "" {
		return
	}
	var list []corev1.Toleration
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		c.Add(field.Invalid(at(), corev1.TolerationsAnnotationKey, err.Error()))
		return
	}
	for i := range list {
		checkToleration(c, &list[i], func() *field.Path { return at().Child(corev1.TolerationsAnnotationKey).Index(i) })
	}
}

func seccompAnnotation(profile string, at func() *field.Path) (errs field.ErrorList) {
	switch profile {
	case corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined:
		return nil
	}
	file, ok := strings.CutPrefix(profile, corev1.SeccompLocalhostProfileNamePrefix)
	if !ok {
		return field.ErrorList{field.Invalid(at(), profile, "must be a valid seccomp profile")}
	}
	for _, m := range notDescending(file) {
		errs = append(errs, field.Invalid(at(), file, m))
	}
	return errs
}

func isAppArmorAnnotation(profile string) bool {
	switch profile {
	case "", corev1.DeprecatedAppArmorBetaProfileRuntimeDefault, corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return true
	}
	return strings.HasPrefix(profile, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
}

// checkAnnotatedProfiles asks that annotations and fields which mean the same say the same.
func checkAnnotatedProfiles(c *rules.Checker, annotations map[string]string, spec *corev1.PodSpec) {
	if len(annotations) == 0 {
		return
	}
	checkAnnotatedSeccomp(c, annotations, spec)
	if spec.OS == nil || spec.OS.Name != corev1.Windows {
		checkAnnotatedAppArmor(c, annotations, spec)
	}
}

func checkAnnotatedSeccomp(c *rules.Checker, annotations map[string]string, spec *corev1.PodSpec) {
	annotation, ok := annotations[corev1.SeccompPodAnnotationKey]
	if ok && spec.SecurityContext != nil && spec.SecurityContext.SeccompProfile != nil {
		if name, why := seccompMismatch(annotation, spec.SecurityContext.SeccompProfile); why != "" {
			c.Add(field.Forbidden(c.At("spec", "securityContext", "seccompProfile", name), why))
		}
	}
	eachContainer(spec, func(list string, i int, ctr *corev1.Container) {
		annotation, ok := annotations[corev1.SeccompContainerAnnotationKeyPrefix+ctr.Name]
		if !ok || ctr.SecurityContext == nil || ctr.SecurityContext.SeccompProfile == nil {
			return
		}
		if name, why := seccompMismatch(annotation, ctr.SecurityContext.SeccompProfile); why != "" {
			c.Add(field.Forbidden(c.At("spec", list).Index(i).Child("securityContext", "seccompProfile", name), why))
		}
	})
}

func checkAnnotatedAppArmor(c *rules.Checker, annotations map[string]string, spec *corev1.PodSpec) {
	var ofPod *corev1.AppArmorProfile
	if spec.SecurityContext != nil {
		ofPod = spec.SecurityContext.AppArmorProfile
	}
	eachContainer(spec, func(list string, i int, ctr *corev1.Container) {
		profile := ofPod
		if ctr.SecurityContext != nil && ctr.SecurityContext.AppArmorProfile != nil {
			profile = ctr.SecurityContext.AppArmorProfile
		}
		annotation, ok := annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+ctr.Name]
		if !ok || profile == nil {
			return
		}
		if name, why := appArmorMismatch(annotation, profile); why != "" {
			c.Add(field.Forbidden(c.At("spec", list).Index(i).Child("securityContext", "appArmorProfile", name), why))
		}
	})
}

func seccompMismatch(annotation string, p *corev1.SeccompProfile) (name, why string) {
	same := true
	switch p.Type {
	case corev1.SeccompProfileTypeUnconfined:
		same = annotation == corev1.SeccompProfileNameUnconfined
	case corev1.SeccompProfileTypeRuntimeDefault:
		same = annotation == corev1.SeccompProfileRuntimeDefault || annotation == corev1.DeprecatedSeccompProfileDockerDefault
	case corev1.SeccompProfileTypeLocalhost:
		var file string
		if file, same = strings.CutPrefix(annotation, corev1.SeccompLocalhostProfileNamePrefix); same &&
			(p.LocalhostProfile == nil || file != *p.LocalhostProfile) {
			return "localhostProfile", "seccomp profile in annotation and field must match"
		}
	}
	if same {
		return "", ""
	}
	return "type", "seccomp type in annotation and field must match"
}

func appArmorMismatch(annotation string, p *corev1.AppArmorProfile) (name, why string) {
	same := true
	switch p.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		same = annotation == corev1.DeprecatedAppArmorBetaProfileNameUnconfined
	case corev1.AppArmorProfileTypeRuntimeDefault:
		same = annotation == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault
	case corev1.AppArmorProfileTypeLocalhost:
		var file string
		if file, same = strings.CutPrefix(annotation, corev1.DeprecatedAppArmorBetaProfileNamePrefix); same &&
			(p.LocalhostProfile == nil || file != *p.LocalhostProfile) {
			return "localhostProfile", "apparmor profile in annotation and field must match"
		}
	}
	if same {
		return "", ""
	}
	return "type", "apparmor type in annotation and field must match"
}
