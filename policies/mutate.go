package policies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/open-policy-agent/opa/v1/ast"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Bounds of one policy's patch: operations, and bytes of all of them as JSON.
const (
	MaxPatchOperations = 256
	MaxPatchBytes      = 256 << 10
)

// PolicyError says which mutate policy could not be applied. It refuses the request.
type PolicyError struct {
	// Policy is the policy's name.
	Policy string
	// Err is why; it is not for the client.
	Err error
}

// Error returns policy and cause.
func (e *PolicyError) Error() string { return fmt.Sprintf("policy %q: %v", e.Policy, e.Err) }

// Unwrap returns the cause.
func (e *PolicyError) Unwrap() error { return e.Err }

// Mutate applies the mutate policies that match to the review's object, each on the result of the one before, by name. It returns the
// changed object as decoded JSON and the names of the policies that changed it; nil if none did. The error is a [*PolicyError], [ErrNotLoaded],
// or why the object cannot be converted.
//
// A patch may not change what identifies the object: apiVersion, kind, and of metadata name, generateName, namespace, uid and resourceVersion.
func (e *Engine) Mutate(ctx context.Context, r *Review) (result map[string]any, changed []string, err error) {
	s := e.set.Load()
	if s == nil {
		return nil, nil, ErrNotLoaded
	}
	matching := r.matching(s.mutate)
	if len(matching) == 0 || r.Object == nil {
		return nil, nil, nil
	}
	object, err := genericObject(r.Object, r.groupVersionKind())
	if err != nil {
		return nil, nil, fmt.Errorf("policies: convert the object: %w", err)
	}
	current := *r
	current.Object = object
	e.begin(ctx, s, func(ev *evaluation) {
		for _, p := range matching {
			next, patchErr := ev.patch(p, &current, object)
			if patchErr != nil {
				if e.failed(ev.ctx, p, patchErr) {
					err = &PolicyError{Policy: p.name, Err: patchErr}
					return
				}
				continue
			}
			if next != nil {
				object, current.Object = next, next
				changed = append(changed, p.name)
			}
		}
	})
	if err != nil || len(changed) == 0 {
		return nil, nil, err
	}
	return object, changed, nil
}

// patch evaluates one policy and applies its operations to the review's object. A nil result means that it has nothing to change.
func (e *evaluation) patch(p *policy, r *Review, object map[string]any) (map[string]any, error) {
	shared, err := r.input(e.values)
	if err != nil {
		return nil, err
	}
	result, err := e.eval(p, shared.with(p.parameters))
	if err != nil {
		return nil, err
	}
	ops, err := operations(result)
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	patched, err := applyPatch(object, ops)
	if err != nil {
		return nil, err
	}
	if err := sameIdentity(object, patched); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(object, patched) {
		return nil, nil
	}
	return patched, nil
}

// operations reads the answer of a patch rule. The operations of a set are ordered by path, so that a parent comes before
// what is in it; those of an array keep their order.
func operations(result *ast.Term) ([]any, error) {
	if result == nil {
		return nil, nil
	}
	_, isSet := result.Value.(ast.Set)
	if _, isArray := result.Value.(*ast.Array); !isSet && !isArray {
		return nil, fmt.Errorf("patch is %s, want a set or an array", ast.ValueName(result.Value))
	}
	v, err := ast.JSON(result.Value)
	if err != nil {
		return nil, err
	}
	ops, _ := v.([]any)
	if len(ops) > MaxPatchOperations {
		return nil, fmt.Errorf("patch has %d operations, the limit is %d", len(ops), MaxPatchOperations)
	}
	if isSet {
		slices.SortStableFunc(ops, func(a, b any) int { return strings.Compare(patchPath(a), patchPath(b)) })
	}
	return ops, nil
}

func patchPath(op any) string {
	m, _ := op.(map[string]any)
	s, _ := m["path"].(string)
	return s
}

// applyPatch returns the patched copy of object. Only operations that write a given value or remove one are accepted: copy and move could
// grow an object beyond what the patch's own bound allows.
func applyPatch(object map[string]any, ops []any) (map[string]any, error) {
	for _, op := range ops {
		m, _ := op.(map[string]any)
		if name, _ := m["op"].(string); name != "add" && name != "replace" && name != "remove" && name != "test" {
			return nil, fmt.Errorf("patch operation %v is none of add, replace, remove and test", m["op"])
		}
	}
	raw, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxPatchBytes {
		return nil, fmt.Errorf("patch is %d bytes long, the limit is %d", len(raw), MaxPatchBytes)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, err
	}
	var patched map[string]any
	if err := utiljson.Unmarshal(after, &patched); err != nil {
		return nil, err
	}
	return patched, nil
}

// sameIdentity refuses a patch after which the object would be another one.
func sameIdentity(before, after map[string]any) error {
	if before["apiVersion"] != after["apiVersion"] || before["kind"] != after["kind"] {
		return errors.New("patch changes apiVersion or kind")
	}
	oldMeta, _ := before["metadata"].(map[string]any)
	newMeta, _ := after["metadata"].(map[string]any)
	for _, f := range []string{"name", "generateName", "namespace", "uid", "resourceVersion"} {
		if oldMeta[f] != newMeta[f] {
			return fmt.Errorf("patch changes metadata.%s", f)
		}
	}
	return nil
}
