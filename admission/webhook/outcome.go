package webhook

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// heed passes on what a webhook says besides its decision, and returns its denial as an error.
func (h *hook) heed(a *admission.Attributes, r *admissionv1.AdmissionResponse) error {
	for _, key := range slices.Sorted(maps.Keys(r.AuditAnnotations)) {
		if full := h.Name + "/" + key; strings.Count(full, "/") == 1 && len(validation.IsQualifiedName(full)) == 0 {
			annotate(a, full, r.AuditAnnotations[key])
		}
	}
	for _, text := range r.Warnings {
		a.Warnings.Add(text)
	}
	if r.Allowed {
		return nil
	}
	return h.denial(r.Result)
}

func annotate(a *admission.Attributes, key, value string) {
	if a.Annotate != nil {
		a.Annotate(key, value)
	}
}

// denial is the answer that a webhook asks for, which is a refusal whatever its code is.
func (h *hook) denial(result *metav1.Status) *api.Error {
	s := metav1.Status{}
	if result != nil {
		s = *result
	}
	if s.Code < http.StatusBadRequest || s.Code > 599 {
		s.Code = http.StatusBadRequest
	}
	if s.Status == "" || s.Status == metav1.StatusSuccess {
		s.Status = metav1.StatusFailure
	}
	by := fmt.Sprintf("admission webhook %q denied the request", h.Name)
	switch {
	case s.Message != "":
		s.Message = by + ": " + api.Cut(s.Message, api.MaxCauseBytes)
	case s.Reason != "":
		s.Message = by + ": " + string(s.Reason)
	default:
		s.Message = by + " without explanation"
	}
	if s.Details != nil && len(s.Details.Causes) > api.MaxCauses {
		details := *s.Details
		details.Causes = details.Causes[:api.MaxCauses]
		s.Details = &details
	}
	return &api.Error{Status: s}
}
