package placement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Annotations of a namespace: the tolerations that its pods get, and all that they may have, each a JSON list.
const (
	annotationTolerations = "scheduler.alpha.kubernetes.io/defaultTolerations"
	annotationTolerable   = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
)

// Tolerations configures [PodTolerationRestriction] for namespaces that do not say themselves.
type Tolerations struct {
	// Default are those that pods get, Allowed all that they may have; no Allowed means any.
	Default, Allowed []corev1.Toleration
}

// ParseTolerations reads a Configuration of podtolerationrestriction.admission.k8s.io/v1alpha1, strictly.
func ParseTolerations(data []byte) (Tolerations, error) {
	var file struct {
		APIVersion string              `json:"apiVersion"`
		Kind       string              `json:"kind"`
		Default    []corev1.Toleration `json:"default"`
		Whitelist  []corev1.Toleration `json:"whitelist"`
	}
	data, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return Tolerations{}, err
	}
	faults, err := kjson.UnmarshalStrict(data, &file)
	if err = errors.Join(append(faults, err)...); err != nil {
		return Tolerations{}, err
	}
	if file.Kind != "Configuration" || file.APIVersion != "podtolerationrestriction.admission.k8s.io/v1alpha1" {
		return Tolerations{}, fmt.Errorf("it is %s %s, want podtolerationrestriction.admission.k8s.io/v1alpha1 Configuration", file.APIVersion, file.Kind)
	}
	for field, list := range map[string][]corev1.Toleration{"default": file.Default, "whitelist": file.Whitelist} {
		for i, t := range list {
			if !slices.Contains([]corev1.TolerationOperator{"", corev1.TolerationOpEqual, corev1.TolerationOpExists}, t.Operator) {
				return Tolerations{}, fmt.Errorf("%s[%d].operator: %q is neither Equal nor Exists", field, i, t.Operator)
			}
		}
	}
	return Tolerations{Default: file.Default, Allowed: file.Whitelist}, nil
}

// PodTolerationRestriction adds the tolerations of a namespace to its pods, and refuses pods that tolerate what the namespace may not. It is a Mutator and a
// Validator.
type PodTolerationRestriction struct {
	// Tolerations may be the zero value.
	Tolerations Tolerations
	// Namespaces is required.
	Namespaces admission.Namespaces
}

// Mutate adds the tolerations to new pods; pods that ask for resources stay on nodes that are short of memory.
func (p PodTolerationRestriction) Mutate(ctx context.Context, a *admission.Attributes) error {
	pod, err := podOf(a)
	if pod == nil || err != nil {
		return err
	}
	var extra []corev1.Toleration
	if a.Operation == admission.Create {
		if extra, err = p.of(ctx, a, annotationTolerations, p.Tolerations.Default); err != nil {
			return err
		}
	}
	if asks(pod) {
		extra = append(slices.Clip(extra), corev1.Toleration{
			Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
		})
	}
	if len(extra) > 0 {
		pod.Spec.Tolerations = merged(slices.Concat(pod.Spec.Tolerations, extra))
	}
	return p.Validate(ctx, a)
}

// Validate refuses with 403.
func (p PodTolerationRestriction) Validate(ctx context.Context, a *admission.Attributes) error {
	pod, err := podOf(a)
	if pod == nil || err != nil || len(pod.Spec.Tolerations) == 0 {
		return err
	}
	allowed, err := p.of(ctx, a, annotationTolerable, nil)
	scope := "namespace"
	if err == nil && allowed == nil {
		allowed, scope = p.Tolerations.Allowed, "cluster"
	}
	if err != nil || len(allowed) == 0 {
		return err
	}
	for _, t := range pod.Spec.Tolerations {
		if !slices.ContainsFunc(allowed, func(may corev1.Toleration) bool { return covers(may, t) }) {
			return a.Forbidden(fmt.Errorf("pod tolerations (possibly merged with namespace default tolerations) conflict with its %s whitelist", scope))
		}
	}
	return nil
}

// of is what the annotation of the namespace says; the default where it is missing. One that is empty is an empty list, and not nil.
func (p PodTolerationRestriction) of(ctx context.Context, a *admission.Attributes, annotation string, missing []corev1.Toleration) ([]corev1.Toleration, error) {
	namespace, found, err := p.Namespaces.Namespace(ctx, a.Namespace)
	switch {
	case err != nil:
		return nil, api.ToError(err)
	case !found:
		return nil, a.Forbidden(fmt.Errorf("namespace %s does not exist", a.Namespace))
	}
	text, ok := namespace.Annotations[annotation]
	if !ok {
		return missing, nil
	}
	list := []corev1.Toleration{}
	if text == "" {
		return list, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, a.Forbidden(fmt.Errorf("the annotation %s of its namespace: %w", annotation, err))
	}
	return list, nil
}

// asks reports whether the pod asks for processor time or memory, or has limits of them: it is not of the class BestEffort then.
func asks(pod *corev1.Pod) bool {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass != corev1.PodQOSBestEffort
	}
	var all []corev1.ResourceList
	if r := pod.Spec.Resources; r != nil {
		all = append(all, r.Requests, r.Limits)
	} else {
		for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
			all = append(all, c.Resources.Requests, c.Resources.Limits)
		}
	}
	return slices.ContainsFunc(all, func(list corev1.ResourceList) bool { return list.Cpu().Sign() > 0 || list.Memory().Sign() > 0 })
}

// merged leaves out what another one covers.
func merged(all []corev1.Toleration) (kept []corev1.Toleration) {
	for i, t := range all {
		before := slices.ContainsFunc(kept, func(k corev1.Toleration) bool { return covers(k, t) })
		after := slices.ContainsFunc(all[i+1:], func(o corev1.Toleration) bool { return !apiequality.Semantic.DeepEqual(o, t) && covers(o, t) })
		if !before && !after {
			kept = append(kept, t)
		}
	}
	return kept
}

// covers reports whether the wide toleration tolerates all that the other does.
func covers(wide, t corev1.Toleration) bool {
	if apiequality.Semantic.DeepEqual(wide, t) {
		return true
	}
	if t.Key != wide.Key && (wide.Key != "" || wide.Operator != corev1.TolerationOpExists) {
		return false
	}
	if t.Effect != wide.Effect && wide.Effect != "" {
		return false
	}
	if wide.Effect == corev1.TaintEffectNoExecute && wide.TolerationSeconds != nil &&
		(t.TolerationSeconds == nil || *t.TolerationSeconds > *wide.TolerationSeconds) {
		return false
	}
	switch wide.Operator {
	case corev1.TolerationOpEqual, "":
		return t.Operator == corev1.TolerationOpEqual && t.Value == wide.Value
	case corev1.TolerationOpExists:
		return true
	}
	return false
}
