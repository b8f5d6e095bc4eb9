package podsecurity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Bounds of the check of the pods that exist when a namespace begins to enforce more; they are kube-apiserver's.
const (
	maxPods     = 3000
	maxPodsTime = time.Second
)

// maxRead bounds from how many pods those that are checked are chosen. kube-apiserver chooses from all, which it has in memory as structs.
const maxRead = 10000

// namespace refuses labels that cannot be read, and warns of pods that exist and would be refused from now on.
func (p *Plugin) namespace(ctx context.Context, a *admission.Attributes, ns *corev1.Namespace) error {
	levels, faults := psapi.PolicyToEvaluate(ns.Labels, p.config.Defaults)
	var old psapi.Policy
	var oldFaults field.ErrorList
	if before, ok := a.OldObject.(*corev1.Namespace); ok && a.Operation == admission.Update {
		old, oldFaults = psapi.PolicyToEvaluate(before.Labels, p.config.Defaults)
	}
	if len(faults) > 0 && (a.Operation == admission.Create || !sameFaults(faults, oldFaults)) {
		return api.ToError(apierrors.NewInvalid(a.Kind.GroupKind(), a.Name, faults))
	}
	stricter := a.Operation == admission.Update && levels.Enforce != old.Enforce && levels.Enforce.Level != psapi.LevelPrivileged &&
		(levels.Enforce.Version != old.Enforce.Version || psapi.CompareLevels(levels.Enforce.Level, old.Enforce.Level) > 0)
	switch exempt := slices.Contains(p.config.Namespaces, ns.Name); {
	case exempt && (stricter || a.Operation == admission.Create):
		if w := p.exemptWarning(ns, levels); w != "" {
			a.Warnings.Add(w)
		}
	case stricter && !exempt:
		for _, w := range p.checkPods(ctx, ns.Name, levels.Enforce) {
			a.Warnings.Add(w)
		}
	}
	return nil
}

func sameFaults(a, b field.ErrorList) bool {
	return slices.EqualFunc(a, b, func(x, y *field.Error) bool { return x.Error() == y.Error() })
}

// exemptWarning says which labels of an exempt namespace are without effect; empty if none is.
func (p *Plugin) exemptWarning(ns *corev1.Namespace, levels psapi.Policy) string {
	if levels.FullyPrivileged() || levels.Equivalent(&p.config.Defaults) {
		return ""
	}
	var set []string
	for _, mode := range []struct {
		name    string
		level   psapi.LevelVersion
		of, ver string
	}{
		{"enforce", levels.Enforce, psapi.EnforceLevelLabel, psapi.EnforceVersionLabel},
		{"audit", levels.Audit, psapi.AuditLevelLabel, psapi.AuditVersionLabel},
		{"warn", levels.Warn, psapi.WarnLevelLabel, psapi.WarnVersionLabel},
	} {
		_, hasLevel := ns.Labels[mode.of]
		_, hasVersion := ns.Labels[mode.ver]
		if mode.level.Level != psapi.LevelPrivileged && (hasLevel || hasVersion) {
			set = append(set, mode.name+"="+mode.level.String())
		}
	}
	return fmt.Sprintf("namespace %q is exempt from Pod Security, and the policy (%s) will be ignored", ns.Name, strings.Join(set, ", "))
}

// breaking are the pods that break a level in one way.
type breaking struct {
	first string // by name
	pods  int
}

// checkPods returns warnings of the pods of the namespace that break the level: the first of each controller is looked at before its others,
// because they are mostly alike.
func (p *Plugin) checkPods(ctx context.Context, namespace string, level psapi.LevelVersion) []string {
	limit := maxPodsTime
	begin := p.now()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, deadline.Sub(begin)/2) // the rest of the request needs time too
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pods, total, err := p.pods.Pods(ctx, namespace, maxRead)
	if err != nil {
		return []string{"failed to list pods while checking new PodSecurity enforce level"}
	}
	read := len(pods)
	pods = p.onePerController(pods)
	total -= read - len(pods) // exempt ones do not count
	found := map[string]*breaking{}
	checked := 0
	for _, pod := range pods[:min(len(pods), maxPods)] {
		checked++
		if result := policy.AggregateCheckResults(p.evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
			b := found[result.ForbiddenReason()]
			if b == nil {
				b = &breaking{first: pod.Name}
				found[result.ForbiddenReason()] = b
			}
			b.first, b.pods = min(b.first, pod.Name), b.pods+1
		}
		if p.now().Sub(begin) > limit || ctx.Err() != nil {
			break
		}
	}
	var warnings, each []string
	if checked < total {
		warnings = append(warnings, fmt.Sprintf("new PodSecurity enforce level only checked against the first %d of %d existing pods", checked, total))
	}
	if len(found) > 0 {
		warnings = append(warnings, fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", namespace, level.String()))
	}
	for reason, b := range found {
		each = append(each, b.String()+": "+reason)
	}
	slices.Sort(each)
	return append(warnings, each...)
}

// String names the first pod and counts the others.
func (b *breaking) String() string {
	switch b.pods {
	case 1:
		return b.first
	case 2:
		return b.first + " (and 1 other pod)"
	}
	return fmt.Sprintf("%s (and %d other pods)", b.first, b.pods-1)
}

// onePerController puts the first pod of each controller and those without one before the others, and leaves out exempt ones.
func (p *Plugin) onePerController(pods []*corev1.Pod) []*corev1.Pod {
	first, others := make([]*corev1.Pod, 0, len(pods)), []*corev1.Pod(nil)
	seen := map[types.UID]bool{}
	for _, pod := range pods {
		if class := pod.Spec.RuntimeClassName; class != nil && *class != "" && slices.Contains(p.config.RuntimeClasses, *class) {
			continue
		}
		owner := metav1.GetControllerOfNoCopy(pod)
		if owner != nil && seen[owner.UID] {
			others = append(others, pod)
			continue
		}
		if owner != nil {
			seen[owner.UID] = true
		}
		first = append(first, pod)
	}
	return append(first, others...)
}
