package workload

import (
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// Bounds of indexed jobs, which keep the lists of indexes in a status short enough to be stored.
const (
	maxParallelism     = 100_000
	maxFailed          = 100_000
	manyCompletions    = 100_000
	maxParallelismMany = 10_000
	maxFailedMany      = 10_000
	maxManagerBytes    = 63
)

// defaultJobSpec sets the defaults that hold in a job as well as in the template of one.
func defaultJobSpec(s *batchv1.JobSpec) {
	defaultTemplate(&s.Template)
	if s.PodFailurePolicy == nil {
		return
	}
	for i := range s.PodFailurePolicy.Rules {
		for j := range s.PodFailurePolicy.Rules[i].OnPodConditions {
			if p := &s.PodFailurePolicy.Rules[i].OnPodConditions[j]; p.Status == "" {
				p.Status = corev1.ConditionTrue
			}
		}
	}
}

// jobSpec are the rules that hold in a job as well as in the template of one. Its selector is not among them.
var jobSpec = sync.OnceValue(func() *rules.Set {
	return rules.Of[batchv1.JobSpec](
		rules.At("parallelism", rules.NonNegative()),
		rules.At("completions", rules.NonNegative()),
		rules.At("activeDeadlineSeconds", rules.NonNegative()),
		rules.At("backoffLimit", rules.NonNegative()),
		rules.At("ttlSecondsAfterFinished", rules.NonNegative()),
		rules.At("backoffLimitPerIndex", rules.NonNegative()),
		rules.At("maxFailedIndexes", rules.NonNegative(), rules.Check(needsLimitPerIndex)),
		rules.At("managedBy", rules.FormatAt(utilvalidation.IsDomainPrefixedPath), rules.MaxBytes(maxManagerBytes)),
		rules.At("completionMode", rules.Enum(batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)),
		rules.At("", rules.If(indexed, rules.Check(checkIndexed), rules.Check(checkManyIndexes))),
		rules.At("", rules.If(notIndexed, rules.Check(checkNotIndexed))),
		rules.At("podFailurePolicy", rules.Check(checkFailurePolicy)),
		rules.At("successPolicy", rules.Check(checkSuccessPolicy)),
		rules.At("", rules.Check(checkReplacementPolicy)),
		rules.At("template", core.PodTemplate()),
		rules.At("", rules.Check(checkJobRestart)),
	)
})

func notIndexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode == nil || *s.CompletionMode == batchv1.NonIndexedCompletion
}

func needsLimitPerIndex(c *rules.Checker, _, _ *int32) {
	if spec, _ := rules.Within[batchv1.JobSpec](c); spec.BackoffLimitPerIndex == nil {
		c.Add(field.Required(rules.Above[batchv1.JobSpec](c, "backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
}

func checkIndexed(c *rules.Checker, s, _ *batchv1.JobSpec) {
	if s.Completions == nil {
		c.Add(field.Required(c.At("completions"), "when completion mode is Indexed"))
	}
	if p := s.Parallelism; p != nil && *p > maxParallelism {
		c.Add(field.Invalid(c.At("parallelism"), *p, fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", maxParallelism)))
	}
	if f := s.MaxFailedIndexes; f != nil {
		if s.Completions != nil && *f > *s.Completions {
			c.Add(field.Invalid(c.At("maxFailedIndexes"), *f, "must be less than or equal to completions"))
		}
		if *f > maxFailed {
			c.Add(field.Invalid(c.At("maxFailedIndexes"), *f, fmt.Sprintf("must be less than or equal to %d", maxFailed)))
		}
	}
}

// checkManyIndexes bounds what may fail or run at once where there are so many indexes that not all of them could be listed.
func checkManyIndexes(c *rules.Checker, s, _ *batchv1.JobSpec) {
	if s.Completions == nil || *s.Completions <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return
	}
	const refusal = "must be less than or equal to %d when completions are above %d and used with backoff limit per index"
	if s.MaxFailedIndexes == nil {
		c.Add(field.Required(c.At("maxFailedIndexes"), fmt.Sprintf("must be specified when completions is above %d", manyCompletions)))
	}
	if p := s.Parallelism; p != nil && *p > maxParallelismMany {
		c.Add(field.Invalid(c.At("parallelism"), *p, fmt.Sprintf(refusal, maxParallelismMany, manyCompletions)))
	}
	if f := s.MaxFailedIndexes; f != nil && *f > maxFailedMany {
		c.Add(field.Invalid(c.At("maxFailedIndexes"), *f, fmt.Sprintf(refusal, maxFailedMany, manyCompletions)))
	}
}

func checkNotIndexed(c *rules.Checker, s, _ *batchv1.JobSpec) {
	const refusal = "requires indexed completion mode"
	if s.BackoffLimitPerIndex != nil {
		c.Add(field.Invalid(c.At("backoffLimitPerIndex"), *s.BackoffLimitPerIndex, refusal))
	}
	if s.MaxFailedIndexes != nil {
		c.Add(field.Invalid(c.At("maxFailedIndexes"), *s.MaxFailedIndexes, refusal))
	}
}

func warnOfManyIndexes(c *rules.Checker, s *batchv1.JobSpec, at *field.Path) {
	if indexed(s) && s.Completions != nil && *s.Completions > manyCompletions && s.Parallelism != nil && *s.Parallelism > maxParallelismMany {
		c.Warn(at.String() + ": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, " +
			"Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	}
}

func checkReplacementPolicy(c *rules.Checker, s, _ *batchv1.JobSpec) {
	switch p := s.PodReplacementPolicy; {
	case p == nil || *p == batchv1.Failed:
	case s.PodFailurePolicy != nil:
		c.Add(field.NotSupported(c.At("podReplacementPolicy"), *p, []batchv1.PodReplacementPolicy{batchv1.Failed}))
	case *p != batchv1.TerminatingOrFailed:
		c.Add(field.NotSupported(c.At("podReplacementPolicy"), *p, []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}))
	}
}

// checkJobRestart asks for pods that end. Always is what a template has that says nothing.
func checkJobRestart(c *rules.Checker, s, _ *batchv1.JobSpec) {
	at := func() *field.Path { return c.At("template", "spec", "restartPolicy") }
	switch p := s.Template.Spec.RestartPolicy; {
	case p == corev1.RestartPolicyAlways || p == "":
		c.Add(field.Required(at(), `valid values: "OnFailure", "Never"`))
	case p != corev1.RestartPolicyOnFailure && p != corev1.RestartPolicyNever:
		c.Add(field.NotSupported(at(), p, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}))
	case s.PodFailurePolicy != nil && p != corev1.RestartPolicyNever:
		c.Add(field.Invalid(at(), p, `only "Never" is supported when podFailurePolicy is specified`))
	}
}
