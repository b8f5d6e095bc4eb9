package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	utiljson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
)

// jsonPatch is a JSON patch (RFC 6902), with two differences that clients of Kubernetes live on: replace makes a member that is
// missing, and copy takes null from where a member is missing.
type jsonPatch jsonpatch.Patch

// jsonPatchOp has the members that an operation may have.
type jsonPatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

func parseJSONPatch(data []byte) patcher {
	var shaped []jsonPatchOp
	strict, err := utiljson.UnmarshalStrict(data, &shaped)
	if err != nil {
		return patcher{broken: api.BadRequest("error decoding patch: %v", err)}
	}
	if len(shaped) > MaxPatchOps {
		return patcher{broken: api.TooLarge("The allowed maximum operations in a JSON patch is %d, got %d", MaxPatchOps, len(shaped))}
	}
	for i, e := range strict {
		strict[i] = fmt.Errorf("json patch %w", e)
	}
	ops, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return patcher{broken: patchRefused(err)}
	}
	for i, op := range ops {
		_, has := op["value"]
		if kind := op.Kind(); !has && (kind == "add" || kind == "replace" || kind == "test") {
			return patcher{broken: patchRefused(fmt.Errorf("operation %d has no value", i))}
		}
	}
	return patcher{patch: jsonPatch(ops), strict: strict}
}

// apply applies the operations in batches and estimates before each what it can cost: each level of a path may be decoded and encoded
// again, and each operation may move every element of a list. Without a bound, few operations on a long list
// or a deep document occupy a processor for minutes.
func (p jsonPatch) apply(document []byte, _ any) ([]byte, error) {
	run := patchRun{document: document}
	for batch := range slices.Chunk(p, patchBatch) {
		if err := run.spend(batchWork(batch, run.document)); err != nil {
			return nil, err
		}
		err := run.apply(batch)
		if errors.Is(err, jsonpatch.ErrMissing) && slices.ContainsFunc(batch, forgiving) {
			// Few patches come here, so all others are spared the looking.
			err = run.eachAlone(batch)
		}
		if err != nil {
			return nil, err
		}
	}
	return run.document, nil
}

// batchWork estimates the bytes that a batch moves about.
func batchWork(batch []jsonpatch.Operation, document []byte) int {
	deepest, size := 0, len(document)
	for _, op := range batch {
		path, _ := op.Path()
		from, _ := op.From()
		deepest = max(deepest, strings.Count(path, "/"), strings.Count(from, "/"))
		if value := op["value"]; value != nil {
			size += len(*value)
		}
	}
	return size*(deepest+1) + len(batch)*measure(document).elements*8
}

// patchRun is a document on its way through a patch.
type patchRun struct {
	document []byte
	work     int
}

func (r *patchRun) spend(work int) error {
	if r.work += work; r.work > MaxPatchWork {
		return api.TooLarge("the patch takes too much work on an object of this size")
	}
	return nil
}

// apply applies operations, or none of them if it returns an error.
func (r *patchRun) apply(ops []jsonpatch.Operation) error {
	o := jsonpatch.NewApplyOptions()
	o.AccumulatedCopySizeLimit = MaxPatchCopy
	patched, err := applyOps(ops, r.document, o)
	var tooMuch *jsonpatch.AccumulatedCopySizeError
	switch {
	case errors.As(err, &tooMuch):
		return api.TooLarge("the copy operations of the patch add up to more than %d bytes", MaxPatchCopy)
	case err != nil:
		return patchRefused(err)
	case string(patched) == "null":
		return patchRefused(errors.New("nothing is left of the object"))
	case len(patched) > MaxBodyBytes:
		return api.TooLarge("limit is %d", MaxBodyBytes)
	}
	r.document = patched
	return nil
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

// eachAlone applies operations one by one, those that replace or copy what is missing as adds.
func (r *patchRun) eachAlone(ops []jsonpatch.Operation) error {
	for _, op := range ops {
		if err := r.spend(2 * len(r.document)); err != nil {
			return err
		}
		err := r.apply([]jsonpatch.Operation{op})
		if errors.Is(err, jsonpatch.ErrMissing) && forgiving(op) && inObject(r.document, op) {
			err = r.apply([]jsonpatch.Operation{asAdd(op)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func forgiving(op jsonpatch.Operation) bool { return op.Kind() == "replace" || op.Kind() == "copy" }

// asAdd is an operation on what is missing as the add that it comes to.
func asAdd(op jsonpatch.Operation) jsonpatch.Operation {
	add := maps.Clone(op)
	kind := json.RawMessage(`"add"`)
	if op.Kind() == "copy" {
		null := json.RawMessage("null")
		add["value"] = &null
	}
	add["op"] = &kind
	return add
}

// inObject reports whether the place that an operation looks at is a member of an object that is there. In a list, an add
// would not replace but insert.
func inObject(document []byte, op jsonpatch.Operation) bool {
	var at any
	path, err := op.Path()
	if op.Kind() == "copy" {
		path, err = op.From()
	}
	if err != nil || !strings.HasPrefix(path, "/") || json.Unmarshal(document, &at) != nil {
		return false
	}
	parent := path[:strings.LastIndex(path, "/")]
	for step := range strings.SplitSeq(strings.TrimPrefix(parent, "/"), "/") {
		if parent == "" {
			break // The document itself.
		}
		at = member(at, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	_, ok := at.(map[string]any)
	return ok
}

// member is one step of a JSON pointer (RFC 6901); nil where it leads nowhere.
func member(of any, step string) any {
	switch of := of.(type) {
	case map[string]any:
		return of[step]
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(of) {
			return of[i]
		}
	}
	return nil
}
