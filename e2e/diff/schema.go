package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Schema is what the reference publishes about one place in an object.
type Schema struct {
	// Type is object, array, string, integer, number, boolean or, for what may be a number or a text, empty.
	Type string
	// Format is that of OpenAPI, such as int32 or date-time; quantity and int-or-string are told by it too.
	Format string
	// Enum are the values allowed, empty where any is.
	Enum []string

	node     *spec.Schema
	document *spec3.OpenAPI
}

func newSchema(document *spec3.OpenAPI, gvk schema.GroupVersionKind) (*Schema, error) {
	if document.Components == nil {
		return nil, fmt.Errorf("the OpenAPI document of %s has no components", gvk)
	}
	for _, node := range document.Components.Schemas {
		list, _ := node.Extensions["x-kubernetes-group-version-kind"].([]any)
		for _, element := range list {
			m, _ := element.(map[string]any)
			if m["group"] == gvk.Group && m["version"] == gvk.Version && m["kind"] == gvk.Kind {
				return view(document, node), nil
			}
		}
	}
	return nil, fmt.Errorf("the OpenAPI document has no schema of %s", gvk)
}

const componentRef = "#/components/schemas/"

// view follows the references of a node.
func view(document *spec3.OpenAPI, node *spec.Schema) *Schema {
	const deepest = 8 // longer chains of references do not occur
	for range deepest {
		ref := node.Ref.String()
		if ref == "" && len(node.AllOf) == 1 {
			ref = node.AllOf[0].Ref.String()
		}
		name, ok := strings.CutPrefix(ref, componentRef)
		next := document.Components.Schemas[name]
		if !ok || next == nil {
			break
		}
		if strings.HasSuffix(name, ".Quantity") {
			return &Schema{Format: "quantity", node: next, document: document}
		}
		node = next
	}
	s := &Schema{Format: node.Format, node: node, document: document}
	if len(node.Type) == 1 {
		s.Type = node.Type[0]
	}
	for _, value := range node.Enum {
		s.Enum = append(s.Enum, fmt.Sprint(value))
	}
	return s
}

// Properties returns the names of the members of an object, sorted.
func (s *Schema) Properties() []string {
	return slices.Sorted(maps.Keys(s.node.Properties))
}

// Property returns the schema of one member, or nil.
func (s *Schema) Property(name string) *Schema {
	node, ok := s.node.Properties[name]
	if !ok {
		return nil
	}
	return view(s.document, &node)
}

// Required is true for a member that must be there.
func (s *Schema) Required(name string) bool { return slices.Contains(s.node.Required, name) }

// Element is the schema of the elements of an array, or of the values of a map; nil where there is none.
func (s *Schema) Element() *Schema {
	switch {
	case s.node.Items != nil && s.node.Items.Schema != nil:
		return view(s.document, s.node.Items.Schema)
	case s.node.AdditionalProperties != nil && s.node.AdditionalProperties.Schema != nil:
		return view(s.document, s.node.AdditionalProperties.Schema)
	}
	return nil
}

// IsMap is true for an object whose members the client names.
func (s *Schema) IsMap() bool {
	return s.Type == "object" && len(s.node.Properties) == 0 && s.Element() != nil
}

// MergeKey is the member by which a strategic merge patch tells the elements of the list, empty where it replaces the list.
func (s *Schema) MergeKey() string {
	key, _ := s.node.Extensions["x-kubernetes-patch-merge-key"].(string)
	return key
}
