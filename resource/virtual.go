package resource

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/fieldmanager"
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
		o, answer = v, func() (runtime.Object, error) { return s.reviewOther(ctx, v) }
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
	case "Eviction":
		v := &policyv1.Eviction{}
		o, answer = v, func() (runtime.Object, error) { return s.evict(ctx, p, t, v, w) }
	default:
		return Result{}, api.PathNotFound()
	}
	if err := s.decodeVirtual(ctx, o, want, body, w); err != nil {
		return Result{}, err
	}
	if m, ok := o.(metav1.Object); ok && p.Info().Subresource == "" {
		if err := matchRequest(t, m, m.GetName(), p.Info().Namespace); err != nil {
			return Result{}, err
		}
		clearSystemMeta(m)
	}
	if v, ok := o.(fieldmanager.Object); ok && t.recordsOwner() {
		s.own(t, "", nil, v, w)
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

// decodeVirtual reads the body of a virtual create. Evictions are read under their older version too, in which some clients still send them.
func (s *Service) decodeVirtual(ctx context.Context, o runtime.Object, want schema.GroupVersionKind, body Body, w Write) error {
	err := s.decode(ctx, o, want, nil, body, w)
	if err != nil && want.Kind == "Eviction" {
		if older := want.GroupKind().WithVersion("v1beta1"); s.decode(ctx, o, older, nil, body, w) == nil {
			return nil
		}
	}
	return err
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

func (s *Service) reviewRules(p authz.Permit, v *authorizationv1.SelfSubjectRulesReview) (runtime.Object, error) {
	if s.Rules == nil {
		return nil, api.PathNotFound()
	}
	if v.Spec.Namespace == "" {
		return nil, api.BadRequest("no namespace on request")
	}
	rules, err := s.Rules.RulesFor(p.User(), v.Spec.Namespace)
	*v = authorizationv1.SelfSubjectRulesReview{TypeMeta: v.TypeMeta, Status: rulesStatus(rules)} // without the question, as the reference answers
	if err != nil {
		v.Status.Incomplete, v.Status.EvaluationError = true, err.Error()
	}
	return v, nil
}

func rulesStatus(rules []rbacv1.PolicyRule) authorizationv1.SubjectRulesReviewStatus {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{},
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

// defaultTokenTime is how long a token is good for whose request does not say.
const defaultTokenTime = time.Hour

func (s *Service) requestToken(ctx context.Context, p authz.Permit, t *Type, v *authenticationv1.TokenRequest, w Write) (runtime.Object, error) {
	if s.Issuer == nil {
		return nil, api.PathNotFound()
	}
	info := p.Info()
	if err := matchRequest(t, v, cmp.Or(v.Name, info.Name), info.Namespace); err != nil {
		return nil, err
	}
	if v.Name != info.Name {
		return nil, api.Invalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), info.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), v.Name, "must match the service account name if specified"),
		})
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
	if v.Spec.ExpirationSeconds == nil {
		seconds := int64(defaultTokenTime / time.Second)
		v.Spec.ExpirationSeconds = &seconds
	}
	s.own(t, "token", &authenticationv1.TokenRequest{}, v, w)
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
	name := p.Info().Name
	if p.Info().Subresource == "" { // the resource bindings, where the body names the pod
		name = b.Name
	}
	named := b.Name
	if err := matchRequest(pods, b, cmp.Or(named, name), p.Info().Namespace); err != nil {
		return nil, err
	}
	switch {
	case name == "":
		return nil, api.BadRequest("Name parameter required.")
	case named != name:
		return nil, api.BadRequest("name in URL does not match name in Binding object")
	}
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		return nil, api.Invalid(schema.GroupKind{Kind: "Binding"}, b.Name, field.ErrorList{field.NotSupported(field.NewPath("target", "kind"), b.Target.Kind, []string{"Node", "<empty>"})})
	}
	if b.Target.Name == "" {
		return nil, api.Invalid(schema.GroupKind{Kind: "Binding"}, b.Name, field.ErrorList{field.Required(field.NewPath("target", "name"), "")})
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
		pod = pod.DeepCopy()
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
