package server

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// metrics counts requests under the names of the reference, since dashboards and alerts ask for those. Every label value comes
// from a fixed set: verbs and codes of this server and resources of the table. What a client invents is counted under "other"
// and empty names, so that no client can make the series grow.
//
// A request finds everything that is counted about its kind, a series, with one look into a map. Asking each vector for its
// child would hash eight label values several times per request.
type metrics struct {
	table *resource.Table
	known func(path string) bool

	total                     *prometheus.CounterVec
	seconds, objective, sizes *prometheus.HistogramVec
	running                   *prometheus.GaugeVec
	ended                     *prometheus.CounterVec
	mutating, readOnly        prometheus.Gauge
	handshakeErrors           prometheus.Counter
	stages                    stageMetrics

	mu     sync.RWMutex // guards series
	series map[seriesKey]*series
}

// seriesKey is what the labels of a request follow from.
type seriesKey struct {
	t                    *resource.Type
	verb, sub, scope     string
	component            string
	group, version, name string
	dryRun               bool
}

// series is what is counted about one kind of request.
type series struct {
	dryRun    string   // the label
	labels    []string // verb, group, version, resource, subresource, scope, component
	ok        prometheus.Counter
	seconds   prometheus.Observer
	objective prometheus.Observer
	sizes     prometheus.Observer // nil for verbs whose answers have no telling size
	running   prometheus.Gauge
}

// Buckets as the reference has them: alerts name their bounds.
var (
	requestBuckets   = resource.DurationBuckets()
	objectiveBuckets = requestBuckets[2:]
	sizeBuckets      = prometheus.ExponentialBuckets(1000, 10, 7)
)

func newMetrics(registry *prometheus.Registry, table *resource.Table, known func(string) bool) (*metrics, error) {
	labels := []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}
	histogram := func(name, help string, buckets []float64, labels []string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels []string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	inflight := gauge("apiserver_current_inflight_requests", "Requests being handled, long-running ones left out.", []string{"request_kind"})
	m := &metrics{
		table: table, known: known, series: map[seriesKey]*series{},
		total:     counter("apiserver_request_total", "Requests answered, by verb, dry run, resource, scope and response code.", append([]string{"code", "dry_run"}, labels...)),
		seconds:   histogram("apiserver_request_duration_seconds", "Time from the request's head to the end of its answer.", requestBuckets, append([]string{"dry_run"}, labels...)),
		objective: histogram("apiserver_request_sli_duration_seconds", "The same, as service level objectives are stated about it. Nothing here waits for webhooks yet.", objectiveBuckets, labels),
		sizes:     histogram("apiserver_response_sizes", "Bytes of answers that are not streams, as sent.", sizeBuckets, labels),
		running:   gauge("apiserver_longrunning_requests", "Watches and other streams that are open.", labels),
		ended:     counter("apiserver_request_terminations_total", "Requests refused to protect the server.", append([]string{"code"}, labels...)),
		handshakeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "apiserver_tls_handshake_errors_total", Help: "Connections that ended in their TLS handshake.",
		}),
		mutating: inflight.WithLabelValues("mutating"),
		readOnly: inflight.WithLabelValues("readOnly"),
		stages:   newStageMetrics(),
	}
	var errs []error
	for _, c := range append([]prometheus.Collector{
		m.total, m.seconds, m.objective, m.sizes, m.running, m.ended, m.handshakeErrors, inflight,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, m.stages.collectors()...) {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("server: register metrics: %w", err)
	}
	return m, nil
}

// begin counts a request that is about to be handled; the function it returns ends that.
func (m *metrics) begin(info api.RequestInfo, longRunning bool) func() {
	gauge := m.mutating
	switch {
	case longRunning:
		gauge = m.of(info, outcome{}).running
	case info.IsReadOnly():
		gauge = m.readOnly
	}
	gauge.Inc()
	return gauge.Dec
}

// outcome is what is counted about a finished request.
type outcome struct {
	code        int
	size        int64 // of the answer in bytes, as sent
	took        time.Duration
	dryRun      bool
	apply       bool // a patch that is server-side apply
	longRunning bool // its duration and size say nothing
}

// observe counts one finished request.
func (m *metrics) observe(info api.RequestInfo, o outcome) {
	s := m.of(info, o)
	s.answered(m, o).Inc()
	if o.code == http.StatusTooManyRequests {
		m.ended.WithLabelValues(append([]string{strconv.Itoa(o.code)}, s.labels...)...).Inc()
	}
	if o.longRunning {
		return
	}
	s.seconds.Observe(o.took.Seconds())
	s.objective.Observe(o.took.Seconds())
	if s.sizes != nil {
		s.sizes.Observe(float64(o.size))
	}
}

// answered is the counter of the outcome. The most frequent one is remembered.
func (s *series) answered(m *metrics, o outcome) prometheus.Counter {
	if o.code == http.StatusOK {
		return s.ok
	}
	return m.total.WithLabelValues(append([]string{strconv.Itoa(o.code), s.dryRun}, s.labels...)...)
}

// of finds the series of a request.
func (m *metrics) of(info api.RequestInfo, o outcome) *series {
	key := m.key(info)
	if o.apply {
		key.verb = "APPLY"
	}
	key.dryRun = o.dryRun
	m.mu.RLock()
	s := m.series[key]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	labels := []string{key.verb, key.group, key.version, key.name, key.sub, key.scope, key.component}
	s = &series{labels: labels, objective: m.objective.WithLabelValues(labels...), running: m.running.WithLabelValues(labels...)}
	if key.dryRun {
		s.dryRun = "All"
	}
	s.seconds = m.seconds.WithLabelValues(append([]string{s.dryRun}, labels...)...)
	s.ok = m.total.WithLabelValues(append([]string{"200", s.dryRun}, labels...)...)
	if key.verb == "GET" || key.verb == "LIST" {
		s.sizes = m.sizes.WithLabelValues(labels...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.series[key] = s
	return s
}

func (m *metrics) key(info api.RequestInfo) seriesKey {
	key := seriesKey{verb: metricVerb(info.Verb)}
	if !info.IsResource {
		if m.known(info.Path) && strings.Count(info.Path, "/") == 1 {
			key.sub = info.Path
		}
		return key
	}
	t, ok := m.table.Lookup(info.Group, info.Version, info.Resource)
	if !ok {
		return key
	}
	key.t, key.group, key.version, key.name, key.component = t, t.Group, t.Version, t.Resource, "apiserver"
	if _, ok := t.Subresource(info.Subresource); ok {
		key.sub = info.Subresource
	}
	if connects(info) {
		key.verb = "CONNECT"
	}
	switch {
	case info.Name != "" || info.Verb == "create":
		key.scope = "resource"
	case info.Namespace != "":
		key.scope = "namespace"
	default:
		key.scope = "cluster"
	}
	return key
}

// metricVerb spells the verb as the reference's dashboards expect it.
func metricVerb(verb string) string {
	switch verb {
	case "get":
		return "GET"
	case "list":
		return "LIST"
	case "watch":
		return "WATCH"
	case "patch":
		return "PATCH"
	case "delete":
		return "DELETE"
	case "deletecollection":
		return "DELETECOLLECTION"
	case "head":
		return "HEAD"
	case "options":
		return "OPTIONS"
	case "create", "post":
		return "POST"
	case "update", "put":
		return "PUT"
	}
	return "other"
}
