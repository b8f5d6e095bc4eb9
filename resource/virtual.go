package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// createVirtual answers creates that store no object of their own: reviews, token requests and bindings.
func (s *Service) createVirtual(ctx context.Context, p authz.Permit, t *Type, body Body, w Write) (Result, error) {
	want := t.GVK()
	if sub, ok := t.Subresource(p.Info().Subresource); ok {
		want = sub.Kind
	}
	var o runtime.Object
	var answer func() (runtime.Object, error)
	switch want.Kind {
	case "SelfSubjectReview":
		v := &authenticationv1.SelfSubjectReview{}
		o, answer = v, func() (runtime.Object, error) { return s.selfSubject(p, v) }
	case "TokenReview":
		v := &authenticationv1.TokenReview{}
		o, answer = v, func() (runtime.Object, error) { return s.reviewToken(ctx, v) }
	case "SubjectAccessReview":
		v := &authorizationv1.SubjectAccessReview{}
		o, answer = v, func() (runtime.Object, error) { return v, s.reviewAccess(ctx, want, v.Spec, &v.Status) }
	case "LocalSubjectAccessReview":
		v := &authorizationv1.LocalSubjectAccessReview{}
		o, answer = v, func() (runtime.Object, error) { return s.reviewLocal(ctx, p, want, v) }
	case "SelfSubjectAccessReview":
		v := &authorizationv1.SelfSubjectAccessReview{}
		o, answer = v, func() (runtime.Object, error) { return s.reviewSelf(ctx, p, want, v) }
	case "SelfSubjectRulesReview":
		v := &authorizationv1.SelfSubjectRulesReview{}
		o, answer = v, func() (runtime.Object, error) { return s.reviewRules(p, v) }
	case "TokenRequest":
		v := &authenticationv1.TokenRequest{}
		o, answer = v, func() (runtime.Object, error) { return s.requestToken(ctx, p, t, v, w) }
	case "Binding":
		v := &corev1.Binding{}
		o, answer = v, func() (runtime.Object, error) { return s.bind(ctx, p, v, w) }
	default:
		return Result{}, api.PathNotFound()
	}
	if err := decodeInto(o, want, body, w.Options.Validation, w.Warnings); err != nil {
		return Result{}, err
	}
	out, err := answer()
	if err != nil {
		return Result{}, err
	}
	if out == o {
		out.GetObjectKind().SetGroupVersionKind(want)
	}
	return Result{Object: out, Code: http.StatusCreated}, nil
}

func (s *Service) selfSubject(p authz.Permit, v *authenticationv1.SelfSubjectReview) (runtime.Object, error) {
	v.ObjectMeta = metav1.ObjectMeta{CreationTimestamp: s.now()}
	v.Status.UserInfo = userInfo(p.User())
	return v, nil
}

func userInfo(u api.User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	if len(u.Extra) > 0 {
		info.Extra = make(map[string]authenticationv1.ExtraValue, len(u.Extra))
		for key, values := range u.Extra {
			info.Extra[key] = values
		}
	}
	return info
}

func (s *Service) reviewToken(ctx context.Context, v *authenticationv1.TokenReview) (runtime.Object, error) {
	if s.Reviewer == nil {
		return nil, api.PathNotFound()
	}
	if v.Spec.Token == "" {
		return nil, api.BadRequest("token is required for TokenReview in authentication")
	}
	user, audiences, ok, reason := s.Reviewer.ReviewToken(ctx, v.Spec.Token, v.Spec.Audiences)
	v.Status = authenticationv1.TokenReviewStatus{Authenticated: ok, Error: reason}
	if ok {
		v.Status.User, v.Status.Audiences = userInfo(user), audiences
	}
	// The token is not sent back, so that it ends up in no log of an answer.
	v.Spec.Token = ""
	return v, nil
}

// reviewAccess answers an access review from its spec. The subject is taken as given: groups are not completed.
func (s *Service) reviewAccess(ctx context.Context, kind schema.GroupVersionKind, spec authorizationv1.SubjectAccessReviewSpec, status *authorizationv1.SubjectAccessReviewStatus) error {
	errs := checkAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	if len(errs) > 0 {
		return api.Invalid(kind.GroupKind(), "", errs)
	}
	user := api.User{Name: spec.User, UID: spec.UID, Groups: spec.Groups, Extra: make(map[string][]string, len(spec.Extra))}
	for key, values := range spec.Extra {
		user.Extra[key] = values
	}
	s.decide(ctx, user, spec.ResourceAttributes, spec.NonResourceAttributes, status)
	return nil
}

func (s *Service) decide(ctx context.Context, user api.User, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes, status *authorizationv1.SubjectAccessReviewStatus) {
	decision, reason, err := s.Authorizer.Authorize(ctx, user, attributesInfo(r, n))
	*status = authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authz.Allow && err == nil, Denied: decision == authz.Deny, Reason: reason,
	}
	if err != nil {
		status.EvaluationError = "the request could not be evaluated"
	}
}

func checkAttributes(r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) (errs field.ErrorList) {
	spec := field.NewPath("spec")
	switch {
	case r != nil && n != nil:
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), n, "cannot be specified in combination with resourceAttributes"))
	case r == nil && n == nil:
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), nil, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	return errs
}

func attributesInfo(r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) api.RequestInfo {
	if n != nil {
		return api.RequestInfo{Path: n.Path, Verb: n.Verb}
	}
	return api.RequestInfo{
		IsResource: true, Verb: r.Verb, Group: r.Group, Version: r.Version, Namespace: r.Namespace,
		Resource: r.Resource, Subresource: r.Subresource, Name: r.Name,
	}
}

