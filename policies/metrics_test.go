package policies_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/policies"
)

// TestMetrics states the series that alerts are made of, and that a policy that is gone leaves none behind.
func TestMetrics(t *testing.T) {
	e := engineWith(t, "", head+"deny contains \"x\" if input.object.spec.hostNetwork\n\ndeny contains \"y\" if to_number(input.name) > 1\n")
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(e); err != nil {
		t.Fatal(err)
	}
	review := podReview(nginx())
	for _, name := range []string{"1", "1", "web"} { // the last is no number, and fails
		review.Name = name
		if _, err := e.Validate(context.Background(), review); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{
		"gatehouse_policy_set_info " + e.Digest():        1,
		"gatehouse_policy_set_policies":                  1,
		"gatehouse_policy_last_load_success":             1,
		"gatehouse_policy_load_errors_total":             0,
		"gatehouse_policy_evaluation_duration_seconds p": 3,
		"gatehouse_policy_evaluation_failures_total p":   1,
	}
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := e.LoadBundle(bundle(t, "", "package")); err == nil {
		t.Fatal("a broken policy was loaded")
	}
	want["gatehouse_policy_last_load_success"], want["gatehouse_policy_load_errors_total"] = 0, 1
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("after a failed load (-want +got):\n%s", diff)
	}
	load(t, e, "")
	want = map[string]float64{
		"gatehouse_policy_set_info " + e.Digest(): 1,
		"gatehouse_policy_set_policies":           0,
		"gatehouse_policy_last_load_success":      1,
		"gatehouse_policy_load_errors_total":      1,
	}
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("without the policy (-want +got):\n%s", diff)
	}
}

func TestEngineNotMadeByNew(t *testing.T) {
	e := &policies.Engine{}
	if err := e.LoadBundle(policies.Bundle{}); err == nil {
		t.Error("it was loaded")
	}
	if err := e.Load(t.TempDir() + "/none"); err == nil {
		t.Error("a directory that is not there was loaded")
	}
	if err := prometheus.NewRegistry().Register(e); err != nil {
		t.Error(err)
	}
}

// gather returns the value of each series, and of a histogram the number of observations.
func gather(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}
