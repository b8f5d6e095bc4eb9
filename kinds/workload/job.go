package workload

import (
	"fmt"
	"math"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// Labels that tie pods to the job that made them. The short ones are older and stay for those who look for them.
const (
	shortJobName       = "job-name"
	shortControllerUID = "controller-uid"
)

// Job are the rules of batch/v1 Jobs.
func Job() *rules.Kind {
	return rules.For(rules.Spec[batchv1.Job]{
		Create: createJob,
		Update: func(j, old *batchv1.Job) { dropGated(&j.Spec.Template, &old.Spec.Template) },
		Fields: []rules.Entry{
			rules.At("spec", rules.Fill(defaultJob)),
			rules.At("spec", rules.Fill(defaultJobSpec)),
			rules.At("", rules.Fill(labelJob)),
			rules.At("metadata", rules.Check(warnName)),
			rules.At("", rules.Check(checkGeneratedSelector)),
			rules.At("", rules.Check(checkWholeJob)),
			rules.At("spec", rules.Check(checkCompletions)),
			rules.At("spec.selector", rules.Immutable()),
			rules.At("", rules.Check(checkTemplateUpdate)),
			rules.At("spec.completionMode", rules.Immutable()),
			rules.At("spec.podFailurePolicy", rules.Immutable()),
			rules.At("spec.backoffLimitPerIndex", rules.Immutable()),
			rules.At("spec.managedBy", rules.Immutable()),
			rules.At("spec.successPolicy", rules.Immutable()),
			rules.At("", rules.Check(warnOfJob)),
		},
		Parts: map[string]rules.Part[batchv1.Job]{"status": {Fields: []rules.Entry{
			rules.At("status.active", rules.NonNegative()),
			rules.At("status.succeeded", rules.NonNegative()),
			rules.At("status.failed", rules.NonNegative()),
			rules.At("status.ready", rules.NonNegative()),
			rules.At("status.terminating", rules.NonNegative()),
			rules.At("", rules.Check(checkJobStatus)),
		}}},
	})
}

func defaultJob(s *batchv1.JobSpec) {
	if s.Parallelism == nil {
		if s.Completions == nil {
			s.Completions = new(int32(1))
		}
		s.Parallelism = new(int32(1))
	}
	if s.BackoffLimit == nil {
		s.BackoffLimit = new(int32(6))
		if s.BackoffLimitPerIndex != nil {
			*s.BackoffLimit = math.MaxInt32
		}
	}
	if s.CompletionMode == nil {
		s.CompletionMode = new(batchv1.NonIndexedCompletion)
	}
	if s.Suspend == nil {
		s.Suspend = new(bool)
	}
	if s.PodReplacementPolicy == nil {
		s.PodReplacementPolicy = new(batchv1.TerminatingOrFailed)
		if s.PodFailurePolicy != nil {
			*s.PodReplacementPolicy = batchv1.Failed
		}
	}
	if s.ManualSelector == nil {
		s.ManualSelector = new(bool)
	}
}

// labelJob gives a job without labels those of its pods. It is the same map, so that the job gets the labels too that
// createJob adds, as it does in the reference.
func labelJob(j *batchv1.Job) {
	if len(j.Labels) == 0 && j.Spec.Template.Labels != nil {
		j.Labels = j.Spec.Template.Labels
	}
}

// createJob ties the job to its pods by its UID, unless the client has chosen a selector.
func createJob(j *batchv1.Job) {
	dropGated(&j.Spec.Template, nil)
	if p := j.Spec.PodFailurePolicy; p != nil && len(p.Rules) == 0 {
		p.Rules = nil // What is stored cannot tell an empty list from none.
	}
	if !isTrue(j.Spec.ManualSelector) {
		selectOwnPods(j)
	}
	labelJob(j)
}

// selectOwnPods leaves labels that are there already, to be found wrong by checkGeneratedSelector.
func selectOwnPods(j *batchv1.Job) {
	if j.Spec.Template.Labels == nil {
		j.Spec.Template.Labels = map[string]string{}
	}
	for _, l := range ownLabels(j) {
		if _, ok := j.Spec.Template.Labels[l.key]; !ok {
			j.Spec.Template.Labels[l.key] = l.value
		}
	}
	if j.Spec.Selector == nil {
		j.Spec.Selector = &metav1.LabelSelector{}
	}
	if j.Spec.Selector.MatchLabels == nil {
		j.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, ok := j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !ok {
		j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
}

type label struct{ key, value string }

func ownLabels(j *batchv1.Job) []label {
	uid, name := string(j.UID), j.Name
	return []label{
		{shortControllerUID, uid}, {shortJobName, name}, {batchv1.ControllerUidLabel, uid}, {batchv1.JobNameLabel, name},
	}
}

// checkGeneratedSelector asks for the labels that selectOwnPods sets. Jobs from before the long ones need only the short ones.
func checkGeneratedSelector(c *rules.Checker, j, old *batchv1.Job) {
	if isTrue(j.Spec.ManualSelector) || j.Spec.Selector == nil {
		return
	}
	if j.UID == "" {
		c.Add(field.Required(c.At("metadata", "uid"), ""))
	}
	own := ownLabels(j)
	if old != nil {
		_, named := old.Spec.Template.Labels[batchv1.JobNameLabel]
		if _, owned := old.Spec.Template.Labels[batchv1.ControllerUidLabel]; !named || !owned {
			own = own[:2]
		}
	}
	expected := labels.Set{}
	for _, l := range own {
		expected[l.key] = l.value
		switch got, ok := j.Spec.Template.Labels[l.key]; {
		case !ok:
			c.Add(field.Required(c.At("spec", "template", "metadata", "labels").Key(l.key), fmt.Sprintf("must be '%s'", l.value)))
		case got != l.value:
			c.Add(field.Invalid(c.At("spec", "template", "metadata", "labels").Key(l.key), j.Spec.Template.Labels,
				fmt.Sprintf("must be '%s'", l.value)))
		}
	}
	if selector, err := metav1.LabelSelectorAsSelector(j.Spec.Selector); err == nil && !selector.Matches(expected) {
		c.Add(field.Invalid(c.At("spec", "selector"), j.Spec.Selector, "`selector` not auto-generated"))
	}
}

// checkWholeJob checks the specification. On update the reference reports all that is wrong with it twice, with what is wrong with the
// name between, so it is added twice.
func checkWholeJob(c *rules.Checker, j, old *batchv1.Job) {
	var before any
	if old != nil {
		before = old
	}
	errs, _ := wholeJobSpec().Check("", j, before)
	c.Add(errs...)
	checkHostName(c, j)
	if old != nil {
		c.Add(errs...)
	}
}

func warnOfJob(c *rules.Checker, j, old *batchv1.Job) {
	if old == nil || j.Generation != old.Generation {
		warnOfManyIndexes(c, &j.Spec, c.At("spec"))
		warnOf(c, &j.Spec.Template, "spec", "template")
	}
}

var wholeJobSpec = sync.OnceValue(func() *rules.Kind {
	return rules.For(rules.Spec[batchv1.Job]{Fields: []rules.Entry{
		rules.At("spec", jobSpec()),
		rules.At("spec.selector", rules.Required(), core.LabelSelector()),
		rules.At("spec", rules.Check(checkJobSelector)),
	}})
})

func checkJobSelector(c *rules.Checker, s, _ *batchv1.JobSpec) {
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		c.Add(field.Invalid(c.At("template", "metadata", "labels"), s.Template.Labels, doesNotMatch))
	}
}

// checkHostName asks that the pods of an indexed job, whose host names end in their index, can be made.
func checkHostName(c *rules.Checker, j *batchv1.Job) {
	if !indexed(&j.Spec) || j.Spec.Completions == nil || *j.Spec.Completions <= 0 {
		return
	}
	last := fmt.Sprintf("%s-%d", j.Name, *j.Spec.Completions-1)
	if len(utilvalidation.IsDNS1123Label(last)) > 0 {
		c.Add(field.Invalid(c.At("metadata", "name"), j.Name, "will not able to create pod with invalid DNS label: "+last))
	}
}

func indexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

func isTrue(b *bool) bool { return b != nil && *b }
