package webhook_test

import (
	"net/http"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
)

// FuzzAnswer guards that what does not have the question's UID never allows, and that no answer ends the process.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"1","allowed":true}}`,
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","response":{"allowed":true}}`, `{"response":`, "", "[]", "kind: AdmissionReview",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var asked types.UID
		s := serve(t, map[string]answer{"/x": func(w http.ResponseWriter, _ *http.Request, q *admissionv1.AdmissionRequest) {
			asked = q.UID
			_, _ = w.Write(data)
		}})
		a, b := create(t), create(t)
		if newValidating(t, world{}, s.hook("/x", nil)).Validate(t.Context(), a.Attributes) == nil {
			t.Errorf("%s was allowed by %q", asked, data)
		}
		if newMutating(t, mutatingOf("c", s.hook("/x", nil))).Mutate(t.Context(), b.Attributes) == nil {
			t.Errorf("%s was allowed by %q", asked, data)
		}
	})
}
