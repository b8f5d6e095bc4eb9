package resource

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// Eviction deletes a pod unless a disruption budget stands against that. The budget is charged before the pod is touched, by a
// compare-and-swap, so that several evictions at once, on several servers, cannot spend the same allowance. Where the deletion fails
// after that, the allowance is lost until the disruption controller counts again; the other order could disrupt more than is allowed.

// maxDisrupted bounds the pods that a budget remembers as evicted and not yet gone.
const maxDisrupted = 2000

// eviction is one request to evict a pod.
type eviction struct {
	s       *Service
	pods    *Type
	options metav1.DeleteOptions
	w       Write
	charged bool // a budget has been charged, which is done once whatever happens to the pod meanwhile
}

func (s *Service) evict(ctx context.Context, p authz.Permit, t *Type, v *policyv1.Eviction, w Write) (runtime.Object, error) {
	options, err := checkEviction(p.Info(), v, &w)
	if err != nil {
		return nil, err
	}
	v.Namespace = p.Info().Namespace
	a := s.attributes(p, t, admission.Create, nil, nil, w)
	a.Object, a.Kind = v, policyv1.SchemeGroupVersion.WithKind("Eviction")
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return nil, err
	}
	if err := s.Admission.Validate(ctx, a); err != nil {
		return nil, err
	}
	e := &eviction{s: s, pods: t, options: options, w: w}
	// The pod is the one that the client is authorized for, whatever admission has made of the names in the object.
	for _, attempt := range []attempt{e.announce(ctx), e.remove(ctx)} {
		if _, err := s.optimistic(ctx, t, p.Info().Namespace, p.Info().Name, true, attempt); err != nil {
			return nil, err
		}
		if w.Options.DryRun {
			break
		}
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated}, nil
}

// checkEviction refuses an eviction that contradicts its request, and returns how the pod is to be deleted. A dry run asked
// for in the body is one.
func checkEviction(info api.RequestInfo, v *policyv1.Eviction, w *Write) (metav1.DeleteOptions, error) {
	if v.Namespace != "" && v.Namespace != info.Namespace {
		return metav1.DeleteOptions{}, api.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if v.Name != info.Name {
		return metav1.DeleteOptions{}, api.BadRequest("name in URL does not match name in Eviction object")
	}
	var options metav1.DeleteOptions
	if v.DeleteOptions != nil {
		options = *v.DeleteOptions
	}
	if ignore := options.IgnoreStoreReadErrorWithClusterBreakingPotential; ignore != nil && *ignore {
		return options, api.Invalid(policyv1.SchemeGroupVersion.WithKind("Eviction").GroupKind(), v.Name, field.ErrorList{
			field.Invalid(field.NewPath("deleteOptions", "ignoreStoreReadErrorWithClusterBreakingPotential"), true,
				"can not be set for pod eviction, try after removing the option"),
		})
	}
	asked := []string{metav1.DryRunAll}
	if w.Options.DryRun && len(options.DryRun) > 0 && !slices.Equal(options.DryRun, asked) {
		return options, refusal(fmt.Sprintf("Non-matching dry-run options in request and content: %v and %v", asked, options.DryRun))
	}
	w.Options.DryRun = w.Options.DryRun || len(options.DryRun) > 0
	return options, nil
}

// refusal is a 500 without a reason, as the reference has it in two places where the client is to be told why.
func refusal(message string) error {
	return &api.Error{Status: metav1.Status{Status: metav1.StatusFailure, Message: message, Code: http.StatusInternalServerError}}
}

// announce decides whether the pod may be evicted, and notes on it that it is about to be.
func (e *eviction) announce(ctx context.Context) attempt {
	return func(now state) (*store.Item, Result, error) {
		o, err := e.expected(now)
		if err != nil {
			return nil, Result{}, err
		}
		if err := e.allow(ctx, o); err != nil || e.w.Options.DryRun {
			return nil, Result{}, err
		}
		pod := o.DeepCopy()
		setDisrupted(pod, e.s.now())
		next, r, err := e.s.commitUpdate(ctx, e.pods, pod, now, false)
		if next == nil && err == nil && e.options.Preconditions != nil && e.options.Preconditions.ResourceVersion != nil {
			// The revision that the client knew was there until a moment ago; the one of this server's own change is expected now.
			revision := fmt.Sprint(r.Item.Revision)
			e.options.Preconditions = &metav1.Preconditions{UID: e.options.Preconditions.UID, ResourceVersion: &revision}
		}
		return next, r, err
	}
}

func (e *eviction) remove(ctx context.Context) attempt {
	return func(now state) (*store.Item, Result, error) {
		pod, err := e.expected(now)
		if err == nil {
			// The pod may have become one that a budget protects since it was decided about; what has been charged is not charged twice.
			err = e.allow(ctx, pod)
		}
		if err != nil {
			return nil, Result{}, err
		}
		return e.s.tryMark(ctx, e.pods, pod, now, e.options, e.w)
	}
}

// expected returns the pod if it is the one that the client means.
func (e *eviction) expected(now state) (*corev1.Pod, error) {
	o, err := e.s.object(e.pods, now.Item)
	if err != nil {
		return nil, err
	}
	return o.(*corev1.Pod), checkPreconditions(schema.GroupResource{Resource: "Pod"}, o, e.options.Preconditions)
}

// setDisrupted adds the condition by which those who made the pod learn that it did not fail by itself.
func setDisrupted(pod *corev1.Pod, now metav1.Time) {
	condition := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
		Message: "Eviction API: evicting", LastTransitionTime: now,
	}
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget })
	switch {
	case i < 0:
		pod.Status.Conditions = append(pod.Status.Conditions, condition)
	default:
		if had := pod.Status.Conditions[i]; had.Status == condition.Status {
			condition.LastTransitionTime = had.LastTransitionTime
		}
		pod.Status.Conditions[i] = condition
	}
}

