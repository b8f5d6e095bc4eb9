package celpolicy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds of what one JSON patch makes: operations, and bytes that they may copy within the object.
const (
	maxOperations = 10_000
	maxCopied     = 3 << 20
)

// applyConfiguration merges the configuration that an expression made into the object.
func (m *Mutating) applyConfiguration(kind runtimeschema.GroupVersionKind, object map[string]any, v ref.Val) (map[string]any, error) {
	made, ok := v.(*dynamic.ObjectVal)
	if !ok {
		return nil, fmt.Errorf("unsupported return type from ApplyConfiguration expression: %v", v.Type())
	}
	if err := made.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("type mismatch: %w", err)
	}
	config, ok := made.Value().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("invalid return type: %T", v)
	}
	t, known, err := m.merging.Type(kind)
	if err != nil {
		return nil, api.Internal(err)
	}
	if !known {
		return nil, api.Unavailable("Resource kind %s not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.", kind)
	}
	config = maps.Clone(config)
	config["apiVersion"], config["kind"] = kind.ToAPIVersionAndKind()
	merged, err := merge(t, object, config)
	if err != nil {
		return nil, fmt.Errorf("error applying patch: %w", err)
	}
	return merged, nil
}

// merge merges a configuration into an object as an apply does, without a record of who owns what.
func merge(t typed.ParseableType, object, config map[string]any) (map[string]any, error) {
	patch, err := t.FromUnstructured(config)
	if err != nil {
		return nil, fmt.Errorf("failed to convert patch object to typed object: %w", err)
	}
	if found := atomics(nil, patch.Schema(), patch.TypeRef(), patch.AsValue()); len(found) > 0 {
		return nil, fmt.Errorf("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: %v", strings.Join(found, ", "))
	}
	live, err := t.FromUnstructured(object, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("failed to convert original object to typed object: %w", err)
	}
	merged, err := live.Merge(patch)
	if err != nil {
		return nil, fmt.Errorf("failed to merge patch: %w", err)
	}
	m, ok := merged.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, errors.New("failed to convert typed object to object")
	}
	return m, nil
}

// atomics finds the paths of the lists and maps that are replaced as a whole. A configuration that has one would take away what it does not
// repeat, which its author may not expect.
func atomics(path fieldpath.Path, s *schema.Schema, t schema.TypeRef, v value.Value) (found []string) {
	atom, ok := s.Resolve(t)
	switch {
	case !ok:
	case v.IsMap() && atom.Map != nil:
		if atom.Map.ElementRelationship == schema.Atomic {
			found = append(found, path.String())
		}
		v.AsMap().Iterate(func(key string, element value.Value) bool {
			of := atom.Map.ElementType
			if f, ok := atom.Map.FindField(key); ok {
				of = f.Type
			}
			found = append(found, atomics(append(path, fieldpath.PathElement{FieldName: &key}), s, of, element)...)
			return true
		})
	case v.IsList() && atom.List != nil:
		if atom.List.ElementRelationship == schema.Atomic {
			found = append(found, path.String())
		}
		for i, list := 0, v.AsList(); i < list.Length(); i++ {
			found = append(found, atomics(append(path, fieldpath.PathElement{Index: &i}), s, atom.List.ElementType, list.At(i))...)
		}
	}
	return found
}

// applyJSONPatch applies the operations that an expression made. A test that fails leaves the object as it is, for which nil is returned.
func applyJSONPatch(object map[string]any, v ref.Val) (map[string]any, error) {
	patch, err := operations(v)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("failed to create JSON patch: %w", err)
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxCopied
	patched, err := patch.ApplyWithOptions(data, options)
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("JSON Patch: %w", err)
	}
	var m map[string]any
	if err := utiljson.Unmarshal(patched, &m); err != nil {
		return nil, api.Internal(err)
	}
	return m, nil
}

// operations reads the list of operations that an expression made.
func operations(v ref.Val) (jsonpatch.Patch, error) {
	list, ok := v.(traits.Lister)
	if !ok {
		return nil, errors.New("type mismatch: JSONPatchType.expression should evaluate to array")
	}
	var patch jsonpatch.Patch
	for it := list.Iterator(); it.HasNext() == types.True; {
		if len(patch) == maxOperations {
			return nil, fmt.Errorf("JSON Patch: more than %d operations", maxOperations)
		}
		native, err := it.Next().ConvertToNative(reflect.TypeFor[*mutation.JSONPatchVal]())
		if err != nil {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch: %w", err)
		}
		op, err := operation(native.(*mutation.JSONPatchVal))
		if err != nil {
			return nil, err
		}
		patch = append(patch, op)
	}
	return patch, nil
}

func operation(v *mutation.JSONPatchVal) (jsonpatch.Operation, error) {
	op := jsonpatch.Operation{}
	for key, text := range map[string]string{"op": v.Op, "path": v.Path, "from": v.From} {
		if text == "" && key == "from" {
			continue
		}
		data, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		op[key] = (*json.RawMessage)(&data)
	}
	if v.Val == nil {
		return op, nil
	}
	if made, ok := v.Val.(*dynamic.ObjectVal); ok {
		if err := made.CheckTypeNamesMatchFieldPathNames(); err != nil {
			return nil, fmt.Errorf("type mismatch: %w", err)
		}
	}
	native, err := v.Val.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		return nil, fmt.Errorf("JSONPath valueExpression evaluated to a type that could not marshal to JSON: %w", err)
	}
	data, err := json.Marshal(native)
	if err != nil {
		return nil, fmt.Errorf("JSONPath valueExpression evaluated to a type that could not marshal to JSON: %w", err)
	}
	op["value"] = (*json.RawMessage)(&data)
	return op, nil
}
