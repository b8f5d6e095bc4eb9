package resource

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utiljson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/internal/quantity"
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
	media, err := patchType(body.ContentType)
	if err != nil {
		return Result{}, err
	}
	apply := parsePatch(media, body.Data, w.Options.Validation)
	apply.size = len(body.Data)
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
		return o, matchUpdate(t, o, info.Name, info.Namespace)
	})
}

// patch is a parsed patch: it turns the JSON of an object into the JSON of the changed one.
type patch interface {
	apply(original []byte, schema any) ([]byte, error)
}

type patcher struct {
	patch
	strict []error // what strict decoding of the patch itself would refuse
	broken error   // why the body is no patch, which is told after it is known that there is something to change
	size   int     // of the body, in bytes
	typed  bool    // it changes an object of a known type, so that nothing in it can make another kind of it
}

// patchType returns the media type of a patch.
func patchType(contentType string) (types.PatchType, error) {
	media, err := mediaType(contentType, string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType))
	if err != nil || contentType == "" {
		unsupported := api.UnsupportedMediaType("415: Unsupported Media Type")
		unsupported.Status.Details = &metav1.StatusDetails{}
		return "", unsupported
	}
	return types.PatchType(media), nil
}

func parsePatch(media types.PatchType, data []byte, v Validation) patcher {
	if !utf8.Valid(data) {
		return patcher{broken: api.BadRequest("error decoding patch: it is not valid UTF-8")}
	}
	amount := measure(data)
	if err := amount.check(); err != nil {
		return patcher{broken: api.BadRequest("error decoding patch: %v", err)}
	}
	if media == types.JSONPatchType {
		return parseJSONPatch(data)
	}
	var m map[string]any
	strict, err := utiljson.UnmarshalStrict(data, &m)
	switch {
	case media == types.StrategicMergePatchType && err != nil:
		return patcher{broken: api.BadRequest("%v", err)}
	case media == types.StrategicMergePatchType:
		return patcher{patch: strategicPatch{m, amount.elements}, strict: strict, typed: true}
	case err != nil && v != ValidationIgnore:
		return patcher{broken: api.BadRequest("error decoding patch: %v", err)}
	case err != nil || m == nil:
		return patcher{broken: api.BadRequest("Invalid JSON Patch")}
	}
	if m, err = literal(data); err != nil {
		return patcher{broken: api.BadRequest("error decoding patch: %v", err)}
	}
	return patcher{patch: mergePatch(m), strict: strict}
}

// literal decodes a document and keeps numbers as they are written, since 1.0 is no integer to those who decode the outcome.
func literal(data []byte) (m map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&m)
	return m, err
}

// mergePatch is a JSON merge patch (RFC 7396), decoded.
type mergePatch map[string]any

func (p mergePatch) apply(original []byte, _ any) ([]byte, error) {
	target, err := literal(original)
	if err != nil {
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
	switch {
	case err != nil && badDirective(err):
		return nil, api.BadRequest("%v", err)
	case err != nil:
		return nil, patchRefused(err)
	}
	return json.Marshal(patched)
}

// badDirective reports whether a strategic merge patch failed for one of the reasons that say all by themselves: their texts are fixed.
func badDirective(err error) bool {
	return slices.ContainsFunc([]error{
		mergepatch.ErrBadJSONDoc, mergepatch.ErrBadPatchFormatForPrimitiveList, mergepatch.ErrBadPatchFormatForRetainKeys,
		mergepatch.ErrBadPatchFormatForSetElementOrderList, mergepatch.ErrUnsupportedStrategicMergePatchFormat,
	}, func(known error) bool { return errors.Is(err, known) })
}

// patchRefused is 422 for a patch that does not fit the object. Why is said in the fixed words that the reference uses, as the
// errors of the libraries can hold parts of the object.
func patchRefused(cause error) *api.Error {
	e := api.Invalid(schema.GroupKind{}, "", nil)
	e.Status.Message = "the server rejected our request due to an error in our request"
	e.Status.Details = &metav1.StatusDetails{}
	return e.Wrap(cause)
}

// to applies the patch to current, which it does not change, and decodes the outcome into o, which is empty.
func (p patcher) to(want schema.GroupVersionKind, current, o Object, w Write) error {
	if p.broken != nil {
		return p.broken
	}
	next := current.DeepCopyObject().(Object)
	next.GetObjectKind().SetGroupVersionKind(want)
	part, err := p.excerpt(next)
	if err != nil {
		return api.Internal(err)
	}
	patched, err := p.apply(part.json, o)
	if err != nil {
		return err
	}
	if err := measure(patched).check(); err != nil {
		return api.BadRequest("the patched object %v", err)
	}
	invalid := func(err error) error {
		return api.Invalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), "the patched object", err.Error())})
	}
	if err := quantity.CheckJSON(patched, reflect.TypeOf(o)); err != nil {
		return invalid(err)
	}
	strict, err := utiljson.UnmarshalStrict(patched, o)
	if err != nil {
		return invalid(p.reason(patched, o, err))
	}
	if got := o.GetObjectKind().GroupVersionKind(); !p.typed && !agrees(got, want) {
		return invalid(fmt.Errorf("a patch may not change apiVersion and kind (%s to %s)", want, got))
	}
	if err := part.complete(o, next); err != nil {
		return api.Internal(err)
	}
	o.GetObjectKind().SetGroupVersionKind(want)
	strict = append(slices.Clone(p.strict), strict...)
	if w.Options.Validation == ValidationStrict && len(strict) > 0 {
		return invalid(fmt.Errorf("strict decoding error: %s", joinErrors(strict)))
	}
	return strictness(strict, want, w.Options.Validation, w.Warnings)
}

// reason is why a patched object cannot be decoded, in the words of the reference: there the outcome of a strategic merge does not become
// text again, but is converted value by value.
func (p patcher) reason(patched []byte, o Object, err error) error {
	if !p.typed {
		return err
	}
	var values map[string]any
	if utiljson.UnmarshalCaseSensitivePreserveInts(patched, &values) != nil {
		return err
	}
	into := reflect.New(reflect.TypeOf(o).Elem()).Interface()
	return cmp.Or(runtime.DefaultUnstructuredConverter.FromUnstructured(values, into), err)
}

// agrees reports whether what an object says about its kind is true as far as it says anything.
func agrees(got, want schema.GroupVersionKind) bool {
	return (got.Kind == "" || got.Kind == want.Kind) && (got.GroupVersion().Empty() || got.GroupVersion() == want.GroupVersion())
}
