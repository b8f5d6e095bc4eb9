package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utiljson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Bounds of a patch.
const (
	// MaxPatchOps bounds the operations of a JSON patch.
	MaxPatchOps = 10_000
	// MaxPatchCopy bounds what the copy operations of a JSON patch may add up to, in bytes.
	MaxPatchCopy = MaxBodyBytes
)

// Patch changes an object, its status or its scale. The patch is applied again if another write comes first, unless
// it carries a resourceVersion.
func (s *Service) Patch(ctx context.Context, p authz.Permit, body Body, w Write) (Result, error) {
	t, err := s.target(p, "patch")
	if err != nil {
		return Result{}, err
	}
	info := p.Info()
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
		if err := errors.Join(matchName(o, info), matchNamespace(t, o, info)); err != nil {
			return nil, api.ToError(err)
		}
		return o, nil
	})
}

// patch is a parsed patch: it turns the JSON of an object into the JSON of the changed one.
type patch interface {
	apply(original []byte, schema any) ([]byte, error)
}

type patcher struct{ patch }

func parsePatch(body Body) (patcher, error) {
	media, err := mediaType(body.ContentType, string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType))
	if err != nil || body.ContentType == "" {
		return patcher{}, api.UnsupportedMediaType("the body of the request was in an unknown format - accepted media types include: %s, %s, %s",
			types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType)
	}
	if jsonDepth(body.Data) > MaxDepth {
		return patcher{}, api.BadRequest("error decoding patch: exceeded max depth of %d", MaxDepth)
	}
	if types.PatchType(media) == types.JSONPatchType {
		return parseJSONPatch(body.Data)
	}
	var m map[string]any
	if err := json.Unmarshal(body.Data, &m); err != nil {
		return patcher{}, api.BadRequest("error decoding patch: %v", err)
	}
	if types.PatchType(media) == types.MergePatchType {
		return patcher{mergePatch(body.Data)}, nil
	}
	return patcher{strategicPatch(body.Data)}, nil
}

func parseJSONPatch(data []byte) (patcher, error) {
	ops, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return patcher{}, api.BadRequest("error decoding patch: %v", err)
	}
	if len(ops) > MaxPatchOps {
		return patcher{}, api.TooLarge("The allowed maximum operations in a JSON patch is %d, got %d", MaxPatchOps, len(ops))
	}
	return patcher{jsonPatch(ops)}, nil
}

type (
	jsonPatch      jsonpatch.Patch
	mergePatch     []byte
	strategicPatch []byte
)

func (p jsonPatch) apply(original []byte, _ any) ([]byte, error) {
	o := jsonpatch.NewApplyOptions()
	o.AccumulatedCopySizeLimit = MaxPatchCopy
	patched, err := jsonpatch.Patch(p).ApplyWithOptions(original, o)
	var tooMuch *jsonpatch.AccumulatedCopySizeError
	switch {
	case errors.As(err, &tooMuch):
		return nil, api.TooLarge("the copy operations of the patch add up to more than %d bytes", MaxPatchCopy)
	case err != nil:
		return nil, patchRefused(err.Error())
	case len(patched) > MaxBodyBytes:
		return nil, api.TooLarge("limit is %d", MaxBodyBytes)
	}
	return patched, nil
}

func (p mergePatch) apply(original []byte, _ any) ([]byte, error) {
	patched, err := jsonpatch.MergePatch(original, p)
	if err != nil {
		return nil, patchRefused(err.Error())
	}
	return patched, nil
}

func (p strategicPatch) apply(original []byte, schema any) ([]byte, error) {
	patched, err := strategicpatch.StrategicMergePatch(original, p, schema)
	if err != nil {
		return nil, patchRefused(err.Error())
	}
	return patched, nil
}

// patchRefused is 422 for a patch that does not fit the object.
func patchRefused(why string) *api.Error {
	e := api.Invalid(schema.GroupKind{}, "", nil)
	e.Status.Message = "the server rejected our request due to an error in our request: " + why
	e.Status.Details = &metav1.StatusDetails{}
	return e
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
	if depth := jsonDepth(patched); depth > MaxDepth {
		return api.BadRequest("the patched object exceeds the max depth of %d", MaxDepth)
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
	if w.Options.Validation == ValidationStrict && len(strict) > 0 {
		return invalid(fmt.Errorf("strict decoding error: %w", errors.Join(strict...)))
	}
	return strictness(strict, want, w.Options.Validation, w.Warnings)
}
