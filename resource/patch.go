package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utiljson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Bounds of a patch. What is over them is answered with 413.
const (
	// MaxPatchOps bounds the operations of a JSON patch.
	MaxPatchOps = 10_000
	// MaxPatchCopy bounds what the copy operations of a JSON patch may add up to within a batch of patchBatch, in bytes.
	MaxPatchCopy = MaxBodyBytes
	// MaxPatchWork bounds the bytes that applying a JSON patch moves about, by a generous estimate.
	MaxPatchWork = 256 << 20
	// MaxPatchPairs bounds the pairs of list elements that a strategic merge may compare, counted generously: about a second of work.
	MaxPatchPairs = 100_000_000

	patchBatch = 100
)

// Patch changes an object, its status or its scale. The patch is applied again if another write comes first, unless
// it carries a resourceVersion.
func (s *Service) Patch(ctx context.Context, p authz.Permit, body Body, w Write) (Result, error) {
	t, err := s.target(p, "patch")
	if err != nil {
		return Result{}, err
	}
	info := p.Info()
	if IsApply(body.ContentType) {
		return s.apply(ctx, p, t, body, w)
	}
	apply, err := parsePatch(body)
	if err != nil {
		return Result{}, err
	}
	if info.Subresource == "scale" {
		return s.patchScale(ctx, p, t, apply, w)
	}
	return s.update(ctx, p, t, partOf(info.Subresource), w, func(current Object) (Object, error) {
		o := t.New()
		if err := apply.to(t.GVK(), current, o, w); err != nil {
			return nil, err
		}
		t.Rules.Default(o)
		s.own(t, info.Subresource, current, o, w)
		return o, matchRequest(t, o, info.Name, info.Namespace)
	})
}

// patch is a parsed patch: it turns the JSON of an object into the JSON of the changed one.
type patch interface {
	apply(original []byte, schema any) ([]byte, error)
}

type patcher struct {
	patch
	strict []error // what strict decoding of the patch itself would refuse
}

func parsePatch(body Body) (patcher, error) {
	media, err := mediaType(body.ContentType, string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType))
	if err != nil || body.ContentType == "" {
		unsupported := api.UnsupportedMediaType("415: Unsupported Media Type")
		unsupported.Status.Details = &metav1.StatusDetails{}
		return patcher{}, unsupported
	}
	if !utf8.Valid(body.Data) {
		return patcher{}, api.BadRequest("error decoding patch: it is not valid UTF-8")
	}
	if err := measure(body.Data).check(); err != nil {
		return patcher{}, api.BadRequest("error decoding patch: %v", err)
	}
	if types.PatchType(media) == types.JSONPatchType {
		return parseJSONPatch(body.Data)
	}
	var m map[string]any
	strict, err := utiljson.UnmarshalStrict(body.Data, &m)
	if err != nil {
		return patcher{}, api.BadRequest("error decoding patch: %v", err)
	}
	if types.PatchType(media) == types.MergePatchType {
		return patcher{mergePatch(m), strict}, nil
	}
	return patcher{strategicPatch{m, measure(body.Data).elements}, strict}, nil
}

func parseJSONPatch(data []byte) (patcher, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return patcher{}, api.BadRequest("error decoding patch: %v", err)
	}
	if len(raw) > MaxPatchOps {
		return patcher{}, api.TooLarge("The allowed maximum operations in a JSON patch is %d, got %d", MaxPatchOps, len(raw))
	}
	ops, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return patcher{}, patchRefused(err)
	}
	for i, op := range ops {
		_, has := op["value"]
		if kind := op.Kind(); !has && (kind == "add" || kind == "replace" || kind == "test") {
			return patcher{}, patchRefused(fmt.Errorf("operation %d has no value", i))
		}
	}
	return patcher{jsonPatch(ops), nil}, nil
}

// jsonPatch is a JSON patch (RFC 6902).
type jsonPatch jsonpatch.Patch

