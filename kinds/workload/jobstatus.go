package workload

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Any controller may run a job, so what it reports is checked: a job ends once, and its parts agree. Most of it is asked only where an
// update changes what it is about, since a change of the specification can make a stored status wrong for a moment.

// jobStatus is one update of a status and what of it changed.
type jobStatus struct {
	job, old *batchv1.Job
	s, was   *batchv1.JobStatus

	finished, complete, failed        bool
	finishedChanged, completeChanged  bool
	failedChanged, startChanged       bool
	completionChanged, indexesChanged bool
	failedIndexesChanged              bool
}

func checkJobStatus(c *rules.Checker, j, old *batchv1.Job) {
	if old == nil {
		return
	}
	s, was := &j.Status, &old.Status
	u := jobStatus{
		job: j, old: old, s: s, was: was,
		complete: has(j, batchv1.JobComplete), failed: has(j, batchv1.JobFailed),
		startChanged: !equal(s.StartTime, was.StartTime), completionChanged: !equal(s.CompletionTime, was.CompletionTime),
		indexesChanged: s.CompletedIndexes != was.CompletedIndexes, failedIndexesChanged: !equal(s.FailedIndexes, was.FailedIndexes),
	}
	u.finished = u.complete || u.failed
	u.completeChanged = u.complete != has(old, batchv1.JobComplete)
	u.failedChanged = u.failed != has(old, batchv1.JobFailed)
	u.finishedChanged = u.finished != (has(old, batchv1.JobComplete) || has(old, batchv1.JobFailed))
	checkUncounted(c, s.UncountedTerminatedPods)
	u.checkEnd(c)
	u.checkTimes(c)
	u.checkFinished(c)
	u.checkIndexes(c)
	u.checkPods(c)
	u.checkSuccess(c)
	u.checkHistory(c)
}

// equal compares what two pointers point to.
func equal[T any](a, b *T) bool { return apiequality.Semantic.DeepEqual(a, b) }

func checkUncounted(c *rules.Checker, u *batchv1.UncountedTerminatedPods) {
	if u == nil {
		return
	}
	seen := make(map[types.UID]bool, len(u.Succeeded)+len(u.Failed))
	for _, l := range []struct {
		name string
		uids []types.UID
	}{{"succeeded", u.Succeeded}, {"failed", u.Failed}} {
		for i, uid := range l.uids {
			at := func() *field.Path { return c.At("status", "uncountedTerminatedPods", l.name).Index(i) }
			if uid == "" {
				c.Add(field.Invalid(at(), uid, "must not be empty"))
			} else if seen[uid] {
				c.Add(field.Duplicate(at(), uid))
			}
			seen[uid] = true
		}
	}
}

func (u *jobStatus) conditions(c *rules.Checker, refusal string) {
	c.Add(field.Invalid(c.At("status", "conditions"), field.OmitValueType{}, refusal))
}

func (u *jobStatus) checkEnd(c *rules.Checker) {
	target := has(u.job, batchv1.JobFailureTarget)
	if (u.completeChanged || u.failedChanged) && u.complete && u.failed {
		u.conditions(c, "cannot set Complete=True and Failed=true conditions")
	}
	if (u.completeChanged || target != has(u.old, batchv1.JobFailureTarget)) && u.complete && target {
		u.conditions(c, "cannot set Complete=True and FailureTarget=true conditions")
	}
}

func (u *jobStatus) checkTimes(c *rules.Checker) {
	start, end := u.s.StartTime, u.s.CompletionTime
	at := func() *field.Path { return c.At("status", "completionTime") }
	if u.completeChanged || u.completionChanged {
		if end != nil && !u.complete {
			c.Add(field.Invalid(at(), end, "cannot set completionTime when there is no Complete=True condition"))
		}
		if end == nil && u.complete {
			c.Add(field.Required(at(), "completionTime is required for Complete jobs"))
		}
	}
	if (u.startChanged || u.completionChanged) && start != nil && end != nil && end.Before(start) {
		c.Add(field.Invalid(at(), end, "must be equal to or after `startTime`"))
	}
}

