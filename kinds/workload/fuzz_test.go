package workload_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/gatehouse/gatehouse/kinds/workload"
)

// refusals are the messages about one field of an object.
func refusals(t *testing.T, o any, path string) (messages []string) {
	t.Helper()
	kind := workload.CronJob()
	if _, ok := o.(*batchv1.Job); ok {
		kind = workload.Job()
	}
	errs, _ := kind.Check("", o, nil)
	for _, e := range errs {
		if e.Field == path {
			messages = append(messages, e.Detail)
		}
	}
	return messages
}

// FuzzSchedule reads schedules. However one is spaced, it is the same schedule.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{
		"* * * * *", "*/5 1-3,7 ? jan-mar MON", "@every 1h", "@every", "@daily", "TZ=UTC 1 2 3 4 5", "TZ=", "CRON_TZ=x y", "1-2-3 * * * *",
		"60 * * * *", "*/0 * * * *", "5-1 * * * *", "-1 * * * *", ", , , , ,", "a/b/c * * * *", "* * * sunmon *", "9223372036854775808 * * * *",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, schedule string) {
		about := func(s string) []string {
			return refusals(t, &batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: s}}, "spec.schedule")
		}
		refused := about(schedule)
		if strings.Contains(schedule, "TZ") && len(refused) == 0 {
			t.Errorf("%q names a time zone and is accepted", schedule)
		}
		if strings.ContainsAny(schedule, "@=") {
			return
		}
		if again := about(strings.Join(strings.Fields(schedule), " \t")); len(again) != len(refused) && strings.TrimSpace(schedule) != "" {
			t.Errorf("%q: %q, with other spaces %q", schedule, refused, again)
		}
	})
}

// FuzzIndexes reads lists of indexes. One that is accepted may be counted on: as many as it has can succeed, and no more.
func FuzzIndexes(f *testing.F) {
	for _, s := range []string{"0", "0-9", "0,2-3,9", "", "1,0", "0-0", "9-10", "-1", "a", "0-1-2", ",", "0,,1", "+1"} {
		f.Add(s, int32(3))
	}
	f.Fuzz(func(t *testing.T, indexes string, count int32) {
		completions, mode := int32(10), batchv1.IndexedCompletion
		job := &batchv1.Job{Spec: batchv1.JobSpec{
			Completions: &completions, Parallelism: &completions, CompletionMode: &mode,
			SuccessPolicy: &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: &indexes, SucceededCount: &count}}},
		}}
		wrong := refusals(t, job, "spec.successPolicy.rules[0].succeededIndexes")
		tooMany := refusals(t, job, "spec.successPolicy.rules[0].succeededCount")
		if len(wrong) == 0 && len(tooMany) == 0 && (count < 0 || count > completions) {
			t.Errorf("%d of %q are accepted", count, indexes)
		}
	})
}

// FuzzAutoscalerV1 reads the annotations in which version 1 carries the rest of an autoscaler. What was understood once comes back.
func FuzzAutoscalerV1(f *testing.F) {
	f.Add(`[{"type":"Pods","pods":{"metricName":"x","targetAverageValue":"3"}}]`, `{"ScaleUp":{"SelectPolicy":"Max"}}`, `[{"type":"Resource"}]`)
	f.Add(`[{"type":"Object","object":{"target":{"kind":"a"},"metricName":"m","targetValue":"1","averageValue":"0"}}]`, `{}`, `[]`)
	f.Add(`[{"type":"Resource","resource":{"name":"cpu","targetAverageUtilization":5}}]`, `x`, `[{"type":"External","external":{"currentValue":"1"}}]`)
	f.Fuzz(func(t *testing.T, metrics, behavior, current string) {
		in := &autoscalingv1.HorizontalPodAutoscaler{}
		in.Annotations = map[string]string{
			"autoscaling.alpha.kubernetes.io/metrics": metrics, "autoscaling.alpha.kubernetes.io/behavior": behavior,
			"autoscaling.alpha.kubernetes.io/current-metrics": current,
		}
		stored := asStored(t, workload.AutoscalerToV2(in))
		shown, err := workload.AutoscalerFromV2(stored)
		if err != nil {
			t.Fatal(err)
		}
		again, err := workload.AutoscalerFromV2(asStored(t, workload.AutoscalerToV2(shown)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shown, again); diff != "" {
			t.Errorf("shown and read again (-first +second):\n%s", diff)
		}
	})
}

// asStored is an object after a way through its encoding, in which empty and missing are the same.
func asStored(t *testing.T, a *autoscalingv2.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	out := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}
