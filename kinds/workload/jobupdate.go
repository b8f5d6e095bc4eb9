package workload

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const isImmutable = "field is immutable"

// checkCompletions lets an indexed job grow and shrink as long as all its pods may run at once.
func checkCompletions(c *rules.Checker, s, old *batchv1.JobSpec) {
	at := func() *field.Path { return c.At("completions") }
	switch {
	case old == nil:
	case apiequality.Semantic.DeepEqual(s.Completions, old.Completions):
	case !indexed(s):
		c.Add(field.Invalid(at(), s.Completions, isImmutable))
	case s.Completions == nil:
	case s.Parallelism == nil || *s.Completions != *s.Parallelism:
		c.Add(field.Invalid(at(), s.Completions, "can only be modified in tandem with spec.parallelism"))
	}
}

// checkTemplateUpdate keeps the template as it is. While the job is suspended and nothing of it runs, where its pods go and what they
// may use can be changed.
func checkTemplateUpdate(c *rules.Checker, j, old *batchv1.Job) {
	if old == nil {
		return
	}
	allowed := old.Spec.Template.DeepCopy()
	mutable := atRest(old)
	if mutable {
		allowPlacement(allowed, &j.Spec.Template)
	}
	if !mutable || !isTrue(old.Spec.Suspend) {
		if !apiequality.Semantic.DeepEqual(&j.Spec.Template, allowed) {
			c.Add(field.Invalid(c.At("spec", "template"), rules.Shown(j.Spec.Template), isImmutable))
		}
		return
	}
	allowResources(allowed.Spec.Containers, j.Spec.Template.Spec.Containers)
	allowResources(allowed.Spec.InitContainers, j.Spec.Template.Spec.InitContainers)
	if !apiequality.Semantic.DeepEqual(&j.Spec.Template.Spec, &allowed.Spec) {
		c.Add(field.Invalid(c.At("spec", "template.spec"), rules.Shown(j.Spec.Template.Spec), isImmutable))
	}
}

// atRest reports whether a job is suspended and no pod of it runs.
func atRest(j *batchv1.Job) bool {
	return isTrue(j.Spec.Suspend) && j.Status.Active == 0 && (j.Status.StartTime == nil || has(j, batchv1.JobSuspended))
}

// allowPlacement takes from the new template what decides on which nodes pods run.
func allowPlacement(t, now *podTemplate) {
	switch was, is := t.Spec.Affinity, now.Spec.Affinity; {
	case was == nil && is != nil:
		t.Spec.Affinity = &corev1.Affinity{NodeAffinity: is.NodeAffinity}
	case was != nil && is != nil:
		was.NodeAffinity = is.NodeAffinity
	case was != nil:
		if was.NodeAffinity = nil; *was == (corev1.Affinity{}) {
			t.Spec.Affinity = nil
		}
	}
	t.Labels, t.Annotations = now.Labels, now.Annotations
	t.Spec.NodeSelector, t.Spec.Tolerations, t.Spec.SchedulingGates = now.Spec.NodeSelector, now.Spec.Tolerations, now.Spec.SchedulingGates
}

// allowResources takes the resources of the new containers, if they stand where they stood.
func allowResources(containers, now []corev1.Container) {
	if len(containers) != len(now) {
		return
	}
	for i := range containers {
		if containers[i].Name == now[i].Name {
			containers[i].Resources = now[i].Resources
		}
	}
}

func has(j *batchv1.Job, t batchv1.JobConditionType) bool { return hasAs(j, t, corev1.ConditionTrue) }

func hasAs(j *batchv1.Job, t batchv1.JobConditionType, status corev1.ConditionStatus) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == t && c.Status == status })
}
