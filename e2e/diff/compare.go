package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// nothing is how a finding shows a place that one side does not have.
const nothing = "nothing"

// Finding is one place where the two answers differ.
type Finding struct {
	// Place is "status", "header" with a name, or a path into the body.
	Place string
	// Kube and Ours are JSON, or nothing.
	Kube, Ours string
}

// Compare lists the places at which two answers differ, after making them normal. When the status differs, that is the only
// finding: the bodies of a refusal and of an object have nothing in common.
func Compare(kube, ours Answer) []Finding {
	if kube.Err != ours.Err {
		return []Finding{{Place: "answer", Kube: outcome(kube), Ours: outcome(ours)}}
	}
	if kube.Status != ours.Status {
		return []Finding{{Place: "status", Kube: outcome(kube), Ours: outcome(ours)}}
	}
	var found []Finding
	names := maps.Clone(kube.Header)
	maps.Copy(names, ours.Header)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if l, r := normalText("", kube.Header[name]), normalText("", ours.Header[name]); l != r {
			found = append(found, Finding{Place: "header " + name, Kube: text(l), Ours: text(r)})
		}
	}
	if kube.Pretty != ours.Pretty {
		found = append(found, Finding{Place: "indentation", Kube: text(kube.Pretty), Ours: text(ours.Pretty)})
	}
	return append(found, compare("body", Normal(kube.Object), Normal(ours.Object))...)
}

// Message is an answer in one line: the status with the message of a refusal or with the kind of the object.
func (a Answer) Message() string { return outcome(a) }

// outcome is an answer in one line: the status with the message or with the kind of the object.
func outcome(a Answer) string {
	if a.Err != "" {
		return a.Err
	}
	object, ok := Normal(a.Object).(map[string]any)
	if !ok {
		return fmt.Sprintf("%d %s", a.Status, shorten(text(a.Object), 200))
	}
	if message, ok := object["message"].(string); ok && object["kind"] == "Status" {
		return fmt.Sprintf("%d %v: %s", a.Status, object["reason"], message)
	}
	return fmt.Sprintf("%d %v", a.Status, object["kind"])
}

func compare(place string, kube, ours any) []Finding {
	if l, r, ok := bothMaps(kube, ours); ok {
		keys := maps.Clone(l)
		maps.Copy(keys, r)
		var found []Finding
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			found = append(found, compareMember(place+"."+key, l, r, key)...)
		}
		return found
	}
	l, lok := kube.([]any)
	r, rok := ours.([]any)
	if lok && rok && len(l) == len(r) {
		var found []Finding
		for i := range l {
			found = append(found, compare(fmt.Sprintf("%s[%d]", place, i), l[i], r[i])...)
		}
		return found
	}
	if reflect.DeepEqual(kube, ours) {
		return nil
	}
	return []Finding{{Place: place, Kube: text(kube), Ours: text(ours)}}
}

// compareMember compares one member of two objects. A member that is null differs from one that is absent.
func compareMember(place string, l, r map[string]any, key string) []Finding {
	kube, lok := l[key]
	ours, rok := r[key]
	switch {
	case !lok:
		return []Finding{{Place: place, Kube: nothing, Ours: text(ours)}}
	case !rok:
		return []Finding{{Place: place, Kube: text(kube), Ours: nothing}}
	}
	return compare(place, kube, ours)
}

// bothMaps views two objects, or two lists of different lengths whose elements have names, as maps. Lists of equal length
// are compared by position, because their order matters.
func bothMaps(a, b any) (l, r map[string]any, ok bool) {
	l, lok := a.(map[string]any)
	r, rok := b.(map[string]any)
	if lok || rok {
		return l, r, lok && rok
	}
	x, xok := a.([]any)
	y, yok := b.([]any)
	if !xok || !yok || len(x) == len(y) {
		return nil, nil, false
	}
	l, lok = byName(x)
	r, rok = byName(y)
	return l, r, lok && rok
}

func byName(list []any) (map[string]any, bool) {
	named := make(map[string]any, len(list))
	for _, element := range list {
		name, ok := nameOf(element)
		if _, taken := named[name]; !ok || taken {
			return nil, false
		}
		named[name] = element
	}
	return named, true
}

// nameOf finds what tells one element of a list from the others.
func nameOf(element any) (string, bool) {
	object, ok := element.(map[string]any)
	if !ok {
		return "", false
	}
	if meta, ok := object["metadata"].(map[string]any); ok {
		return fmt.Sprintf("[%v/%v]", meta["namespace"], meta["name"]), true
	}
	if manager, ok := object["manager"].(string); ok {
		return fmt.Sprintf("[%s %v %v]", manager, object["operation"], object["subresource"]), true
	}
	if field, ok := object["field"].(string); ok {
		return fmt.Sprintf("[%s %v %v]", field, object["reason"], object["message"]), true
	}
	for _, key := range []string{"name", "key", "type", "resource", "subresource", "groupVersion", "version"} {
		if name, ok := object[key].(string); ok {
			return "[" + name + "]", true
		}
	}
	return "", false
}

func text(value any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(b.String())
}
