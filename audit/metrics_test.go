package audit_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/audit"
)

// TestMetrics states the series that alerts are made of, and what an operator sees when the disk fails.
func TestMetrics(t *testing.T) {
	path, d := logPath(t), &disk{}
	l, err := audit.OpenWrapped(audit.Options{Path: path}, d.wrap)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(l); err != nil {
		t.Fatal(err)
	}
	begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
	d.failSyncs(func(audit.File) error { return errors.New("I/O error") })
	_, err = receive(t.Context(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
	refusedAs503(t, err)
	got := gather(t, registry)
	if got["gatehouse_audit_healthy"] != 0 {
		t.Error("the log that could not be written to counts as healthy")
	}
	refuse(t, l, request(t, "GET", "/api/v1/pods"), 429)
	refuse(t, l, request(t, "GET", "/api/v1/pods"), 429)
	closeLog(t, l)
	want := map[string]float64{
		"gatehouse_audit_healthy":                   1,
		"gatehouse_audit_queue_bytes":               0,
		"gatehouse_audit_append_failures_total":     1,
		"gatehouse_audit_refused_writes_total":      1,
		"gatehouse_audit_summarised_refusals_total": 1,
		"gatehouse_audit_records_total":             float64(l.Stats().Records),
		"gatehouse_audit_written_bytes_total":       float64(l.Stats().Bytes),
		"gatehouse_audit_sync_duration_seconds":     float64(l.Stats().Syncs),
	}
	if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// gather returns the value of each series without labels, and of a histogram the number of observations.
func gather(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}
