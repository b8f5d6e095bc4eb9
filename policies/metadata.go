package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// Type says at which stage of a request a policy is asked.
type Type string

// Types of policies.
const (
	// Validate policies refuse, warn about or note a decoded object.
	Validate Type = "validate"
	// Mutate policies change a decoded object before it is validated.
	Mutate Type = "mutate"
	// Authorize policies refuse a request from its user, verb and target alone, above RBAC.
	Authorize Type = "authorize"
)

// Action is what a violation leads to.
type Action string

// Actions, from the strictest to the mildest. The zero value is not an action and is treated as ActionDeny.
const (
	ActionDeny  Action = "deny"  // the request is refused
	ActionWarn  Action = "warn"  // the client gets a Warning header
	ActionAudit Action = "audit" // the audit record gets an annotation
	ActionOff   Action = "off"   // the policy is not evaluated
)

// milder reports whether a is milder than b.
func (a Action) milder(b Action) bool {
	order := []Action{ActionDeny, ActionWarn, ActionAudit}
	return slices.Index(order, a) > slices.Index(order, b)
}

// FailurePolicy says what an evaluation that fails or runs out of time counts as.
type FailurePolicy string

// Failure policies. The zero value is FailurePolicyFail.
const (
	FailurePolicyFail   FailurePolicy = "Fail"   // a violation
	FailurePolicyIgnore FailurePolicy = "Ignore" // nothing, apart from a log line
)

// Match says which reviews a policy is asked about. A list that is empty matches everything, the entry "*" too.
// Namespace lists take globs in which * stands for any characters.
type Match struct {
	// Groups are API groups; "" is the core group.
	Groups []string `json:"groups,omitempty"`
	// Kinds are object kinds (validate, mutate).
	Kinds []string `json:"kinds,omitempty"`
	// Resources are plural names, with a subresource as in "pods/exec" (authorize).
	Resources []string `json:"resources,omitempty"`
	// Operations are CREATE, UPDATE, DELETE and CONNECT (validate, mutate). Empty means CREATE and UPDATE.
	Operations []string `json:"operations,omitempty"`
	// Verbs are Kubernetes verbs (authorize).
	Verbs []string `json:"verbs,omitempty"`
	// Subresources; "" is the object itself (validate, mutate). Empty means all of them, so that none is forgotten.
	Subresources []string `json:"subresources,omitempty"`
	// Namespaces that the policy is for; a cluster-scoped object is in none of them.
	Namespaces []string `json:"namespaces,omitempty"`
	// ExcludeNamespaces win over Namespaces.
	ExcludeNamespaces []string `json:"excludeNamespaces,omitempty"`
	// NamespaceSelector is on the labels of the object's namespace, or of the object where it is a namespace. Cluster-scoped
	// objects match, and so does a namespace whose labels are not known.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// Metadata is the custom part of a policy's METADATA annotation.
type Metadata struct {
	// Type is required.
	Type Type `json:"type"`
	// Action is the policy's action unless policies.yaml sets another; empty is deny. Mutate policies take none.
	Action Action `json:"action,omitempty"`
	// FailurePolicy is for evaluations that fail; empty is Fail.
	FailurePolicy FailurePolicy `json:"failurePolicy,omitempty"`
	// Match selects reviews.
	Match Match `json:"match"`
	// Parameters are input.parameters with their defaults. policies.yaml may only change what is named here, and
	// only to a value of the same JSON type.
	Parameters map[string]any `json:"parameters,omitempty"`
}

// decodeMetadata reads the custom annotation strictly: an unknown field is an error.
func decodeMetadata(custom map[string]any) (Metadata, error) {
	var m Metadata
	raw, err := json.Marshal(custom)
	if err != nil {
		return m, err
	}
	strict, err := kjson.UnmarshalStrict(raw, &m)
	if err := errors.Join(append(strict, err)...); err != nil {
		return m, err
	}
	if m.Action == "" {
		m.Action = ActionDeny
	}
	if m.FailurePolicy == "" {
		m.FailurePolicy = FailurePolicyFail
	}
	return m, m.validate()
}

func (m *Metadata) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch m.Type {
	case Validate, Mutate:
		if len(m.Match.Verbs)+len(m.Match.Resources) > 0 {
			bad("match.verbs and match.resources are for policies of type %s", Authorize)
		}
	case Authorize:
		if len(m.Match.Operations)+len(m.Match.Kinds)+len(m.Match.Subresources) > 0 || m.Match.NamespaceSelector != nil {
			bad("match.operations, kinds, subresources and namespaceSelector are not for policies of type %s: use verbs and resources", Authorize)
		}
	default:
		bad("type is %q, want %s, %s or %s", m.Type, Validate, Mutate, Authorize)
	}
	if !slices.Contains([]Action{ActionDeny, ActionWarn, ActionAudit}, m.Action) {
		bad("action is %q, want deny, warn or audit", m.Action)
	}
	if m.Type != Validate && m.Action != ActionDeny {
		bad("action %q is for policies of type %s only", m.Action, Validate)
	}
	if m.FailurePolicy != FailurePolicyFail && m.FailurePolicy != FailurePolicyIgnore {
		bad("failurePolicy is %q, want Fail or Ignore", m.FailurePolicy)
	}
	for _, op := range m.Match.Operations {
		if !slices.Contains([]string{"CREATE", "UPDATE", "DELETE", "CONNECT", wildcard}, op) {
			bad("match.operations: %q is none of CREATE, UPDATE, DELETE, CONNECT, *", op)
		}
	}
	return errors.Join(append(errs, m.Match.validate())...)
}

func (m *Match) validate() error {
	if m.NamespaceSelector != nil {
		if _, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector); err != nil {
			return fmt.Errorf("match.namespaceSelector: %w", err)
		}
	}
	for _, g := range slices.Concat(m.Namespaces, m.ExcludeNamespaces) {
		if g == "" || strings.ContainsFunc(g, func(r rune) bool {
			return r != '*' && r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
		}) {
			return fmt.Errorf("match: %q is not a namespace or a glob of one", g)
		}
	}
	return nil
}

// mergeParameters returns the defaults with the changes on top.
func mergeParameters(defaults, changes map[string]any) (map[string]any, error) {
	merged := maps.Clone(defaults)
	if merged == nil {
		merged = map[string]any{}
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		old, ok := defaults[name]
		if !ok {
			return nil, fmt.Errorf("there is no parameter %q%s", name, suggest(name, slices.Collect(maps.Keys(defaults))))
		}
		if got, want := jsonType(changes[name]), jsonType(old); got != want {
			return nil, fmt.Errorf("parameter %q is of type %s, want %s", name, got, want)
		}
		merged[name] = changes[name]
	}
	return merged, nil
}

func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	default:
		if k := reflect.ValueOf(v).Kind(); k >= reflect.Int && k <= reflect.Float64 {
			return "number"
		}
		return fmt.Sprintf("%T", v)
	}
}
