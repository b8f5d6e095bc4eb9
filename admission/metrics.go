package admission

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxWebhookNames bounds how many webhooks are told apart in metrics; the others are "other". Whoever may write configurations chooses names.
const MaxWebhookNames = 1000

// The types of steps in metrics. Mutating webhooks are of the first type, validating ones of a third.
const (
	stepAdmit    = "admit"
	stepValidate = "validate"
)

// Metrics counts what admission does, under the names of the reference. The nil Metrics counts nothing.
type Metrics struct {
	steps, plugins, webhooks       *prometheus.HistogramVec
	requests, rejections, failOpen *prometheus.CounterVec

	mu    sync.Mutex
	names map[string]bool
}

// NewMetrics returns metrics that have counted nothing. They are a [prometheus.Collector].
func NewMetrics() *Metrics {
	seconds := func(of, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		opts := prometheus.HistogramOpts{Name: "apiserver_admission_" + of + "_admission_duration_seconds", Help: help, Buckets: buckets}
		return prometheus.NewHistogramVec(opts, labels)
	}
	count := func(of, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_admission_webhook_" + of, Help: help}, labels)
	}
	short, long := []float64{.005, .025, .1, .5, 1, 2.5}, []float64{.005, .025, .1, .5, 1, 2.5, 10, 25}
	return &Metrics{
		steps:      seconds("step", "Time of mutating or validating admission.", short, "type", "operation", "rejected"),
		plugins:    seconds("controller", "Time of one admission plugin.", short, "name", "type", "operation", "rejected"),
		webhooks:   seconds("webhook", "Time of asking one admission webhook.", long, "name", "type", "operation", "rejected"),
		requests:   count("request_total", "Admission webhooks asked.", "name", "type", "operation", "code", "rejected"),
		rejections: count("rejection_count", "Refusals by admission webhooks or for want of their answer.", "name", "type", "operation", "error_type", "rejection_code"),
		failOpen:   count("fail_open_count", "Admission webhooks that could not be asked and do not refuse for it.", "name", "type"),
		names:      map[string]bool{},
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.steps, m.plugins, m.webhooks, m.requests, m.rejections, m.failOpen}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(to)
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(to)
	}
}

// step counts all plugins of a step, and plugin one of them; one without a name is not counted by itself.
func (m *Metrics) step(step string, a *Attributes, began time.Time, err error) {
	if m != nil {
		m.steps.WithLabelValues(step, string(a.Operation), strconv.FormatBool(err != nil)).Observe(time.Since(began).Seconds())
	}
}

func (m *Metrics) plugin(name, step string, a *Attributes, began time.Time, err error) {
	if m != nil && name != "" {
		m.plugins.WithLabelValues(name, step, string(a.Operation), strconv.FormatBool(err != nil)).Observe(time.Since(began).Seconds())
	}
}

// WebhookCall is what came of asking an admission webhook.
type WebhookCall struct {
	Name      string
	Mutating  bool
	Operation Operation
	Took      time.Duration
	// Code is 200, or that of the refusal; 0 where the webhook has nothing to do with it.
	Code int
	// Rejected refuses the request, and Failure says why: calling_webhook_error, apiserver_internal_error or no_error.
	Rejected bool
	Failure  string
	// FailedOpen is a webhook that could not be asked and does not refuse for it.
	FailedOpen bool
}

// Webhook counts that a webhook was asked.
func (m *Metrics) Webhook(c WebhookCall) {
	const maxCode = 600
	if m == nil {
		return
	}
	kind := "validating"
	if c.Mutating {
		kind = stepAdmit
	}
	name, operation, code, rejected := m.known(c.Name), string(c.Operation), strconv.Itoa(min(c.Code, maxCode)), strconv.FormatBool(c.Rejected)
	m.webhooks.WithLabelValues(name, kind, operation, rejected).Observe(c.Took.Seconds())
	m.requests.WithLabelValues(name, kind, operation, code, rejected).Inc()
	if c.Rejected {
		m.rejections.WithLabelValues(name, kind, operation, c.Failure, code).Inc()
	}
	if c.FailedOpen {
		m.failOpen.WithLabelValues(name, kind).Inc()
	}
}

// known is the name as a label.
func (m *Metrics) known(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.names[name] {
		if len(m.names) >= MaxWebhookNames {
			return "other"
		}
		m.names[name] = true
	}
	return name
}
