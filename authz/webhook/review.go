package webhook

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	authorizationv1beta1 "k8s.io/api/authorization/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/gatehouse/gatehouse/api"
)

// ask posts a review in the service's version.
func (a *Authorizer) ask(ctx context.Context, spec *authorizationv1.SubjectAccessReviewSpec) (status authorizationv1.SubjectAccessReviewStatus, err error) {
	if a.Version == V1 {
		asked := typeOf(authorizationv1.SchemeGroupVersion.String())
		var got authorizationv1.SubjectAccessReview
		if err := a.Service.Post(ctx, &authorizationv1.SubjectAccessReview{TypeMeta: asked, Spec: *spec}, &got); err != nil {
			return status, err
		}
		return got.Status, checkType(asked, got.TypeMeta)
	}
	asked := typeOf(authorizationv1beta1.SchemeGroupVersion.String())
	var got authorizationv1beta1.SubjectAccessReview
	if err := a.Service.Post(ctx, &authorizationv1beta1.SubjectAccessReview{TypeMeta: asked, Spec: toBeta(spec)}, &got); err != nil {
		return status, err
	}
	return authorizationv1.SubjectAccessReviewStatus(got.Status), checkType(asked, got.TypeMeta)
}

func typeOf(version string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: "SubjectAccessReview"}
}

// checkType makes sure that what came back is an answer to what was asked. What does not say what it is is taken for one, as
// kube-apiserver does: there are services that leave it out.
func checkType(asked, got metav1.TypeMeta) error {
	if (got.Kind != "" && got.Kind != asked.Kind) || (got.APIVersion != "" && got.APIVersion != asked.APIVersion) {
		return fmt.Errorf("the answer is %.64q of %.64q, want %s of %s", got.Kind, got.APIVersion, asked.Kind, asked.APIVersion)
	}
	return nil
}

// toBeta is the review in v1beta1, whose field for groups has another name.
func toBeta(s *authorizationv1.SubjectAccessReviewSpec) authorizationv1beta1.SubjectAccessReviewSpec {
	beta := authorizationv1beta1.SubjectAccessReviewSpec{User: s.User, UID: s.UID, Groups: s.Groups}
	if r := s.ResourceAttributes; r != nil {
		converted := authorizationv1beta1.ResourceAttributes(*r)
		beta.ResourceAttributes = &converted
	}
	if n := s.NonResourceAttributes; n != nil {
		converted := authorizationv1beta1.NonResourceAttributes(*n)
		beta.NonResourceAttributes = &converted
	}
	if s.Extra != nil {
		beta.Extra = make(map[string]authorizationv1beta1.ExtraValue, len(s.Extra))
		for key, values := range s.Extra {
			beta.Extra[key] = authorizationv1beta1.ExtraValue(values)
		}
	}
	return beta
}

// question is the request as the service is asked about it.
func question(user api.User, info api.RequestInfo) *authorizationv1.SubjectAccessReviewSpec {
	spec := &authorizationv1.SubjectAccessReviewSpec{User: user.Name, UID: user.UID, Groups: user.Groups}
	if user.Extra != nil {
		spec.Extra = make(map[string]authorizationv1.ExtraValue, len(user.Extra))
		for key, values := range user.Extra {
			spec.Extra[key] = authorizationv1.ExtraValue(values)
		}
	}
	if !info.IsResource {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: info.Path, Verb: info.Verb}
		return spec
	}
	r := &authorizationv1.ResourceAttributes{
		Namespace: info.Namespace, Verb: info.Verb, Group: info.Group, Version: info.Version,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name,
	}
	if terms := fieldTerms(info.FieldSelector); len(terms) > 0 {
		r.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: terms}
	}
	if terms := labelTerms(info.LabelSelector); len(terms) > 0 {
		r.LabelSelector = &authorizationv1.LabelSelectorAttributes{Requirements: terms}
	}
	spec.ResourceAttributes = r
	return spec
}

// fieldTerms are the terms of a selector. One that cannot be read has none: the service is then asked about more than was asked for.
func fieldTerms(text string) (terms []metav1.FieldSelectorRequirement) {
	selector, err := api.ParseFieldSelector(text)
	if err != nil {
		return nil
	}
	for _, r := range selector.Requirements() {
		operator := metav1.FieldSelectorOpIn
		if r.Operator == selection.NotEquals {
			operator = metav1.FieldSelectorOpNotIn
		}
		terms = append(terms, metav1.FieldSelectorRequirement{Key: r.Field, Operator: operator, Values: []string{r.Value}})
	}
	return terms
}

// labelTerms is [fieldTerms] for labels. Comparisons of numbers, which a review cannot express, are left out.
func labelTerms(text string) (terms []metav1.LabelSelectorRequirement) {
	selector, err := api.ParseLabelSelector(text)
	if err != nil {
		return nil
	}
	operators := map[selection.Operator]metav1.LabelSelectorOperator{
		selection.Equals: metav1.LabelSelectorOpIn, selection.DoubleEquals: metav1.LabelSelectorOpIn, selection.In: metav1.LabelSelectorOpIn,
		selection.NotEquals: metav1.LabelSelectorOpNotIn, selection.NotIn: metav1.LabelSelectorOpNotIn,
		selection.Exists: metav1.LabelSelectorOpExists, selection.DoesNotExist: metav1.LabelSelectorOpDoesNotExist,
	}
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		if operator, ok := operators[r.Operator()]; ok {
			terms = append(terms, metav1.LabelSelectorRequirement{Key: r.Key(), Operator: operator, Values: r.ValuesUnsorted()})
		}
	}
	return terms
}