func (s *Service) reviewLocal(ctx context.Context, p authz.Permit, kind schema.GroupVersionKind, v *authorizationv1.LocalSubjectAccessReview) (runtime.Object, error) {
	namespace := p.Info().Namespace
	path := field.NewPath("spec", "resourceAttributes", "namespace")
	switch r := v.Spec.ResourceAttributes; {
	case r == nil:
		return nil, api.Invalid(kind.GroupKind(), "", field.ErrorList{field.Required(field.NewPath("spec", "resourceAttributes"), "a local review is about resources")})
	case r.Namespace != namespace:
		return nil, api.Invalid(kind.GroupKind(), "", field.ErrorList{field.Invalid(path, r.Namespace, fmt.Sprintf("must be the namespace of the request, %q", namespace))})
	}
	v.Namespace = namespace
	return v, s.reviewAccess(ctx, kind, v.Spec, &v.Status)
}

func (s *Service) reviewSelf(ctx context.Context, p authz.Permit, kind schema.GroupVersionKind, v *authorizationv1.SelfSubjectAccessReview) (runtime.Object, error) {
	if errs := checkAttributes(v.Spec.ResourceAttributes, v.Spec.NonResourceAttributes); len(errs) > 0 {
		return nil, api.Invalid(kind.GroupKind(), "", errs)
	}
	s.decide(ctx, p.User(), v.Spec.ResourceAttributes, v.Spec.NonResourceAttributes, &v.Status)
	return v, nil
}

func (s *Service) reviewRules(p authz.Permit, v *authorizationv1.SelfSubjectRulesReview) (runtime.Object, error) {
	if s.Rules == nil {
		return nil, api.PathNotFound()
	}
	if v.Spec.Namespace == "" {
		return nil, api.BadRequest("no namespace on request")
	}
	rules, err := s.Rules.RulesFor(p.User(), v.Spec.Namespace)
	v.Status = rulesStatus(rules, p.User().InGroup(api.GroupMasters))
	if err != nil {
		v.Status.Incomplete, v.Status.EvaluationError = true, "some rules could not be resolved"
	}
	return v, nil
}

func rulesStatus(rules []rbacv1.PolicyRule, masters bool) authorizationv1.SubjectRulesReviewStatus {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	if masters {
		all := []string{"*"}
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{Verbs: all, APIGroups: all, Resources: all})
		status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: all, NonResourceURLs: all})
	}
	for _, r := range rules {
		if len(r.Resources) > 0 {
			status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return status
}

func (s *Service) requestToken(ctx context.Context, p authz.Permit, t *Type, v *authenticationv1.TokenRequest, w Write) (runtime.Object, error) {
	if s.Issuer == nil {
		return nil, api.PathNotFound()
	}
	info := p.Info()
	item, err := s.current(ctx, t, s.key(t, info.Namespace, info.Name), info.Name, false)
	if err != nil {
		return nil, err
	}
	o, err := s.object(t, item)
	if err != nil {
		return nil, err
	}
	a := s.attributes(p, t, admission.Create, nil, nil, w)
	a.Object, a.Name = v, info.Name
	if err := errors.Join(s.Admission.Mutate(ctx, a), s.Admission.Validate(ctx, a)); err != nil {
		return nil, api.ToError(err)
	}
	issued, credentialID, warnings, err := s.Issuer.IssueToken(ctx, o.(*corev1.ServiceAccount), v)
	if err != nil {
		return nil, err
	}
	if w.Annotate != nil && credentialID != "" {
		w.Annotate(annotationIssued, credentialID)
	}
	for _, text := range warnings {
		w.Warnings.Add(text)
	}
	issued.GetObjectKind().SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"))
	return issued, nil
}

// annotationIssued holds, in the audit record of a token request, the id of the token that was issued.
const annotationIssued = "authentication.kubernetes.io/issued-credential-id"

// bind assigns a pod to a node, once.
func (s *Service) bind(ctx context.Context, p authz.Permit, b *corev1.Binding, w Write) (runtime.Object, error) {
	pods, _ := s.Table.Lookup("", "v1", "pods")
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		return nil, api.Invalid(schema.GroupKind{Kind: "Binding"}, b.Name, field.ErrorList{field.NotSupported(field.NewPath("target", "kind"), b.Target.Kind, []string{"Node", "<empty>"})})
	}
	if b.Target.Name == "" {
		return nil, api.Invalid(schema.GroupKind{Kind: "Binding"}, b.Name, field.ErrorList{field.Required(field.NewPath("target", "name"), "")})
	}
	if p.Info().Subresource == "" {
		return nil, api.PathNotFound()
	}
	_, err := s.update(ctx, p, pods, wholeObject, w, func(current Object) (Object, error) {
		pod := current.(*corev1.Pod)
		gr := schema.GroupResource{Resource: "pods/binding"}
		switch {
		case pod.DeletionTimestamp != nil:
			return nil, api.Conflict(gr, pod.Name, fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
		case pod.Spec.NodeName != "":
			return nil, api.Conflict(gr, pod.Name, fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName))
		case b.UID != "" && b.UID != pod.UID:
			return nil, checkExpected(pods, pod, b.UID, "")
		}
		pod.Spec.NodeName = b.Target.Name
		for key, value := range b.Annotations {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, value)
		}
		return pod, nil
	})
	if err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated}, nil
}
