package resource

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/rules"
)

// reviewOther answers what another user may do. The subject is taken as given: groups are not completed.
func (s *Service) reviewOther(ctx context.Context, v *authorizationv1.SubjectAccessReview) (runtime.Object, error) {
	errs := append(checkSubject(v.Spec), checkNoMeta(v.ObjectMeta, "must be empty")...)
	if err := invalidReview(errs); err != nil {
		return nil, err
	}
	s.decide(ctx, subject(v.Spec), v.Spec.ResourceAttributes, v.Spec.NonResourceAttributes, &v.Status)
	return v, nil
}

func (s *Service) reviewLocal(ctx context.Context, v *authorizationv1.LocalSubjectAccessReview) (runtime.Object, error) {
	errs := checkSubject(v.Spec)
	bare := v.ObjectMeta
	bare.Namespace = ""
	if len(checkNoMeta(bare, "")) > 0 {
		errs = append(errs, checkNoMeta(v.ObjectMeta, "must be empty except for namespace")...)
	}
	if r := v.Spec.ResourceAttributes; r != nil && r.Namespace != v.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec.resourceAttributes.namespace"), r.Namespace, "must match metadata.namespace"))
	}
	if n := v.Spec.NonResourceAttributes; n != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec.nonResourceAttributes"), rules.Shown(n), "disallowed on this kind of request"))
	}
	if err := invalidReview(errs); err != nil {
		return nil, err
	}
	s.decide(ctx, subject(v.Spec), v.Spec.ResourceAttributes, nil, &v.Status)
	return v, nil
}

func (s *Service) reviewSelf(ctx context.Context, p authz.Permit, v *authorizationv1.SelfSubjectAccessReview) (runtime.Object, error) {
	errs := checkOneOf(v.Spec.ResourceAttributes, v.Spec.NonResourceAttributes)
	errs = append(errs, checkSelectors(v.Spec.ResourceAttributes)...)
	errs = append(errs, checkNoMeta(v.ObjectMeta, "must be empty")...)
	if err := invalidReview(errs); err != nil {
		return nil, err
	}
	s.decide(ctx, p.User(), v.Spec.ResourceAttributes, v.Spec.NonResourceAttributes, &v.Status)
	return v, nil
}

func subject(spec authorizationv1.SubjectAccessReviewSpec) api.User {
	user := api.User{Name: spec.User, UID: spec.UID, Groups: spec.Groups, Extra: make(map[string][]string, len(spec.Extra))}
	for key, values := range spec.Extra {
		user.Extra[key] = values
	}
	return user
}

func checkSubject(spec authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := checkOneOf(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	return append(errs, checkSelectors(spec.ResourceAttributes)...)
}

func checkOneOf(r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) (errs field.ErrorList) {
	spec := field.NewPath("spec")
	switch {
	case r != nil && n != nil:
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), rules.Shown(n), "cannot be specified in combination with resourceAttributes"))
	case r == nil && n == nil:
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), nil, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	return errs
}

func checkNoMeta(m metav1.ObjectMeta, detail string) field.ErrorList {
	given := m
	given.ManagedFields = nil // which the server has set
	if apiequality.Semantic.DeepEqual(given, metav1.ObjectMeta{}) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), m, detail)}
}

