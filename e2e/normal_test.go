package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
)

// finding is one place where Gatehouse does not do what kube-apiserver does.
type finding struct {
	where      string // a topic, then a path into the answer
	kube, ours string // as JSON; empty when the place does not exist
}

func (f finding) String() string {
	return fmt.Sprintf("%s\n  kube-apiserver: %s\n  gatehouse:      %s", f.where, cmp.Or(f.kube, "nothing"), cmp.Or(f.ours, "nothing"))
}

// perServer are the fields that say when, where and how often, not what.
var perServer = []string{
	"uid", "resourceVersion", "creationTimestamp", "managedFields", "continue",
	"serverAddressByClientCIDRs", "deletionTimestamp",
}

// volatile replaces what differs between two servers inside of strings.
var volatile = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<address>"},
	{regexp.MustCompile(`^(\d+[dhms]){1,2}$`), "<age>"},
	{regexp.MustCompile(`10\.0\.0\.\d+`), "<cluster-ip>"},
	{regexp.MustCompile(`:3\d{4}/`), ":<node-port>/"},
	{regexp.MustCompile(`current: \d+`), "current: <revision>"},
	{regexp.MustCompile(`StorageError: .* UID in object meta: `), "StorageError: <uids>"},
}

// normal removes from decoded JSON what must differ between two servers.
func normal(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for _, field := range perServer {
			delete(value, field)
		}
		for key, field := range value {
			value[key] = normal(field)
		}
	case []any:
		for i, element := range value {
			value[i] = normal(element)
		}
	case string:
		for _, v := range volatile {
			value = v.pattern.ReplaceAllString(value, v.by)
		}
		return value
	}
	return value
}

// diff lists the places at which two decoded JSON values differ. Elements of a
// list are matched by their name where they have one.
func diff(where string, kube, ours any) []finding {
	if l, r, ok := bothMaps(kube, ours); ok {
		var found []finding
		keys := maps.Clone(l)
		maps.Copy(keys, r)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			found = append(found, diff(where+"."+key, l[key], r[key])...)
		}
		return found
	}
	l, lok := kube.([]any)
	r, rok := ours.([]any)
	if lok && rok && len(l) == len(r) {
		var found []finding
		for i := range l {
			found = append(found, diff(fmt.Sprintf("%s[%d]", where, i), l[i], r[i])...)
		}
		return found
	}
	if reflect.DeepEqual(kube, ours) {
		return nil
	}
	return []finding{{where: where, kube: text(kube), ours: text(ours)}}
}

func bothMaps(a, b any) (l, r map[string]any, ok bool) {
	l, lok := asMap(a)
	r, rok := asMap(b)
	return l, r, lok && rok
}

// asMap views an object, or a list whose elements have names, as a map.
func asMap(value any) (map[string]any, bool) {
	switch value := value.(type) {
	case map[string]any:
		return value, true
	case []any:
		byName := make(map[string]any, len(value))
		for _, element := range value {
			name, ok := nameOf(element)
			if _, taken := byName[name]; !ok || taken {
				return nil, false
			}
			byName[name] = element
		}
		return byName, true
	}
	return nil, false
}

// nameOf finds what tells one element of a list from the others.
func nameOf(element any) (string, bool) {
	object, ok := element.(map[string]any)
	if !ok {
		return "", false
	}
	if row, ok := object["object"].(map[string]any); ok && object["type"] == nil {
		return nameOf(row)
	}
	if meta, ok := object["metadata"].(map[string]any); ok {
		namespace, _ := meta["namespace"].(string)
		name, ok := meta["name"].(string)
		return fmt.Sprintf("[%s/%s]", namespace, name), ok
	}
	for _, key := range []string{"name", "resource", "subresource", "groupVersion", "version", "field"} {
		if name, ok := object[key].(string); ok {
			return "[" + name + "]", true
		}
	}
	return "", false
}

// text shows a value in one short line.
func text(value any) string {
	if value == nil {
		return ""
	}
	const shown = 300
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	if len(data) > shown {
		return string(data[:shown]) + "..."
	}
	return string(data)
}
