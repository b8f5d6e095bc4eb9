package policies

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// meters count what an engine does. Series with a policy's name exist for policies of the set in use only.
type meters struct {
	info, policies, loaded *prometheus.Desc
	loadErrors             prometheus.Counter
	seconds                *prometheus.HistogramVec
	failures               *prometheus.CounterVec
}

func newMeters() *meters {
	return &meters{
		info:     prometheus.NewDesc("gatehouse_policy_set_info", "1 for the digest of the policies in use.", []string{"digest"}, nil),
		policies: prometheus.NewDesc("gatehouse_policy_set_policies", "Policies that are on.", nil, nil),
		loaded: prometheus.NewDesc("gatehouse_policy_last_load_success",
			"1 if the last attempt to load policies succeeded; 0 if it failed and those before it are in use.", nil, nil),
		loadErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_policy_load_errors_total", Help: "Attempts to load policies that failed.",
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_policy_evaluation_duration_seconds", Help: "Time of one evaluation of a policy.",
			Buckets: prometheus.ExponentialBuckets(.000025, 4, 8), // 25 us to 0.4 s
		}, []string{"policy"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_policy_evaluation_failures_total", Help: "Evaluations of a policy that failed, whatever its failurePolicy.",
		}, []string{"policy"}),
	}
}

// keep forgets the policies that are not in the set.
func (m *meters) keep(old, set *Set) {
	if old == nil {
		return
	}
	for _, p := range old.policies {
		if !slices.ContainsFunc(set.policies, func(other *policy) bool { return other.name == p.name }) {
			m.seconds.DeleteLabelValues(p.name)
			m.failures.DeleteLabelValues(p.name)
		}
	}
}

// Describe implements [prometheus.Collector] with series named gatehouse_policy_*, a few for each policy.
func (e *Engine) Describe(to chan<- *prometheus.Desc) {
	if m := e.meters; m != nil {
		for _, d := range []*prometheus.Desc{m.info, m.policies, m.loaded} {
			to <- d
		}
		m.loadErrors.Describe(to)
		m.seconds.Describe(to)
		m.failures.Describe(to)
	}
}

// Collect implements [prometheus.Collector].
func (e *Engine) Collect(to chan<- prometheus.Metric) {
	m := e.meters
	if m == nil {
		return
	}
	s := e.Status()
	if s.Digest != "" {
		to <- prometheus.MustNewConstMetric(m.info, prometheus.GaugeValue, 1, s.Digest)
	}
	loaded := 1.0
	if s.Err != nil {
		loaded = 0
	}
	to <- prometheus.MustNewConstMetric(m.loaded, prometheus.GaugeValue, loaded)
	to <- prometheus.MustNewConstMetric(m.policies, prometheus.GaugeValue, float64(s.Policies))
	m.loadErrors.Collect(to)
	m.seconds.Collect(to)
	m.failures.Collect(to)
}
