package webhook

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/internal/webhook"
)

// Judge is what becomes of the body that a webhook answered the question with that uid with.
func Judge() (func(uid types.UID, mutating bool, body []byte) (*admissionv1.AdmissionResponse, error), error) {
	decoder, err := newAnswers()
	return func(uid types.UID, mutating bool, body []byte) (*admissionv1.AdmissionResponse, error) {
		review, err := decoder.review(&webhook.Answer{Code: 200, Body: body})
		if err != nil {
			return nil, err
		}
		return verify(uid, mutating, review)
	}, err
}
