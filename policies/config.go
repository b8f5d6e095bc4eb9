package policies

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The version and kind that policies.yaml must carry.
const (
	ConfigAPIVersion = "policy.gatehouse.dev/v1alpha1"
	ConfigKind       = "PolicyConfiguration"
)

// Configuration is the content of policies.yaml: which policies are on, and how.
type Configuration struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Policies holds at most one entry for each policy.
	Policies []PolicyConfig `json:"policies"`
}

// PolicyConfig sets one policy. What it leaves out stays as the policy's own metadata has it.
type PolicyConfig struct {
	// Name of the policy, required.
	Name string `json:"name"`
	// Action turns the policy on with this action, or off. Empty means the action of its metadata.
	Action Action `json:"action,omitempty"`
	// Parameters override defaults by name.
	Parameters map[string]any `json:"parameters,omitempty"`
	// Match narrows where the policy applies.
	Match MatchConfig `json:"match,omitempty"`
}

// MatchConfig replaces those parts of a policy's match that depend on the cluster; nil leaves a part as it is.
type MatchConfig struct {
	Namespaces        []string              `json:"namespaces,omitempty"`
	ExcludeNamespaces []string              `json:"excludeNamespaces,omitempty"`
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// ParseConfiguration decodes policies.yaml strictly: unknown and duplicate fields, and two entries for
// one policy, are errors. Whether the policies exist is checked when a set is compiled.
func ParseConfiguration(text []byte) (*Configuration, error) {
	var c Configuration
	if err := decodeYAML(text, &c); err != nil {
		return nil, err
	}
	if c.APIVersion != ConfigAPIVersion || c.Kind != ConfigKind {
		return nil, fmt.Errorf("apiVersion %q and kind %q, want %s and %s", c.APIVersion, c.Kind, ConfigAPIVersion, ConfigKind)
	}
	seen := map[string]bool{}
	for i, p := range c.Policies {
		switch {
		case p.Name == "":
			return nil, fmt.Errorf("policies[%d]: name is required", i)
		case seen[p.Name]:
			return nil, fmt.Errorf("policies[%d]: %q has an entry already", i, p.Name)
		}
		seen[p.Name] = true
		switch p.Action {
		case "", ActionDeny, ActionWarn, ActionAudit, ActionOff:
		default:
			return nil, fmt.Errorf("policies[%d] (%s): action is %q, want deny, warn, audit or off", i, p.Name, p.Action)
		}
	}
	return &c, nil
}

// apply returns the metadata as the configuration entry has it.
func (p PolicyConfig) apply(m Metadata) (Metadata, error) {
	if p.Action != "" {
		if m.Type != Validate && (p.Action == ActionWarn || p.Action == ActionAudit) {
			return m, fmt.Errorf("action %q is for policies of type %s only", p.Action, Validate)
		}
		m.Action = p.Action
	}
	if p.Match.Namespaces != nil {
		m.Match.Namespaces = p.Match.Namespaces
	}
	if p.Match.ExcludeNamespaces != nil {
		m.Match.ExcludeNamespaces = p.Match.ExcludeNamespaces
	}
	if p.Match.NamespaceSelector != nil {
		if m.Type == Authorize {
			return m, fmt.Errorf("match.namespaceSelector is not for policies of type %s", Authorize)
		}
		m.Match.NamespaceSelector = p.Match.NamespaceSelector
	}
	if err := m.Match.validate(); err != nil {
		return m, err
	}
	var err error
	m.Parameters, err = mergeParameters(m.Parameters, p.Parameters)
	return m, err
}
