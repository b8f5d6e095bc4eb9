package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// TestInvalidSaysWhatTheLibrarySays holds our way of putting a 422 together against the library's.
func TestInvalidSaysWhatTheLibrarySays(t *testing.T) {
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	spec := field.NewPath("spec")
	for name, errs := range map[string]field.ErrorList{
		"none": nil,
		"one":  {field.Required(spec.Child("selector"), "")},
		"several, one of them twice": {
			field.Required(spec.Child("selector"), ""), field.Invalid(spec.Child("replicas"), -1, "must be greater than or equal to 0"),
			field.Required(spec.Child("selector"), ""), field.NotSupported(spec.Child("type"), "x", []string{"a", "b"}),
		},
		"the same twice": {field.Forbidden(spec, "no"), field.Forbidden(spec, "no")},
	} {
		t.Run(name, func(t *testing.T) {
			want := apierrors.NewInvalid(kind, "d", errs).Status()
			if diff := cmp.Diff(want, api.Invalid(kind, "d", errs).Status); diff != "" {
				t.Errorf("status (-library +ours):\n%s", diff)
			}
		})
	}
}

// TestInvalidIsBounded keeps one bad body from becoming an answer, or an amount of work, without bound.
func TestInvalidIsBounded(t *testing.T) {
	var errs field.ErrorList
	for i := range 100_000 {
		errs = append(errs, field.Required(field.NewPath("list").Index(i), ""))
	}
	s := api.Invalid(schema.GroupKind{Kind: "Pod"}, "p", errs).Status
	if len(s.Details.Causes) != api.MaxCauses || !strings.HasSuffix(s.Message, ", and 99000 more]") {
		t.Errorf("%d causes, message ends with %q", len(s.Details.Causes), s.Message[len(s.Message)-40:])
	}
	huge := field.ErrorList{field.Invalid(field.NewPath("a"), strings.Repeat("x", 1<<20), "too long")}
	if s := api.Invalid(schema.GroupKind{Kind: "Pod"}, "p", huge).Status; len(s.Message) > 2*api.MaxCauseBytes {
		t.Errorf("a message of %d bytes", len(s.Message))
	}
}