// allow returns why the pod may not be evicted now. A pod that does not count for its budget, and one whose budget is met without
// it, costs nothing.
func (e *eviction) allow(ctx context.Context, pod *corev1.Pod) error {
	switch {
	case e.charged, pod.DeletionTimestamp != nil:
		return nil
	case pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed, pod.Status.Phase == corev1.PodPending:
		return nil
	}
	budgets, err := e.budgets(ctx, pod)
	switch {
	case err != nil:
		return err
	case len(budgets) == 0:
		return nil
	case len(budgets) > 1:
		return refusal("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
	}
	budget := budgets[0]
	if !isReady(pod) {
		policy := budget.Spec.UnhealthyPodEvictionPolicy
		enough := budget.Status.CurrentHealthy >= budget.Status.DesiredHealthy && budget.Status.DesiredHealthy > 0
		if enough || policy != nil && *policy == policyv1.AlwaysAllow {
			return nil
		}
	}
	return e.charge(ctx, budget, pod.Name)
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// budgets are those of the pod's namespace that select it. One with a selector that cannot be read selects nothing.
func (e *eviction) budgets(ctx context.Context, pod *corev1.Pod) (found []*policyv1.PodDisruptionBudget, err error) {
	t, _ := e.s.Table.Lookup("policy", "v1", "poddisruptionbudgets")
	if err := e.s.reach(ctx, ""); err != nil {
		return nil, err
	}
	var failed error
	e.s.caches[t.Prefix].Snapshot().Ascend(e.s.key(t, pod.Namespace, ""), "", func(item *store.Item) bool {
		o, err := e.s.object(t, item)
		if err != nil {
			failed = err // What cannot be read might protect the pod.
			return false
		}
		budget := o.(*policyv1.PodDisruptionBudget)
		if selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector); err == nil && selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, budget)
		}
		return true
	})
	return found, failed
}

// chargedBy owns what an eviction changes of a budget, under the name that the reference's own client has.
const chargedBy = "kube-apiserver"

// charge takes one disruption from a budget, or in a dry run finds out whether there is one.
func (e *eviction) charge(ctx context.Context, budget *policyv1.PodDisruptionBudget, pod string) error {
	t, _ := e.s.Table.Lookup("policy", "v1", "poddisruptionbudgets")
	_, err := e.s.optimistic(ctx, t, budget.Namespace, budget.Name, true, func(now state) (*store.Item, Result, error) {
		o, err := e.s.object(t, now.Item)
		if err != nil {
			return nil, Result{}, err
		}
		b := o.DeepCopyObject().(*policyv1.PodDisruptionBudget)
		if err := exhausted(b); err != nil || e.w.Options.DryRun {
			return nil, Result{}, err
		}
		b.Status.DisruptionsAllowed--
		if b.Status.DisruptionsAllowed == 0 {
			apimeta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
				Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
				ObservedGeneration: b.Status.ObservedGeneration, LastTransitionTime: e.s.now(),
			})
		}
		if b.Status.DisruptedPods == nil {
			b.Status.DisruptedPods = map[string]metav1.Time{}
		}
		b.Status.DisruptedPods[pod] = e.s.now()
		e.s.own(t, "status", o, b, Write{Options: WriteOptions{FieldManager: chargedBy}})
		return e.s.commitUpdate(ctx, t, b, now, false)
	})
	e.charged = err == nil
	return err
}

// statusBehind is how long clients are asked to wait, in seconds, for the disruption controller to look at a budget.
const statusBehind = 10

// exhausted returns why a budget allows no disruption now.
func exhausted(b *policyv1.PodDisruptionBudget) error {
	r := schema.GroupResource{Group: "policy", Resource: "poddisruptionbudget"}
	switch s := &b.Status; {
	case s.ObservedGeneration < b.Generation:
		return protected(statusBehind, fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name))
	case s.DisruptionsAllowed < 0:
		return api.Forbidden(r, b.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(s.DisruptedPods) > maxDisrupted:
		return api.Forbidden(r, b.Name, fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case s.DisruptionsAllowed > 0:
		return nil
	}
	c := apimeta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	explained := c != nil && c.Status == metav1.ConditionFalse && c.Message != ""
	switch {
	case explained && c.Reason == policyv1.SyncFailedReason:
		return protected(0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %s", b.Name, c.Message))
	case b.Status.CurrentHealthy <= b.Status.DesiredHealthy:
		return protected(0, fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently",
			b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy))
	case explained:
		return protected(0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently (%s): %s", b.Name, c.Reason, c.Message))
	}
	return protected(0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name))
}

// protected is the 429 that drains wait on. Without a time to wait none is sent.
func protected(retryAfter int32, why string) error {
	e := api.TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", int(retryAfter))
	e.Status.Details.RetryAfterSeconds = retryAfter
	e.Status.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: why}}
	return e
}
