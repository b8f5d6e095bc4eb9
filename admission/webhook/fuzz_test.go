package webhook_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/admission/webhook"
)

// FuzzAnswer guards against an answer that is taken although it is not one to the question: whatever is taken names the question's uid.
func FuzzAnswer(f *testing.F) {
	const uid = "705ab4f5-6393-11e8-b7cc-42010a800002"
	judge, err := webhook.Judge()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"` + uid + `","allowed":true}}`,
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"` + uid + `","allowed":true,"patchType":"JSONPatch","patch":"W10="}}`,
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"1","allowed":true}}`,
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","response":{"allowed":true}}`, `{"response":`, "", "[]", "kind: AdmissionReview",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, mutating bool) {
		response, err := judge(uid, mutating, body)
		switch {
		case (response == nil) == (err == nil):
			t.Fatalf("response %v and error %v", response, err)
		case err == nil && string(response.UID) != uid:
			t.Errorf("taken as an answer to %s: %q", uid, body)
		case err == nil && !mutating && len(response.Patch) > 0:
			t.Errorf("a validating webhook may patch: %q", body)
		}
	})
}
