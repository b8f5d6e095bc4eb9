package api

import (
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// Bounds of selectors. The text bound is on bytes, the term bound on comma-separated requirements.
const (
	MaxSelectorBytes = 32 << 10
	MaxSelectorTerms = 1000
)

// ParseLabelSelector reads the labelSelector query parameter. The empty string selects everything.
func ParseLabelSelector(s string) (labels.Selector, error) {
	if s == "" {
		return labels.Everything(), nil
	}
	if len(s) > MaxSelectorBytes {
		return nil, BadRequest("the label selector is %d bytes long, the limit is %d", len(s), MaxSelectorBytes)
	}
	sel, err := labels.Parse(s)
	if err != nil {
		return nil, BadRequest("%v", err)
	}
	if reqs, _ := sel.Requirements(); len(reqs) > MaxSelectorTerms {
		return nil, BadRequest("the label selector has %d terms, the limit is %d", len(reqs), MaxSelectorTerms)
	}
	return sel, nil
}

// ParseFieldSelector reads the fieldSelector query parameter; only =, == and != exist. Which fields may
// be selected depends on the resource and is checked there.
func ParseFieldSelector(s string) (fields.Selector, error) {
	if s == "" {
		return fields.Everything(), nil
	}
	if len(s) > MaxSelectorBytes {
		return nil, BadRequest("the field selector is %d bytes long, the limit is %d", len(s), MaxSelectorBytes)
	}
	if strings.Count(s, ",") >= MaxSelectorTerms {
		return nil, BadRequest("the field selector has more than %d terms", MaxSelectorTerms)
	}
	sel, err := fields.ParseSelector(s)
	if err != nil {
		return nil, BadRequest("%v", err)
	}
	return sel, nil
}

// NameFromFieldSelector returns the name that the selector pins with metadata.name=NAME, if it does.
func NameFromFieldSelector(s string) (string, bool) {
	if !strings.Contains(s, "metadata.name") {
		return "", false
	}
	sel, err := ParseFieldSelector(s)
	if err != nil {
		return "", false
	}
	name, ok := sel.RequiresExactMatch("metadata.name")
	return name, ok && name != "" && badSegment(name) == ""
}
