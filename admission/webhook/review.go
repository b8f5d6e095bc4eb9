package webhook

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/admission"
)

// question is a request in the form in which a webhook matched it.
type question struct {
	attributes  *admission.Attributes
	resource    schema.GroupVersionResource
	kind        schema.GroupVersionKind
	object, old runtime.Object // with their kind
}

// versioned returns a copy of the object as a kind, with that kind written into it; nil stays nil.
func (c *Config) versioned(o runtime.Object, from, to schema.GroupVersionKind) (runtime.Object, error) {
	if o == nil {
		return nil, nil
	}
	if from == to {
		o = o.DeepCopyObject()
	} else {
		var err error
		if o, err = c.Kinds.Convert(o, to); err != nil {
			return nil, err
		}
	}
	o.GetObjectKind().SetGroupVersionKind(to)
	return o, nil
}

func (c *Config) question(a *admission.Attributes, resource schema.GroupVersionResource, kind schema.GroupVersionKind) (*question, error) {
	q := &question{attributes: a, resource: resource, kind: kind}
	var err error
	if q.object, err = c.versioned(a.Object, a.Kind, kind); err == nil {
		q.old, err = c.versioned(a.OldObject, a.Kind, kind)
	}
	return q, err
}

// review is the question as it is sent.
func (q *question) review() *admissionv1.AdmissionReview {
	a, user := q.attributes, q.attributes.Permit.User()
	kind, resource, dryRun := metav1.GroupVersionKind(a.Kind), metav1.GroupVersionResource(a.Resource), a.DryRun
	r := &admissionv1.AdmissionRequest{
		UID: types.UID(uuid.NewString()), Kind: metav1.GroupVersionKind(q.kind), Resource: metav1.GroupVersionResource(q.resource), SubResource: a.Subresource,
		RequestKind: &kind, RequestResource: &resource, RequestSubResource: a.Subresource, Name: a.Name, Namespace: a.Namespace,
		Operation: admissionv1.Operation(a.Operation), DryRun: &dryRun, Object: runtime.RawExtension{Object: q.object},
		OldObject: runtime.RawExtension{Object: q.old}, UserInfo: authenticationv1.UserInfo{Username: user.Name, UID: user.UID, Groups: user.Groups},
	}
	for key, values := range user.Extra {
		if r.UserInfo.Extra == nil {
			r.UserInfo.Extra = map[string]authenticationv1.ExtraValue{}
		}
		r.UserInfo.Extra[key] = values
	}
	if a.Options != nil {
		r.Options.Object = a.Options()
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Request: r,
	}
}

// verify reports why an answer is none to the question.
func verify(uid types.UID, mutating bool, review *admissionv1.AdmissionReview) (*admissionv1.AdmissionResponse, error) {
	r, want := review.Response, admissionv1.SchemeGroupVersion.WithKind("AdmissionReview")
	switch {
	case r == nil:
		return nil, errors.New("webhook response was absent")
	case r.UID != uid:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", uid, r.UID)
	case review.GroupVersionKind() != want:
		return nil, fmt.Errorf("expected webhook response of %v, got %v", want, review.GroupVersionKind())
	case !mutating && len(r.Patch) > 0:
		return nil, errors.New("validating webhook may not return response.patch")
	case !mutating && r.PatchType != nil:
		return nil, errors.New("validating webhook may not return response.patchType")
	case len(r.Patch) > 0 && r.PatchType == nil:
		return nil, errors.New("webhook returned response.patch but not response.patchType")
	case len(r.Patch) == 0 && r.PatchType != nil:
		return nil, errors.New("webhook returned response.patchType but not response.patch")
	case r.PatchType != nil && *r.PatchType == "":
		return nil, fmt.Errorf("webhook returned invalid response.patchType of %q", *r.PatchType)
	}
	return r, nil
}
