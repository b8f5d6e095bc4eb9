// Package podsecurity is the admission plugin PodSecurity: it holds pods to the Pod Security Standards that the labels of their namespace ask for.
//
// The standards themselves are k8s.io/pod-security-admission/policy. This package decides when they are asked, in the order and with
// the words of kube-apiserver's plugin.
package podsecurity

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Pods lists pods for the check of a namespace whose labels change.
type Pods interface {
	// Pods returns pods that are stored in the namespace, ordered by name, and how many there are: it reads no more than the limit, and none after the
	// context has ended. The caller does not change them.
	Pods(ctx context.Context, namespace string, limit int) (pods []*corev1.Pod, total int, err error)
}

// Plugin refuses pods that break what their namespace enforces, and warns of and records what breaks its other two levels. It is safe for
// concurrent use. Make one with [New].
type Plugin struct {
	config     Config
	namespaces admission.Namespaces
	pods       Pods
	evaluator  policy.Evaluator
	now        func() time.Time
}

// New returns the plugin. The clock bounds the check of existing pods.
func New(config Config, namespaces admission.Namespaces, pods Pods, now func() time.Time) (*Plugin, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("pod security: %w", err)
	}
	return &Plugin{config: config, namespaces: namespaces, pods: pods, evaluator: evaluator, now: now}, nil
}

// Validate implements [admission.Validator].
func (p *Plugin) Validate(ctx context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	switch a.Resource.GroupResource() {
	case corev1.Resource("namespaces"):
		if a.Subresource != "" {
			return nil
		}
		if ns, ok := a.Object.(*corev1.Namespace); ok {
			return p.namespace(ctx, a, ns)
		}
		return a.Undecoded()
	case corev1.Resource("pods"):
		if harmless(a.Subresource) {
			return nil
		}
		if pod, ok := a.Object.(*corev1.Pod); ok {
			return p.pod(ctx, a, pod)
		}
		return a.Undecoded()
	}
	if meta, spec := template(a.Object); spec != nil && a.Subresource == "" {
		p.workload(ctx, a, meta, spec)
	}
	return nil
}

// harmless reports whether a subresource of pods changes nothing that the standards are about. One that nobody here knows is not.
func harmless(subresource string) bool {
	return slices.Contains([]string{"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"}, subresource)
}

// pod refuses what breaks the level that is enforced. What cannot be decided is refused.
func (p *Plugin) pod(ctx context.Context, a *admission.Attributes, pod *corev1.Pod) error {
	if p.exempt(a) {
		return nil
	}
	levels, faults, err := p.levels(ctx, a)
	if err != nil {
		annotate(a, "error", err.Error())
		return api.Internal(err)
	}
	if faults == nil && levels.FullyPrivileged() {
		annotate(a, psapi.EnforcedPolicyAnnotationKey, psapi.LevelVersion{Level: psapi.LevelPrivileged, Version: psapi.LatestVersion()}.String())
		return nil
	}
	if old, ok := a.OldObject.(*corev1.Pod); a.Operation == admission.Update && ok && !significant(pod, old) {
		return nil
	}
	return p.evaluate(a, levels, faults, &pod.ObjectMeta, &pod.Spec, true)
}

// workload warns of pods that the template will not be able to make. It refuses nothing: the pods are what is enforced.
func (p *Plugin) workload(ctx context.Context, a *admission.Attributes, meta *metav1.ObjectMeta, spec *corev1.PodSpec) {
	if p.exempt(a) {
		return
	}
	levels, faults, err := p.levels(ctx, a)
	if err != nil {
		annotate(a, "error", err.Error())
		return
	}
	if faults == nil && levels.Warn.Level == psapi.LevelPrivileged && levels.Audit.Level == psapi.LevelPrivileged {
		return
	}
	_ = p.evaluate(a, levels, faults, meta, spec, false) // nothing is enforced, so nothing is refused
}

// exempt reports whether namespace or user are beyond the standards.
func (p *Plugin) exempt(a *admission.Attributes) bool {
	switch {
	case a.Namespace != "" && slices.Contains(p.config.Namespaces, a.Namespace):
		annotate(a, psapi.ExemptionReasonAnnotationKey, "namespace")
	case slices.Contains(p.config.Usernames, a.Permit.User().Name):
		annotate(a, psapi.ExemptionReasonAnnotationKey, "user")
	default:
		return false
	}
	return true
}

// levels are those of the object's namespace. faults are labels that cannot be read, for which the strictest reading counts.
func (p *Plugin) levels(ctx context.Context, a *admission.Attributes) (levels psapi.Policy, faults, err error) {
	ns, found, err := a.NamespaceOf(ctx, p.namespaces)
	if err == nil && !found {
		err = fmt.Errorf("namespace %q not found", a.Namespace)
	}
	if err != nil {
		return levels, nil, fmt.Errorf("failed to lookup namespace %q: %w", a.Namespace, err)
	}
	levels, list := psapi.PolicyToEvaluate(ns.Labels, p.config.Defaults)
	if len(list) > 0 {
		faults = list.ToAggregate()
	}
	return levels, faults, nil
}

// evaluate asks for each of the three levels once, and equal ones together.
func (p *Plugin) evaluate(a *admission.Attributes, levels psapi.Policy, faults error, meta *metav1.ObjectMeta, spec *corev1.PodSpec, enforce bool) error {
	if class := spec.RuntimeClassName; class != nil && *class != "" && slices.Contains(p.config.RuntimeClasses, *class) {
		annotate(a, psapi.ExemptionReasonAnnotationKey, "runtimeClass")
		return nil
	}
	if faults != nil {
		annotate(a, "error", fmt.Sprintf("Failed to parse policy: %v", faults))
	}
	known := make(map[psapi.LevelVersion]policy.AggregateCheckResult, 3)
	ask := func(level psapi.LevelVersion) policy.AggregateCheckResult {
		result, ok := known[level]
		if !ok {
			result = policy.AggregateCheckResults(p.evaluator.EvaluatePod(level, meta, spec))
			known[level] = result
		}
		return result
	}
	var refused error
	if enforce {
		annotate(a, psapi.EnforcedPolicyAnnotationKey, levels.Enforce.String())
		if result := ask(levels.Enforce); !result.Allowed {
			refused = a.Forbidden(fmt.Errorf("violates PodSecurity %q: %s", levels.Enforce.String(), result.ForbiddenDetail()))
		}
	}
	if result := ask(levels.Audit); !result.Allowed {
		annotate(a, psapi.AuditViolationsAnnotationKey, fmt.Sprintf("would violate PodSecurity %q: %s", levels.Audit.String(), result.ForbiddenDetail()))
	}
	if refused != nil {
		return refused
	}
	if result := ask(levels.Warn); !result.Allowed {
		a.Warnings.Add(fmt.Sprintf("would violate PodSecurity %q: %s", levels.Warn.String(), result.ForbiddenDetail()))
	}
	return nil
}

func annotate(a *admission.Attributes, key, value string) {
	if a.Annotate != nil {
		a.Annotate(psapi.AuditAnnotationPrefix+key, value)
	}
}
