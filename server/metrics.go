package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// metrics counts requests under the names of the reference. Every label value comes from a fixed set: verbs
// and codes of this server and resources of the table. What a client invents is counted under "other" and empty
// names, so that no client can make the series grow.
type metrics struct {
	table    *resource.Table
	known    func(path string) bool
	total    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	mutating prometheus.Gauge
	readOnly prometheus.Gauge
}

func newMetrics(registry *prometheus.Registry, table *resource.Table, known func(string) bool) (*metrics, error) {
	labels := []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}
	inflight := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "apiserver_current_inflight_requests", Help: "Requests being handled, watches included.",
	}, []string{"request_kind"})
	m := &metrics{
		table: table, known: known,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total", Help: "Requests answered, by verb, resource, scope and response code.",
		}, append([]string{"code"}, labels...)),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_duration_seconds", Help: "Time from the request's head to the end of its answer.",
			Buckets: []float64{.001, .005, .025, .05, .1, .2, .4, .6, .8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60},
		}, labels),
		mutating: inflight.WithLabelValues("mutating"),
		readOnly: inflight.WithLabelValues("readOnly"),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.total, m.seconds, inflight,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("server: register metrics: %w", err)
	}
	return m, nil
}

// inflight is the gauge under which a request that is being handled is counted.
func (m *metrics) inflight(info api.RequestInfo) prometheus.Gauge {
	if info.IsReadOnly() {
		return m.readOnly
	}
	return m.mutating
}

// observe counts one finished request. A long-running one counts, but its duration says nothing.
func (m *metrics) observe(info api.RequestInfo, code int, took time.Duration, longRunning bool) {
	labels := m.labels(info)
	m.total.WithLabelValues(append([]string{strconv.Itoa(code)}, labels...)...).Inc()
	if !longRunning {
		m.seconds.WithLabelValues(labels...).Observe(took.Seconds())
	}
}

// labels are verb, group, version, resource, subresource, scope and component.
func (m *metrics) labels(info api.RequestInfo) []string {
	verb := metricVerb(info.Verb)
	if !info.IsResource {
		path := ""
		if m.known(info.Path) && strings.Count(info.Path, "/") == 1 {
			path = info.Path
		}
		return []string{verb, "", "", "", path, "", ""}
	}
	t, ok := m.table.Lookup(info.Group, info.Version, info.Resource)
	if !ok {
		return []string{verb, "", "", "", "", "", ""}
	}
	sub := ""
	if _, ok := t.Subresource(info.Subresource); ok {
		sub = info.Subresource
	}
	scope := "cluster"
	switch {
	case info.Name != "":
		scope = "resource"
	case info.Namespace != "":
		scope = "namespace"
	}
	return []string{verb, t.Group, t.Version, t.Resource, sub, scope, "apiserver"}
}

// metricVerb spells the verb as the reference's dashboards expect it.
func metricVerb(verb string) string {
	switch verb {
	case "get", "list", "watch", "patch", "delete", "deletecollection", "head", "options":
		return strings.ToUpper(verb)
	case "create", "post":
		return "POST"
	case "update", "put":
		return "PUT"
	}
	return "other"
}
