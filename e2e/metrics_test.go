package e2e_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// TestMetricsOfDashboards holds the metrics that published dashboards and alerts ask for against the reference: the
// family's type and its label names.
func TestMetricsOfDashboards(t *testing.T) {
	kube, _ := startKube(t)
	etcd := startEtcd(t)
	ours := startGatehouse(t, cluster.GatehouseOptions{EtcdURL: etcd.URL})
	want := families(t, scrape(t, newSide(t, kube, etcd)))
	got := families(t, scrape(t, newSide(t, ours, etcd)))
	for _, name := range []string{
		"apiserver_request_total", "apiserver_request_duration_seconds", "apiserver_request_sli_duration_seconds",
		"apiserver_response_sizes", "apiserver_current_inflight_requests", "apiserver_longrunning_requests",
		"apiserver_tls_handshake_errors_total", "apiserver_client_certificate_expiration_seconds",
		"apiserver_watch_events_total", "apiserver_watch_events_sizes",
		"apiserver_audit_event_total", "apiserver_audit_requests_rejected_total",
		"apiserver_storage_objects", "apiserver_resource_objects", "apiserver_storage_size_bytes",
		"etcd_request_duration_seconds", "etcd_requests_total",
		"authenticated_user_requests", "authentication_attempts", "authentication_duration_seconds",
		"authorization_attempts_total", "authorization_duration_seconds", "apiserver_authorization_decisions_total",
		"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds",
		"go_goroutines", "go_gc_duration_seconds", "go_memstats_alloc_bytes",
	} {
		t.Run(name, func(t *testing.T) {
			if want[name] == "" {
				t.Fatal("the reference does not have it")
			}
			if diff := cmp.Diff(want[name], got[name]); diff != "" {
				t.Errorf("type and labels (-kube-apiserver +Gatehouse):\n%s", diff)
			}
		})
	}
}

// scrape does what makes the metrics appear and returns them.
func scrape(t *testing.T, s *side) string {
	t.Helper()
	for _, path := range []string{"/api/v1/pods", "/api/v1/namespaces/default", "/api/v1/namespaces?watch=1&timeoutSeconds=1", "/version"} {
		s.get(t, path, "application/json")
	}
	resp, err := s.admin.Get(s.server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return string(text)
}

// families maps names to types and label names.
func families(t *testing.T, text string) map[string]string {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, f := range parsed {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		out[name] = f.GetType().String() + " " + strings.Join(labels, ",")
	}
	return out
}
