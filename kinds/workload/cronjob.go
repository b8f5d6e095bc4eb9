package workload

import (
	"regexp"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// timeSuffix is what the controller appends to the name of a cron job to make the name of a job, in bytes.
const timeSuffix = 11

// CronJob are the rules of batch/v1 CronJobs.
func CronJob() *rules.Kind {
	return rules.For(rules.Spec[batchv1.CronJob]{
		Create: func(j *batchv1.CronJob) { dropGated(&j.Spec.JobTemplate.Spec.Template, nil) },
		Update: func(j, old *batchv1.CronJob) {
			dropGated(&j.Spec.JobTemplate.Spec.Template, &old.Spec.JobTemplate.Spec.Template)
		},
		Fields: []rules.Entry{
			rules.At("spec.jobTemplate.spec", rules.Fill(defaultJobSpec)),
			rules.At("metadata", rules.Check(warnName)),
			rules.At("spec.schedule", rules.Required(), rules.Check(checkCronSchedule)),
			rules.At("spec.startingDeadlineSeconds", rules.NonNegative()),
			rules.At("spec.timeZone", rules.Unchanged(), rules.Check(checkTimeZone)),
			rules.At("spec.concurrencyPolicy", rules.Default(batchv1.AllowConcurrent), rules.Required(),
				rules.Enum(batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)),
			rules.At("spec.suspend", rules.Default(false)),
			rules.At("spec.jobTemplate.spec", jobSpec()),
			rules.At("spec.jobTemplate.spec", rules.Check(checkNoSelector)),
			rules.At("spec.successfulJobsHistoryLimit", rules.Default(3), rules.NonNegative()),
			rules.At("spec.failedJobsHistoryLimit", rules.Default(1), rules.NonNegative()),
			rules.At("metadata.name", rules.Check(checkRoomForTime)),
			rules.At("", rules.Check(warnOfCronJob)),
		},
		Parts: map[string]rules.Part[batchv1.CronJob]{"status": {}},
	})
}

func checkCronSchedule(c *rules.Checker, schedule, old *string) {
	if err := checkSchedule(*schedule); err != nil {
		c.Add(field.Invalid(c.Path(), *schedule, err.Error()))
	}
	if !strings.Contains(*schedule, "TZ") {
		return
	}
	cron, _ := rules.Within[batchv1.CronJob](c)
	switch had := old != nil && strings.Contains(*old, "TZ"); {
	case had && cron.Spec.TimeZone != nil:
		c.Add(field.Invalid(c.Path(), *schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
	case !had:
		c.Add(field.Invalid(c.Path(), *schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
	}
}

func warnOfCronJob(c *rules.Checker, j, old *batchv1.CronJob) {
	if old == nil || j.Generation != old.Generation {
		warnOfManyIndexes(c, &j.Spec.JobTemplate.Spec, c.At("spec", "jobTemplate", "spec"))
		warnOf(c, &j.Spec.JobTemplate.Spec.Template, "spec", "jobTemplate", "spec", "template")
	}
	if old != nil && strings.Contains(j.Spec.Schedule, "TZ") {
		c.Warn("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see " +
			"https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
	}
}

// zonePart is what may stand between the slashes of a time zone's name. Digits and + are there for older names only.
var zonePart = regexp.MustCompile(`^[A-Za-z._0-9+-]{1,14}$`)

// checkTimeZone asks for a time zone that this server knows, by a name that could not be anything else in a path.
func checkTimeZone(c *rules.Checker, zone, _ *string) {
	if *zone == "" {
		c.Add(field.Invalid(c.Path(), zone, "timeZone must be nil or non-empty string"))
		return
	}
	for part := range strings.SplitSeq(*zone, "/") {
		if part == "." || part == ".." || strings.HasPrefix(part, "-") || !zonePart.MatchString(part) {
			c.Add(field.Invalid(c.Path(), zone, "unknown time zone "+*zone))
			return
		}
	}
	if strings.EqualFold(*zone, "Local") {
		c.Add(field.Invalid(c.Path(), zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	}
	if _, err := time.LoadLocation(*zone); err != nil {
		c.Add(field.Invalid(c.Path(), zone, err.Error()))
	}
}

// checkNoSelector refuses a selector in the template of a job, which always gets one of its own.
func checkNoSelector(c *rules.Checker, s, _ *batchv1.JobSpec) {
	if s.Selector != nil {
		c.Add(field.Invalid(c.At("selector"), s.Selector, "`selector` will be auto-generated"))
	}
	if isTrue(s.ManualSelector) {
		c.Add(field.NotSupported(c.At("manualSelector"), s.ManualSelector, []string{"nil", "false"}))
	}
}

// checkRoomForTime asks of new objects only, since older ones may have longer names.
func checkRoomForTime(c *rules.Checker, name, _ *string) {
	if !c.Updating() && len(*name) > utilvalidation.DNS1035LabelMaxLength-timeSuffix {
		c.Add(field.Invalid(c.Path(), *name, "must be no more than 52 characters"))
	}
}
