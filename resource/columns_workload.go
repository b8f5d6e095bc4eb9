package resource

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func workloadColumns(resource string) *columns {
	switch resource {
	case "deployments":
		return deploymentColumns()
	case "replicasets":
		return replicaSetColumns()
	case "statefulsets":
		return statefulSetColumns()
	case "daemonsets":
		return daemonSetColumns()
	case "controllerrevisions":
		return rowsOf(func(r *appsv1.ControllerRevision) []any {
			return []any{r.Name, controllerName(r), r.Revision, ageOf(r)}
		}, nameColumn(), textColumn("Controller", "Controller of the object"), textColumn("Revision", documented(appsv1.ControllerRevision{}, "revision")), ageColumn())
	case "jobs":
		return jobColumns()
	case "cronjobs":
		return cronJobColumns()
	case "horizontalpodautoscalers":
		return autoscalerColumns()
	case "poddisruptionbudgets":
		return budgetColumns()
	default:
		return nil
	}
}

func deploymentColumns() *columns {
	definitions := slices.Concat([]Column{
		nameColumn(),
		textColumn("Ready", "Number of the pod with ready state"),
		textColumn("Up-to-date", documented(appsv1.DeploymentStatus{}, "updatedReplicas")),
		textColumn("Available", documented(appsv1.DeploymentStatus{}, "availableReplicas")),
		ageColumn(),
	}, containerColumns(), wideColumns(textColumn("Selector", documented(appsv1.DeploymentSpec{}, "selector"))))
	return rowsOf(func(d *appsv1.Deployment) []any {
		names, images := containerCells(d.Spec.Template.Spec.Containers)
		selector := "<invalid>"
		if s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err == nil {
			selector = s.String()
		}
		return []any{
			d.Name, readyOf(d.Status.ReadyReplicas, d.Spec.Replicas), d.Status.UpdatedReplicas, d.Status.AvailableReplicas, ageOf(d),
			names, images, selector,
		}
	}, definitions...)
}

// readyOf is how many of the wanted replicas are ready.
func readyOf(ready int32, wanted *int32) string {
	return fmt.Sprintf("%d/%d", ready, orElse(wanted, 0))
}

func replicaSetColumns() *columns {
	definitions := slices.Concat([]Column{
		nameColumn(),
		numberColumn("Desired", documented(appsv1.ReplicaSetSpec{}, "replicas")),
		numberColumn("Current", documented(appsv1.ReplicaSetStatus{}, "replicas")),
		numberColumn("Ready", documented(appsv1.ReplicaSetStatus{}, "readyReplicas")),
		ageColumn(),
	}, containerColumns(), wideColumns(textColumn("Selector", documented(appsv1.ReplicaSetSpec{}, "selector"))))
	return rowsOf(func(r *appsv1.ReplicaSet) []any {
		names, images := containerCells(r.Spec.Template.Spec.Containers)
		return []any{
			r.Name, orElse(r.Spec.Replicas, 0), r.Status.Replicas, r.Status.ReadyReplicas, ageOf(r),
			names, images, metav1.FormatLabelSelector(r.Spec.Selector),
		}
	}, definitions...)
}

func statefulSetColumns() *columns {
	definitions := append([]Column{nameColumn(), textColumn("Ready", "Number of the pod with ready state"), ageColumn()}, containerColumns()...)
	return rowsOf(func(s *appsv1.StatefulSet) []any {
		names, images := containerCells(s.Spec.Template.Spec.Containers)
		return []any{s.Name, readyOf(s.Status.ReadyReplicas, s.Spec.Replicas), ageOf(s), names, images}
	}, definitions...)
}

func daemonSetColumns() *columns {
	status := func(name string) string { return documented(appsv1.DaemonSetStatus{}, name) }
	definitions := slices.Concat([]Column{
		nameColumn(),
		numberColumn("Desired", status("desiredNumberScheduled")),
		numberColumn("Current", status("currentNumberScheduled")),
		numberColumn("Ready", status("numberReady")),
		numberColumn("Up-to-date", status("updatedNumberScheduled")),
		numberColumn("Available", status("numberAvailable")),
		textColumn("Node Selector", documented(corev1.PodSpec{}, "nodeSelector")),
		ageColumn(),
	}, containerColumns(), wideColumns(textColumn("Selector", documented(appsv1.DaemonSetSpec{}, "selector"))))
	return rowsOf(func(d *appsv1.DaemonSet) []any {
		names, images := containerCells(d.Spec.Template.Spec.Containers)
		return []any{
			d.Name, d.Status.DesiredNumberScheduled, d.Status.CurrentNumberScheduled, d.Status.NumberReady,
			d.Status.UpdatedNumberScheduled, d.Status.NumberAvailable, labels.FormatLabels(d.Spec.Template.Spec.NodeSelector), ageOf(d),
			names, images, metav1.FormatLabelSelector(d.Spec.Selector),
		}
	}, definitions...)
}