// checkSelectors checks the selectors of a review. Operators that are not known here are no error: the client may be newer.
func checkSelectors(r *authorizationv1.ResourceAttributes) (errs field.ErrorList) {
	if r == nil {
		return nil
	}
	check := func(name, raw string, n int, one func(i int, p *field.Path) field.ErrorList) {
		path := field.NewPath("spec.resourceAttributes", name)
		if raw != "" && n > 0 {
			errs = append(errs, field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements"))
		}
		if raw == "" && n == 0 {
			errs = append(errs, field.Required(path.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", path)))
		}
		for i := range n {
			errs = append(errs, one(i, path.Child("requirements").Index(i))...)
		}
	}
	if f := r.FieldSelector; f != nil {
		check("fieldSelector", f.RawSelector, len(f.Requirements), func(i int, p *field.Path) field.ErrorList {
			return metav1validation.ValidateFieldSelectorRequirement(f.Requirements[i],
				metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, p)
		})
	}
	if l := r.LabelSelector; l != nil {
		check("labelSelector", l.RawSelector, len(l.Requirements), func(i int, p *field.Path) field.ErrorList {
			return metav1validation.ValidateLabelSelectorRequirement(l.Requirements[i],
				metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, p)
		})
	}
	return errs
}

func invalidReview(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return api.Invalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
}

func (s *Service) decide(ctx context.Context, user api.User, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes, status *authorizationv1.SubjectAccessReviewStatus) {
	if s.Authorizer == nil {
		*status = authorizationv1.SubjectAccessReviewStatus{EvaluationError: "nothing here decides on requests"}
		return
	}
	info, ignored := attributesInfo(r, n)
	decision, reason, err := s.Authorizer.Authorize(ctx, user, info)
	*status = authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authz.Allow && err == nil, Denied: decision == authz.Deny, Reason: reason,
	}
	if status.Allowed && user.InGroup(api.GroupMasters) {
		status.Reason = "" // The reference gives none for the group that is allowed everything.
	}
	if err != nil {
		ignored = append([]string{"the request could not be evaluated"}, ignored...)
	}
	status.EvaluationError = strings.Join(ignored, "; ")
}

// attributesInfo is the request that a review is about. What of its selectors cannot be read is left out, which makes the request a
// wider one, and is told in the strings returned.
func attributesInfo(r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) (api.RequestInfo, []string) {
	if n != nil {
		return api.RequestInfo{Path: n.Path, Verb: n.Verb}, nil
	}
	info := api.RequestInfo{
		IsResource: true, Verb: r.Verb, Group: r.Group, Version: r.Version, Namespace: r.Namespace,
		Resource: r.Resource, Subresource: r.Subresource, Name: r.Name,
	}
	var ignored []string
	tell := func(name, selector string, err error) {
		switch {
		case err != nil && selector != "":
			ignored = append(ignored, "spec.resourceAttributes."+name+" partially ignored due to parse error")
		case err != nil:
			ignored = append(ignored, "spec.resourceAttributes."+name+" ignored due to parse error")
		}
	}
	if f := r.FieldSelector; f != nil {
		var err error
		info.FieldSelector, err = fieldSelector(f)
		tell("fieldSelector", info.FieldSelector, err)
	}
	if l := r.LabelSelector; l != nil {
		var err error
		info.LabelSelector, err = labelSelector(l)
		tell("labelSelector", info.LabelSelector, err)
	}
	return info, ignored
}

var errNotReadable = errors.New("a requirement of the selector cannot be read")

// fieldSelector writes a selector as it stands in a query: as much of it as can be read, and an error if that is not all.
func fieldSelector(f *authorizationv1.FieldSelectorAttributes) (text string, err error) {
	if len(f.Requirements) == 0 {
		selector, err := api.ParseFieldSelector(f.RawSelector)
		if err != nil {
			return "", err
		}
		return selector.String(), nil
	}
	var terms []fields.Selector
	for _, r := range f.Requirements {
		switch {
		case len(r.Values) == 1 && r.Operator == metav1.FieldSelectorOpIn:
			terms = append(terms, fields.OneTermEqualSelector(r.Key, r.Values[0]))
		case len(r.Values) == 1 && r.Operator == metav1.FieldSelectorOpNotIn:
			terms = append(terms, fields.OneTermNotEqualSelector(r.Key, r.Values[0]))
		default:
			err = errNotReadable
		}
	}
	return fields.AndSelectors(terms...).String(), err
}

// labelSelector is [fieldSelector] for labels.
func labelSelector(l *authorizationv1.LabelSelectorAttributes) (text string, err error) {
	if len(l.Requirements) == 0 {
		selector, err := api.ParseLabelSelector(l.RawSelector)
		if err != nil {
			return "", err
		}
		return selector.String(), nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	selector := labels.NewSelector()
	for _, r := range l.Requirements {
		requirement, e := labels.NewRequirement(r.Key, operators[r.Operator], r.Values)
		if e != nil {
			err = errNotReadable
			continue
		}
		selector = selector.Add(*requirement)
	}
	return selector.String(), err
}
