package diff

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Mutation is one change of one field of an object.
type Mutation struct {
	// Behaviour groups mutations in reports, for example "wrong type".
	Behaviour string
	// Name says which field and what becomes of it.
	Name string

	at     path
	value  any
	remove bool
}

// Apply returns a changed copy, and false if the object has no such place.
func (m Mutation) Apply(object map[string]any) (map[string]any, bool) {
	changed, _ := deepCopy(object).(map[string]any)
	if m.remove {
		return changed, m.at.remove(changed)
	}
	return changed, m.at.set(changed, m.value)
}

// place is one field that may be mutated.
type place struct {
	at     path
	schema *Schema
	value  any // nil where the object does not have the field
}

// places walks an object along its schema. Fields that the object does not have are included down to one level below what it
// has.
func places(s *Schema, object map[string]any, below path) []place {
	var all []place
	walk(s, object, nil, 1, func(p place) {
		if len(p.at) >= len(below) && slices.Equal(p.at[:len(below)], below) {
			all = append(all, p)
		}
	})
	return all
}

// walk calls visit for each field below a value. absent is how many levels of fields that are not there are walked.
func walk(s *Schema, value any, at path, absent int, visit func(place)) {
	switch {
	case s.IsMap():
		object, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			walkOne(s.Element(), object[name], at.to(name), absent, visit)
			break // one member stands for all
		}
	case s.Type == "object":
		object, _ := value.(map[string]any)
		for _, name := range s.Properties() {
			if skipped(at, name) {
				continue
			}
			member, has := object[name]
			if !has && absent == 0 {
				continue
			}
			walkOne(s.Property(name), member, at.to(name), absent, visit)
		}
	case s.Type == "array":
		list, _ := value.([]any)
		if len(list) > 0 && s.Element() != nil {
			walkOne(s.Element(), list[0], at.to(0), absent, visit)
		}
	}
}

func walkOne(s *Schema, value any, at path, absent int, visit func(place)) {
	visit(place{at: at, schema: s, value: value})
	if value == nil {
		absent--
	}
	if value != nil || absent >= 0 {
		walk(s, value, at, absent, visit)
	}
}

// skipped are the fields of metadata that are the same for every kind and are left to the scenarios.
func skipped(at path, name string) bool {
	if len(at) == 0 {
		return name == "apiVersion" || name == "kind" || name == "status"
	}
	top := at[0] == "metadata" && len(at) == 1
	return top && slices.Contains([]string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
		"managedFields", "selfLink",
	}, name)
}

// mutations returns what can be done to a place.
func mutations(p place) []Mutation {
	var all []Mutation
	add := func(behaviour, what string, value any) {
		all = append(all, Mutation{Behaviour: behaviour, Name: p.at.String() + " " + what, at: p.at, value: value})
	}
	if p.value != nil {
		if _, member := p.at[len(p.at)-1].(string); member {
			all = append(all, Mutation{Behaviour: "missing", Name: p.at.String() + " missing", at: p.at, remove: true})
		}
		add("null", "null", nil)
	} else {
		add("set", "set", p.schema.Synthesize())
	}
	switch p.schema.Type {
	case "object":
		mutateObject(p, add)
	case "array":
		mutateArray(p, add)
	case "integer", "number":
		mutateNumber(p, add)
	case "boolean":
		flipped, _ := p.value.(bool)
		add("changed", "flipped", !flipped)
		add("wrong type", "as text", "true")
	case "string":
		mutateText(p, add)
	default:
		mutateMixed(p, add)
	}
	return all
}

func mutateObject(p place, add func(string, string, any)) {
	add("wrong type", "as text", "text")
	add("empty", "empty", map[string]any{})
	object, ok := p.value.(map[string]any)
	if !ok {
		return
	}
	more, _ := deepCopy(object).(map[string]any)
	if !p.schema.IsMap() {
		more["noSuchField"] = "x"
		add("unknown field", "with an unknown field", more)
		return
	}
	more["Bad Key!/x"] = p.schema.Element().Synthesize()
	add("bad characters", "with a bad key", more)
	more, _ = deepCopy(object).(map[string]any)
	more["added"] = p.schema.Element().Synthesize()
	add("changed", "with one more", more)
}

func mutateArray(p place, add func(string, string, any)) {
	add("empty", "empty", []any{})
	add("wrong type", "as object", map[string]any{})
	if list, ok := p.value.([]any); ok && len(list) > 0 {
		add("duplicate", "with an element twice", append(slices.Clone(list), deepCopy(list[0])))
		add("null", "with a null element", append(slices.Clone(list), nil))
		add("changed", "without its last element", list[:len(list)-1])
		if element := p.schema.Element(); element != nil {
			add("changed", "with one more", append(slices.Clone(list), element.Synthesize()))
		}
	}
}

func mutateNumber(p place, add func(string, string, any)) {
	add("negative", "negative", -1)
	add("zero", "zero", 0)
	add("huge", "huge", 2000000000)
	add("huge", "beyond 32 bits", json.Number("3000000000"))
	add("wrong type", "as text", "text")
	add("wrong type", "with a fraction", 1.5)
	if n, ok := p.value.(json.Number); ok {
		if old, err := n.Int64(); err == nil {
			add("changed", "one more", old+1)
		}
	}
}

func mutateText(p place, add func(string, string, any)) {
	add("empty", "empty", "")
	add("wrong type", "as number", 7)
	add("bad characters", "with bad characters", "Bad_Value!~/ ü\t")
	add("too long", "too long", strings.Repeat("a", 300))
	switch {
	case len(p.schema.Enum) > 0:
		add("unknown value", "unknown value", "NoSuchValue")
		for _, value := range p.schema.Enum {
			add("changed", "as "+value, value)
		}
	case p.schema.Format == "date-time":
		add("changed", "another time", "2025-05-05T05:05:05Z")
		add("unknown value", "no time", "yesterday")
	default:
		old, _ := p.value.(string)
		add("changed", "changed", old+"x")
	}
}

// mutateMixed is for quantities, and for what may be a number or a text.
func mutateMixed(p place, add func(string, string, any)) {
	add("negative", "negative", -1)
	add("zero", "zero", 0)
	add("wrong type", "as object", map[string]any{})
	add("wrong type", "as true", true)
	add("bad characters", "as words", "not a number")
	add("changed", "200%", "200%")
	add("changed", "with a fraction", "1.5")
	add("huge", "huge", "99999999999999999999")
	add("empty", "empty", "")
}