// apply applies the operations in batches and estimates before each what it can cost: each level of a path may be decoded and encoded
// again, and each operation may move every element of a list. Without a bound, few operations on a long list
// or a deep document occupy a processor for minutes.
func (p jsonPatch) apply(document []byte, _ any) ([]byte, error) {
	o := jsonpatch.NewApplyOptions()
	o.AccumulatedCopySizeLimit = MaxPatchCopy
	work := 0
	for batch := range slices.Chunk(p, patchBatch) {
		deepest, size := 0, len(document)
		for _, op := range batch {
			path, _ := op.Path()
			from, _ := op.From()
			deepest = max(deepest, strings.Count(path, "/"), strings.Count(from, "/"))
			if value := op["value"]; value != nil {
				size += len(*value)
			}
		}
		if work += size*(deepest+1) + len(batch)*measure(document).elements*8; work > MaxPatchWork {
			return nil, api.TooLarge("the patch takes too much work on an object of this size")
		}
		patched, err := applyOps(batch, document, o)
		var tooMuch *jsonpatch.AccumulatedCopySizeError
		switch {
		case errors.As(err, &tooMuch):
			return nil, api.TooLarge("the copy operations of the patch add up to more than %d bytes", MaxPatchCopy)
		case err != nil:
			return nil, patchRefused(err)
		case len(patched) > MaxBodyBytes:
			return nil, api.TooLarge("limit is %d", MaxBodyBytes)
		}
		document = patched
	}
	return document, nil
}

// applyOps applies operations. The library panics on some that it should refuse, such as a test of the whole document for null.
func applyOps(ops []jsonpatch.Operation, document []byte, o *jsonpatch.ApplyOptions) (patched []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the patch library cannot apply it")
		}
	}()
	return jsonpatch.Patch(ops).ApplyWithOptions(document, o)
}

// mergePatch is a JSON merge patch (RFC 7396), decoded.
type mergePatch map[string]any

func (p mergePatch) apply(original []byte, _ any) ([]byte, error) {
	var target map[string]any
	if err := utiljson.UnmarshalCaseSensitivePreserveInts(original, &target); err != nil {
		return nil, api.Internal(err)
	}
	return json.Marshal(merge(target, p))
}

// merge changes target, which may be nil, as the patch says, and returns it. The patch is not changed.
func merge(target, patch map[string]any) map[string]any {
	if target == nil {
		target = make(map[string]any, len(patch))
	}
	for key, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(target, key)
		case map[string]any:
			old, _ := target[key].(map[string]any)
			target[key] = merge(old, v)
		default:
			target[key] = v
		}
	}
	return target
}

// strategicPatch is a strategic merge patch, decoded, with the number of list elements in it.
type strategicPatch struct {
	patch    map[string]any
	elements int
}

func (p strategicPatch) apply(original []byte, schema any) ([]byte, error) {
	if p.elements*(p.elements+measure(original).elements) > MaxPatchPairs {
		return nil, api.TooLarge("the lists in the patch are too long for an object of this size")
	}
	var target map[string]any
	if err := utiljson.UnmarshalCaseSensitivePreserveInts(original, &target); err != nil {
		return nil, api.Internal(err)
	}
	patched, err := strategicpatch.StrategicMergeMapPatch(target, runtime.DeepCopyJSON(p.patch), schema)
	if err != nil {
		return nil, patchRefused(err)
	}
	return json.Marshal(patched)
}

// patchRefused is 422 for a patch that does not fit the object. Why is said in the fixed words that the reference uses, as the
// errors of the libraries can hold parts of the object.
func patchRefused(cause error) *api.Error {
	e := api.Invalid(schema.GroupKind{}, "", nil)
	e.Status.Message = "the server rejected our request due to an error in our request"
	e.Status.Details = &metav1.StatusDetails{}
	return e.Wrap(cause)
}

// to applies the patch to current and decodes the outcome into o, which is empty.
func (p patcher) to(want schema.GroupVersionKind, current, o Object, w Write) error {
	current.GetObjectKind().SetGroupVersionKind(want)
	original, err := json.Marshal(current)
	if err != nil {
		return api.Internal(err)
	}
	patched, err := p.apply(original, o)
	if err != nil {
		return err
	}
	if err := measure(patched).check(); err != nil {
		return api.BadRequest("the patched object %v", err)
	}
	invalid := func(err error) error {
		return api.Invalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), "the patched object", err.Error())})
	}
	strict, err := utiljson.UnmarshalStrict(patched, o)
	if err != nil {
		return invalid(err)
	}
	if got := o.GetObjectKind().GroupVersionKind(); got != want {
		return invalid(fmt.Errorf("a patch may not change apiVersion and kind (%s to %s)", want, got))
	}
	strict = append(slices.Clone(p.strict), strict...)
	if w.Options.Validation == ValidationStrict && len(strict) > 0 {
		return invalid(fmt.Errorf("strict decoding error: %w", errors.Join(strict...)))
	}
	return strictness(strict, want, w.Options.Validation, w.Warnings)
}
