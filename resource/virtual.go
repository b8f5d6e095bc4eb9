package resource

import (
	"context"
	"fmt"
	"net/http"
	"slices"

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
	"github.com/gatehouse/gatehouse/store"
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
		o, answer = v, func() (runtime.Object, error) { return v, s.reviewAccess(ctx, v.Spec, &v.Status) }
	case "LocalSubjectAccessReview":
		v := &authorizationv1.LocalSubjectAccessReview{}
		o, answer = v, func() (runtime.Object, error) { return s.reviewLocal(ctx, v) }
	case "SelfSubjectAccessReview":
		v := &authorizationv1.SelfSubjectAccessReview{}
		o, answer = v, func() (runtime.Object, error) { return s.reviewSelf(ctx, p, v) }
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
	if err := s.decode(ctx, o, want, nil, body, w); err != nil {
		return Result{}, err
	}
	if m, ok := o.(metav1.Object); ok && t.Namespaced && p.Info().Subresource == "" {
		if err := matchRequest(t, m, m.GetName(), p.Info().Namespace); err != nil {
			return Result{}, err
		}
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
func (s *Service) reviewAccess(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec, status *authorizationv1.SubjectAccessReviewStatus) error {
	errs := checkAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	if err := invalidReview(errs); err != nil {
		return err
	}
	user := api.User{Name: spec.User, UID: spec.UID, Groups: spec.Groups, Extra: make(map[string][]string, len(spec.Extra))}
	for key, values := range spec.Extra {
		user.Extra[key] = values
	}
	s.decide(ctx, user, spec.ResourceAttributes, spec.NonResourceAttributes, status)
	return nil
}

func (s *Service) decide(ctx context.Context, user api.User, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes, status *authorizationv1.SubjectAccessReviewStatus) {
	if s.Authorizer == nil {
		*status = authorizationv1.SubjectAccessReviewStatus{EvaluationError: "nothing here decides on requests"}
		return
	}
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
		shown := struct{ Path, Verb string }{n.Path, n.Verb}
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), shown, "cannot be specified in combination with resourceAttributes"))
	case r == nil && n == nil:
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), nil, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	return errs
}

func invalidReview(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return api.Invalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
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

func (s *Service) reviewLocal(ctx context.Context, v *authorizationv1.LocalSubjectAccessReview) (runtime.Object, error) {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if n := v.Spec.NonResourceAttributes; n != nil {
		shown := struct{ Path, Verb string }{n.Path, n.Verb}
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), shown, "disallowed on this kind of request"))
	}
	if r := v.Spec.ResourceAttributes; r != nil && r.Namespace != v.Namespace {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes", "namespace"), r.Namespace, "must match metadata.namespace"))
	}
	if err := invalidReview(errs); err != nil {
		return nil, err
	}
	return v, s.reviewAccess(ctx, v.Spec, &v.Status)
}

func (s *Service) reviewSelf(ctx context.Context, p authz.Permit, v *authorizationv1.SelfSubjectAccessReview) (runtime.Object, error) {
	if err := invalidReview(checkAttributes(v.Spec.ResourceAttributes, v.Spec.NonResourceAttributes)); err != nil {
		return nil, err
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
	v.Spec = authorizationv1.SelfSubjectRulesReviewSpec{} // as the reference answers
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
	if err := matchRequest(t, v, info.Name, info.Namespace); err != nil {
		return nil, err
	}
	// A token outlives the request, so the account must exist now, not only in the cache.
	now, err := s.current(ctx, t, s.key(t, info.Namespace, info.Name), info.Name, true)
	if err != nil {
		return nil, err
	}
	o, err := s.object(t, now.Item)
	if err != nil {
		return nil, err
	}
	a := s.attributes(p, t, admission.Create, nil, nil, w)
	a.Object, a.Kind = v, authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return nil, err
	}
	if err := s.Admission.Validate(ctx, a); err != nil {
		return nil, err
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
	name := p.Info().Name
	if p.Info().Subresource == "" { // the resource bindings, where the body names the pod
		name = b.Name
	}
	if name == "" {
		return nil, api.Invalid(schema.GroupKind{Kind: "Binding"}, "", field.ErrorList{field.Required(field.NewPath("metadata", "name"), "")})
	}
	if err := matchRequest(pods, b, name, p.Info().Namespace); err != nil {
		return nil, err
	}
	assign := func(current Object) (Object, error) {
		pod := current.(*corev1.Pod)
		gr := schema.GroupResource{Resource: "pods/binding"}
		switch {
		case pod.DeletionTimestamp != nil:
			return nil, api.Conflict(gr, pod.Name, fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
		case pod.Spec.NodeName != "":
			return nil, api.Conflict(gr, pod.Name, fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName))
		case b.UID != "" && b.UID != pod.UID:
			return nil, checkExpected(pods.GR(), pod, b.UID, "")
		}
		pod.Spec.NodeName = b.Target.Name
		for key, value := range b.Annotations {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, value)
		}
		for key, value := range b.Labels {
			metav1.SetMetaDataLabel(&pod.ObjectMeta, key, value)
		}
		setScheduled(pod, s.now())
		return pod, nil
	}
	_, err := s.optimistic(ctx, pods, b.Namespace, name, w.Options.DryRun, func(now state) (*store.Item, Result, error) {
		return s.tryUpdate(ctx, p, pods, nodeOnly, w, now, assign)
	})
	if err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated}, nil
}

// setScheduled records that the pod has a node, as the scheduler's binding means.
func setScheduled(pod *corev1.Pod, now metav1.Time) {
	pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now,
	})
}
