package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/resource"
)

// watchMetrics counts what watchers are sent, under the names of the reference.
type watchMetrics struct {
	events *prometheus.CounterVec
	sizes  *prometheus.HistogramVec
}

func newWatchMetrics() watchMetrics {
	labels := []string{"group", "version", "resource"}
	return watchMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_watch_events_total", Help: "Events sent to watchers."}, labels),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_watch_events_sizes", Help: "Bytes of events sent to watchers.", Buckets: prometheus.ExponentialBuckets(1024, 2, 8),
		}, labels),
	}
}

// of returns the function that counts the events of one watch, given the bytes of each.
func (m watchMetrics) of(t *resource.Type) func(size int) {
	events := m.events.WithLabelValues(t.Group, t.Version, t.Resource)
	sizes := m.sizes.WithLabelValues(t.Group, t.Version, t.Resource)
	return func(size int) {
		events.Inc()
		sizes.Observe(float64(size))
	}
}

// Describe implements [prometheus.Collector] with what watchers are sent, by resource.
func (s *REST) Describe(to chan<- *prometheus.Desc) {
	s.events.events.Describe(to)
	s.events.sizes.Describe(to)
}

// Collect implements [prometheus.Collector].
func (s *REST) Collect(to chan<- prometheus.Metric) {
	s.events.events.Collect(to)
	s.events.sizes.Collect(to)
}