func (u *jobStatus) checkFinished(c *rules.Checker) {
	met := has(u.job, batchv1.JobSuccessCriteriaMet)
	if (u.failedChanged || u.failedIndexesChanged) && u.failed && !has(u.job, batchv1.JobFailureTarget) {
		u.conditions(c, "cannot set Failed=True condition without the FailureTarget=true condition")
	}
	if (u.completeChanged || met != has(u.old, batchv1.JobSuccessCriteriaMet)) && u.complete && !met {
		u.conditions(c, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
	}
	if !u.finished {
		return
	}
	if (u.finishedChanged || u.s.Active != u.was.Active) && u.s.Active > 0 {
		c.Add(field.Invalid(c.At("status", "active"), u.s.Active, "active>0 is invalid for finished job"))
	}
	if (u.finishedChanged || u.startChanged) && u.s.StartTime == nil && !u.suspendedWithoutWork() {
		c.Add(field.Required(c.At("status", "startTime"), "startTime is required for finished job"))
	}
	pods := u.s.UncountedTerminatedPods
	if (u.finishedChanged || !equal(pods, u.was.UncountedTerminatedPods)) && pods != nil && len(pods.Failed)+len(pods.Succeeded) > 0 {
		c.Add(field.Invalid(c.At("status", "uncountedTerminatedPods"), rules.Shown(pods), "must be empty for finished job"))
	}
}

func (u *jobStatus) suspendedWithoutWork() bool {
	return isTrue(u.job.Spec.Suspend) && u.job.Spec.Completions != nil && *u.job.Spec.Completions == 0
}

func (u *jobStatus) checkIndexes(c *rules.Checker) {
	done, failed := u.s.CompletedIndexes, u.s.FailedIndexes
	completions, perIndex := u.job.Spec.Completions, u.job.Spec.BackoffLimitPerIndex
	doneAt := func() *field.Path { return c.At("status", "completedIndexes") }
	failedAt := func() *field.Path { return c.At("status", "failedIndexes") }
	if u.indexesChanged && completions != nil {
		if _, err := countIndexes(done, *completions); err != nil {
			c.Add(field.Invalid(doneAt(), done, fmt.Sprintf("error parsing completedIndexes: %v", err)))
		}
	}
	if u.failedIndexesChanged && completions != nil && perIndex != nil && failed != nil {
		if _, err := countIndexes(*failed, *completions); err != nil {
			c.Add(field.Invalid(failedAt(), failed, fmt.Sprintf("error parsing failedIndexes: %v", err)))
		}
	}
	if u.indexesChanged && done != "" && !indexed(&u.job.Spec) {
		c.Add(field.Invalid(doneAt(), done, "cannot set non-empty completedIndexes when non-indexed completion mode"))
	}
	if u.failedIndexesChanged && perIndex == nil && failed != nil {
		c.Add(field.Invalid(failedAt(), *failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null"))
	}
	if (u.failedIndexesChanged || u.indexesChanged) && completions != nil && failed != nil {
		if i, found := overlap(done, *failed, *completions); found {
			c.Add(field.Invalid(failedAt(), *failed, fmt.Sprintf("failedIndexes and completedIndexes overlap at index: %d", i)))
		}
	}
}

func (u *jobStatus) checkPods(c *rules.Checker) {
	if t := u.s.Terminating; (u.finishedChanged || !equal(t, u.was.Terminating)) && t != nil && *t > 0 && u.finished {
		c.Add(field.Invalid(c.At("status", "terminating"), t, "terminating>0 is invalid for finished job"))
	}
	if r := u.s.Ready; (!equal(r, u.was.Ready) || u.s.Active != u.was.Active) && r != nil && *r > u.s.Active {
		c.Add(field.Invalid(c.At("status", "ready"), *r, "cannot set more ready pods than active"))
	}
}

func (u *jobStatus) checkSuccess(c *rules.Checker) {
	met := has(u.job, batchv1.JobSuccessCriteriaMet)
	if met && u.failed {
		u.conditions(c, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
	}
	if met && has(u.job, batchv1.JobFailureTarget) {
		u.conditions(c, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	}
	if u.job.Spec.SuccessPolicy != nil && !met && u.complete {
		u.conditions(c, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
	}
}

// checkHistory keeps what a status has said once.
func (u *jobStatus) checkHistory(c *rules.Checker) {
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobComplete, batchv1.JobFailureTarget} {
		if has(u.old, t) && !has(u.job, t) {
			u.conditions(c, fmt.Sprintf("cannot disable the terminal %s=True condition", t))
		}
	}
	if u.s.Failed < u.was.Failed {
		c.Add(field.Invalid(c.At("status", "failed"), u.s.Failed, "cannot decrease the failed counter"))
	}
	// An indexed job that runs all its pods at once may shrink.
	elastic := indexed(&u.job.Spec) && equal(u.job.Spec.Completions, u.job.Spec.Parallelism)
	if !elastic && u.s.Succeeded < u.was.Succeeded {
		c.Add(field.Invalid(c.At("status", "succeeded"), u.s.Succeeded, "cannot decrease the succeeded counter"))
	}
	if u.s.CompletionTime != nil && u.was.CompletionTime != nil && u.completionChanged {
		c.Add(field.Invalid(c.At("status", "completionTime"), u.s.CompletionTime, isImmutable))
	}
	resuming := has(u.old, batchv1.JobSuspended) && hasAs(u.job, batchv1.JobSuspended, corev1.ConditionFalse)
	if u.startChanged && !resuming && u.was.StartTime != nil && !isTrue(u.job.Spec.Suspend) {
		c.Add(field.Invalid(c.At("status", "startTime"), u.s.StartTime, "field is immutable for unsuspended job once set"))
	}
	was, met := has(u.old, batchv1.JobSuccessCriteriaMet), has(u.job, batchv1.JobSuccessCriteriaMet)
	if was && !met {
		u.conditions(c, "cannot disable the SuccessCriteriaMet=True condition")
	}
	if has(u.old, batchv1.JobComplete) && !was && met {
		u.conditions(c, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
	}
}
