package placement

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// annotationNodeSelector is a namespace's node selector for all of its pods.
const annotationNodeSelector = "scheduler.alpha.kubernetes.io/node-selector"

// defaultSelector is the entry of a configuration for namespaces without the annotation.
const defaultSelector = "clusterDefaultNodeSelector"

// NodeSelectors configures [PodNodeSelector].
type NodeSelectors struct {
	// Default is what pods of a namespace get that does not say.
	Default labels.Set
	// Allowed are, by namespace, all labels that its pods may select by. Namespaces that are missing, or have none, are not limited.
	Allowed map[string]labels.Set
}

// ParseNodeSelectors reads the configuration of the plugin, strictly: node selectors by namespace in the field podNodeSelectorPluginConfig.
func ParseNodeSelectors(data []byte) (NodeSelectors, error) {
	var file struct {
		Config map[string]string `json:"podNodeSelectorPluginConfig"`
	}
	data, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return NodeSelectors{}, err
	}
	faults, err := kjson.UnmarshalStrict(data, &file)
	if err = errors.Join(append(faults, err)...); err != nil {
		return NodeSelectors{}, err
	}
	s := NodeSelectors{Allowed: map[string]labels.Set{}}
	for _, namespace := range slices.Sorted(maps.Keys(file.Config)) {
		set, err := labels.ConvertSelectorToLabelsMap(file.Config[namespace])
		if err != nil {
			return NodeSelectors{}, fmt.Errorf("podNodeSelectorPluginConfig.%s: %w", namespace, err)
		}
		if namespace == defaultSelector {
			s.Default = set
		} else {
			s.Allowed[namespace] = set
		}
	}
	return s, nil
}

// PodNodeSelector adds the node selector of a namespace to its pods, and refuses pods that contradict it or select by what the namespace may not. It is a Mutator
// and a Validator.
type PodNodeSelector struct {
	// Selectors may be the zero value.
	Selectors NodeSelectors
	// Namespaces is required.
	Namespaces admission.Namespaces
}

// Mutate adds the selector to new pods.
func (p PodNodeSelector) Mutate(ctx context.Context, a *admission.Attributes) error {
	pod, err := podOf(a)
	if pod == nil || err != nil || a.Operation != admission.Create {
		return err
	}
	wanted, err := p.check(ctx, a, pod)
	if err != nil {
		return err
	}
	if merged := labels.Merge(wanted, pod.Spec.NodeSelector); len(merged) > 0 {
		pod.Spec.NodeSelector = merged
	}
	return p.Validate(ctx, a)
}

// Validate refuses with 403.
func (p PodNodeSelector) Validate(ctx context.Context, a *admission.Attributes) error {
	pod, err := podOf(a)
	if pod == nil || err != nil || a.Operation != admission.Create {
		return err
	}
	if _, err := p.check(ctx, a, pod); err != nil {
		return err
	}
	allowed := p.Selectors.Allowed[a.Namespace]
	for key, value := range pod.Spec.NodeSelector {
		if may, ok := allowed[key]; len(allowed) > 0 && (!ok || may != value) {
			return a.Forbidden(errors.New("pod node label selector labels conflict with its namespace whitelist"))
		}
	}
	return nil
}

// check returns the selector of the namespace, and refuses pods that contradict it.
func (p PodNodeSelector) check(ctx context.Context, a *admission.Attributes, pod *corev1.Pod) (labels.Set, error) {
	namespace, found, err := p.Namespaces.Namespace(ctx, a.Namespace)
	switch {
	case err != nil:
		return nil, api.ToError(err)
	case !found:
		return nil, a.Forbidden(fmt.Errorf("namespace %s does not exist", a.Namespace))
	}
	wanted := p.Selectors.Default
	if text, ok := namespace.Annotations[annotationNodeSelector]; ok {
		if wanted, err = labels.ConvertSelectorToLabelsMap(text); err != nil {
			return nil, a.Forbidden(fmt.Errorf("the annotation %s of its namespace: %w", annotationNodeSelector, err))
		}
	}
	if labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		return nil, a.Forbidden(errors.New("pod node label selector conflicts with its namespace node label selector"))
	}
	return wanted, nil
}
