package webhook

import (
	"encoding/json"
	"fmt"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/gatehouse/gatehouse/admission"
)

// Bounds of a patch: operations, and bytes that they may copy within the object.
const (
	maxOperations = 10_000
	maxCopied     = 3 << 20
)

func decodePatch(data []byte) (jsonpatch.Patch, error) {
	patch, err := jsonpatch.DecodePatch(data)
	if err == nil && len(patch) > maxOperations {
		err = fmt.Errorf("more than %d operations", maxOperations)
	}
	return patch, err
}

// apply makes the object what the patch makes of it, in the form in which the webhook saw it. What the server manages of it stays.
func (m *Mutating) apply(a *admission.Attributes, q *question, patch jsonpatch.Patch) (bool, error) {
	data, err := json.Marshal(q.object)
	if err != nil {
		return false, err
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxCopied
	if data, err = patch.ApplyWithOptions(data, options); err != nil {
		return false, err
	}
	next, err := decodeLike(q.object, data)
	if err != nil {
		return false, err
	}
	if got := next.GetObjectKind().GroupVersionKind(); got != q.kind {
		return false, fmt.Errorf("the patch makes a %v of a %v", got, q.kind)
	}
	changed := !apiequality.Semantic.DeepEqual(q.object, next)
	m.config.Kinds.Default(q.kind, next)
	if q.kind != a.Kind {
		if next, err = m.config.Kinds.Convert(next, a.Kind); err != nil {
			return false, err
		}
	}
	return changed, admission.Become(a.Object, next)
}

// decodeLike decodes an object of the same Go type. Fields that it does not have are left out.
func decodeLike(like runtime.Object, data []byte) (runtime.Object, error) {
	if _, generic := like.(*unstructured.Unstructured); generic {
		u := &unstructured.Unstructured{}
		return u, u.UnmarshalJSON(data)
	}
	next := reflect.New(reflect.TypeOf(like).Elem()).Interface().(runtime.Object)
	return next, utiljson.Unmarshal(data, next)
}
