package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The types of patches.
const (
	jsonPatch      = "application/json-patch+json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

// patches change one field of an object in the ways that are particular to a type of patch. What becomes of bad values is compared by
// updates.
func (b *batch) patches(item string) []Case {
	var all []Case
	for _, p := range places(b.schema, b.lasting(), nil) {
		all = append(all, b.mergePatches(item, p)...)
		all = append(all, b.strategicPatches(item, p)...)
		all = append(all, b.jsonPatches(item, p)...)
	}
	return all
}

func (b *batch) patch(item, media, behaviour, name string, body any) Case {
	data, err := json.Marshal(body)
	if err != nil {
		data = []byte(err.Error())
	}
	c := b.asking(http.MethodPatch, item+"?dryRun=All", behaviour, name, string(data))
	c.Request.Header.Set("Content-Type", media)
	return c
}

// mergePatches are those of a place that is not within a list, as these patches replace lists.
func (b *batch) mergePatches(item string, p place) []Case {
	var cases []Case
	add := func(what string, value any) {
		body := map[string]any{}
		if p.at.set(body, value) {
			cases = append(cases, b.patch(item, mergePatch, "merge patch: "+what, p.at.String()+" "+what, body))
		}
	}
	for _, step := range p.at {
		if _, index := step.(int); index {
			return nil
		}
	}
	add("null", nil)
	if p.value != nil {
		add("the same", p.value)
	}
	switch value := p.value.(type) {
	case map[string]any:
		if names := slices.Sorted(maps.Keys(value)); len(names) > 0 {
			add("null member", map[string]any{names[0]: nil})
		}
	case []any:
		add("empty list", []any{})
		add("list with a null", []any{nil})
	}
	return cases
}

// strategicPatches lead into lists by their merge keys.
func (b *batch) strategicPatches(item string, p place) []Case {
	var cases []Case
	add := func(what string, value any) {
		body, ok := b.leading(p.at, value)
		if ok {
			cases = append(cases, b.patch(item, strategicPatch, "strategic patch: "+what, p.at.String()+" "+what, body))
		}
	}
	add("null", nil)
	if p.value == nil {
		return cases
	}
	add("the same", p.value)
	switch value := p.value.(type) {
	case map[string]any:
		add("$patch delete", map[string]any{"$patch": "delete"})
		add("$patch unknown", map[string]any{"$patch": "nosuch"})
		replaced, _ := deepCopy(value).(map[string]any)
		replaced["$patch"] = "replace"
		add("$patch replace", replaced)
		add("$patch replace by nothing", map[string]any{"$patch": "replace"})
		if names := slices.Sorted(maps.Keys(value)); len(names) > 0 {
			add("$retainKeys", map[string]any{"$retainKeys": []any{names[0]}})
			add("$retainKeys of another", map[string]any{"$retainKeys": []any{"nosuch"}, names[0]: value[names[0]]})
		}
	case []any:
		b.strategicLists(p, value, add)
	}
	return cases
}

func (b *batch) strategicLists(p place, value []any, add func(string, any)) {
	add("empty list", []any{})
	add("list with a null", []any{nil})
	add("list replaced", append([]any{map[string]any{"$patch": "replace"}}, value...))
	add("list deleted", []any{map[string]any{"$patch": "delete"}})
	if len(value) == 0 {
		return
	}
	first, object := value[0].(map[string]any)
	key := p.schema.MergeKey()
	if !object || key == "" {
		return
	}
	add("element deleted", []any{map[string]any{"$patch": "delete", key: first[key]}})
	add("element deleted that is not there", []any{map[string]any{"$patch": "delete", key: "nosuch"}})
	add("element replaced", []any{map[string]any{"$patch": "replace", key: first[key]}})
	add("element with its key alone", []any{map[string]any{key: first[key]}})
	without, _ := deepCopy(first).(map[string]any)
	delete(without, key)
	add("element without its key", []any{without})
	add("element twice", []any{first, first})
	if _, text := first[key].(string); text {
		added, _ := deepCopy(first).(map[string]any)
		added[key] = "added"
		add("element added", []any{added})
	}
}

// leading returns an object that has the value at a path. On the way through lists there is the key of their element; it fails where a
// list has none.
func (b *batch) leading(at path, value any) (map[string]any, bool) {
	body := map[string]any{}
	var here any = body
	s := b.schema
	for i, step := range at {
		last := i == len(at)-1
		name, ok := step.(string)
		parent, isObject := here.(map[string]any)
		if !ok || !isObject || s == nil {
			return nil, false
		}
		next := s.Element()
		if !s.IsMap() {
			next = s.Property(name)
		}
		if last {
			parent[name] = value
			return body, true
		}
		if index, inList := at[i+1].(int); inList {
			return b.leadingList(body, parent, name, at, i, index, next, value)
		}
		child := map[string]any{}
		parent[name], here, s = child, child, next
	}
	return nil, false
}

// leadingList goes on below an element of a list.
func (b *batch) leadingList(body, parent map[string]any, name string, at path, i, index int, s *Schema, value any) (map[string]any, bool) {
	element, ok := at[:i+2].get(b.lasting())
	object, isObject := element.(map[string]any)
	if !ok || !isObject || s == nil || s.MergeKey() == "" || index != 0 || object[s.MergeKey()] == nil || i+2 >= len(at) {
		return nil, false
	}
	below := &batch{Generator: b.Generator, schema: s.Element(), seeds: []Seed{{Object: object}}}
	rest, ok := below.leading(at[i+2:], value)
	if !ok {
		return nil, false
	}
	if _, taken := rest[s.MergeKey()]; !taken {
		rest[s.MergeKey()] = object[s.MergeKey()]
	}
	parent[name] = []any{rest}
	return body, true
}

// jsonPatches are operations at a place.
func (b *batch) jsonPatches(item string, p place) []Case {
	pointer := p.at.pointer()
	var cases []Case
	add := func(what string, operations ...map[string]any) {
		cases = append(cases, b.patch(item, jsonPatch, "JSON patch: "+what, p.at.String()+" "+what, operations))
	}
	add("remove", map[string]any{"op": "remove", "path": pointer})
	add("replace by null", map[string]any{"op": "replace", "path": pointer, "value": nil})
	if p.value == nil {
		add("test that it is not there", map[string]any{"op": "test", "path": pointer, "value": nil})
		return cases
	}
	add("test", map[string]any{"op": "test", "path": pointer, "value": p.value})
	add("test of another value", map[string]any{"op": "test", "path": pointer, "value": "nosuch"})
	add("move away and back",
		map[string]any{"op": "move", "from": pointer, "path": "/metadata/annotations"}, map[string]any{"op": "move", "from": "/metadata/annotations", "path": pointer})
	add("copy into annotations", map[string]any{"op": "copy", "from": pointer, "path": "/metadata/annotations"})
	if list, ok := p.value.([]any); ok && len(list) > 0 {
		add("append", map[string]any{"op": "add", "path": pointer + "/-", "value": list[0]})
		add("insert beyond the end", map[string]any{"op": "add", "path": pointer + "/99", "value": list[0]})
		add("remove beyond the end", map[string]any{"op": "remove", "path": pointer + "/99"})
	}
	if _, ok := p.value.(map[string]any); ok {
		add("add a member", map[string]any{"op": "add", "path": pointer + "/added", "value": "x"})
	}
	return cases
}

// pointer is the path as a JSON pointer.
func (p path) pointer() string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, step := range p {
		b.WriteByte('/')
		b.WriteString(escape.Replace(fmt.Sprint(step)))
	}
	return b.String()
}
