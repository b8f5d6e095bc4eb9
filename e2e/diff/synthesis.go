package diff

import "maps"

// Synthesize makes a value for a schema: the plainest that its type allows, with the members of objects that are required
// and, on the first two levels, the others too. It is often refused, which is as good a comparison as any.
func (s *Schema) Synthesize() any { return s.synthesize(0) }

func (s *Schema) synthesize(depth int) any {
	const deepest = 4
	switch s.Type {
	case "object":
		return s.synthesizeObject(depth, deepest)
	case "array":
		if element := s.Element(); element != nil && depth < deepest {
			return []any{element.synthesize(depth + 1)}
		}
		return []any{}
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "string":
		return s.synthesizeText()
	}
	switch s.Format {
	case "quantity":
		return "1"
	case "int-or-string":
		return 1
	}
	return map[string]any{}
}

func (s *Schema) synthesizeObject(depth, deepest int) any {
	object := map[string]any{}
	if s.IsMap() {
		if depth < deepest {
			object["key"] = s.Element().synthesize(depth + 1)
		}
		return object
	}
	for _, name := range s.Properties() {
		if s.Required(name) || depth < 1 {
			object[name] = s.Property(name).synthesize(depth + 1)
		}
	}
	return object
}

func (s *Schema) synthesizeText() string {
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch s.Format {
	case "date-time":
		return "2026-01-01T00:00:00Z"
	case "byte":
		return "YQ=="
	}
	return "a"
}

// deepCopy copies a decoded document.
func deepCopy(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := maps.Clone(value)
		for key, member := range out {
			out[key] = deepCopy(member)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, element := range value {
			out[i] = deepCopy(element)
		}
		return out
	}
	return value
}