// controllerName is the kind and name of the object that controls another.
func controllerName(o Object) string {
	ref := metav1.GetControllerOf(o)
	if ref == nil {
		return none
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	if kind.Empty() {
		return ref.Name
	}
	return strings.ToLower(kind.String()) + "/" + ref.Name
}

func jobColumns() *columns {
	definitions := slices.Concat([]Column{
		nameColumn(),
		textColumn("Status", "Status of the job."),
		textColumn("Completions", documented(batchv1.JobStatus{}, "succeeded")),
		textColumn("Duration", "Time required to complete the job."),
		ageColumn(),
	}, containerColumns(), wideColumns(textColumn("Selector", documented(batchv1.JobSpec{}, "selector"))))
	return rowsOf(func(j *batchv1.Job) []any {
		names, images := containerCells(j.Spec.Template.Spec.Containers)
		return []any{
			j.Name, jobStatus(j), jobCompletions(j), jobDuration(j), ageOf(j), names, images, metav1.FormatLabelSelector(j.Spec.Selector),
		}
	}, definitions...)
}

// jobStatus is the first of these that applies, the final ones before the passing ones.
func jobStatus(j *batchv1.Job) string {
	is := func(t batchv1.JobConditionType) bool {
		i := slices.IndexFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == t })
		return i >= 0 && j.Status.Conditions[i].Status == corev1.ConditionTrue
	}
	switch {
	case is(batchv1.JobComplete):
		return "Complete"
	case is(batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return terminatingStatus
	case is(batchv1.JobSuspended):
		return "Suspended"
	case is(batchv1.JobFailureTarget):
		return "FailureTarget"
	case is(batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	default:
		return "Running"
	}
}

func jobCompletions(j *batchv1.Job) string {
	switch parallelism := orElse(j.Spec.Parallelism, 0); {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	case parallelism > 1:
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, parallelism)
	default:
		return fmt.Sprintf("%d/1", j.Status.Succeeded)
	}
}

// jobDuration grows until the job is complete.
func jobDuration(j *batchv1.Job) any {
	switch start, end := j.Status.StartTime, j.Status.CompletionTime; {
	case start == nil:
		return ""
	case end == nil:
		return age{t: start.Time}
	default:
		return duration.HumanDuration(end.Sub(start.Time))
	}
}

func cronJobColumns() *columns {
	definitions := slices.Concat([]Column{
		nameColumn(),
		textColumn("Schedule", documented(batchv1.CronJobSpec{}, "schedule")),
		textColumn("Timezone", documented(batchv1.CronJobSpec{}, "timeZone")),
		flagColumn("Suspend", documented(batchv1.CronJobSpec{}, "suspend")),
		numberColumn("Active", documented(batchv1.CronJobStatus{}, "active")),
		textColumn("Last Schedule", documented(batchv1.CronJobStatus{}, "lastScheduleTime")),
		ageColumn(),
	}, containerColumns(), wideColumns(textColumn("Selector", documented(batchv1.JobSpec{}, "selector"))))
	return rowsOf(func(c *batchv1.CronJob) []any {
		suspend, last := unset, any(none)
		if c.Spec.Suspend != nil {
			suspend = "False"
			if *c.Spec.Suspend {
				suspend = "True"
			}
		}
		if t := c.Status.LastScheduleTime; t != nil {
			last = age{t: t.Time}
		}
		job := c.Spec.JobTemplate.Spec
		names, images := containerCells(job.Template.Spec.Containers)
		return []any{
			c.Name, c.Spec.Schedule, orElse(c.Spec.TimeZone, none), suspend, len(c.Status.Active), last, ageOf(c),
			names, images, metav1.FormatLabelSelector(job.Selector),
		}
	}, definitions...)
}

func budgetColumns() *columns {
	amount := func(v *intstr.IntOrString) string {
		if v == nil {
			return "N/A"
		}
		return v.String()
	}
	return rowsOf(func(b *policyv1.PodDisruptionBudget) []any {
		return []any{b.Name, amount(b.Spec.MinAvailable), amount(b.Spec.MaxUnavailable), b.Status.DisruptionsAllowed, ageOf(b)}
	},
		nameColumn(),
		textColumn("Min Available", "The minimum number of pods that must be available."),
		textColumn("Max Unavailable", "The maximum number of pods that may be unavailable."),
		numberColumn("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
		ageColumn(),
	)
}
