package resource

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// undivided hides what a patch is about, so that it is applied to the whole object.
type undivided struct{ patch }

// Patched applies a patch to an object, to an excerpt of it or to the whole.
func Patched(media types.PatchType, data []byte, kind schema.GroupVersionKind, current, into Object, w Write, whole bool) error {
	p := parsePatch(media, data, w.Options.Validation)
	p.size = len(data)
	if whole && p.patch != nil {
		p.patch = undivided{p.patch}
	}
	return p.to(kind, current, into, w)
}

// IsExcerpt reports whether a patch is applied to less than the whole object.
func IsExcerpt(media types.PatchType, data []byte, current Object) bool {
	x, err := parsePatch(media, data, ValidationIgnore).excerpt(current)
	return err == nil && !x.whole
}
