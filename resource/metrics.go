package resource

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sizeTimeout bounds what a scrape waits for etcd to say how large it is.
const sizeTimeout = time.Second

// StorageMetrics counts operations on etcd and what is stored, under the names of the reference. Labels are the resources of the
// table, and "other" for the server's own keys.
type StorageMetrics struct {
	service *Service
	byKey   map[string]storageLabels // by the first segment, or the first two, of a key below the registry's prefix

	requests *prometheus.CounterVec
	failures *prometheus.CounterVec
	seconds  *prometheus.HistogramVec

	objects, counted, size *prometheus.Desc
}

// DurationBuckets are the bounds of histograms of durations, in seconds, as the reference has them: alerts name them.
func DurationBuckets() []float64 {
	return []float64{.005, .025, .05, .1, .2, .4, .6, .8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}
}

type storageLabels struct{ group, resource string }

// NewStorageMetrics describes the storage behind the service. Its Observe is what [store.Etcd] is to tell of operations.
func NewStorageMetrics(s *Service) *StorageMetrics {
	labels := []string{"operation", "group", "resource"}
	m := &StorageMetrics{
		service: s, byKey: map[string]storageLabels{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "etcd_requests_total", Help: "Operations on etcd."}, labels),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "etcd_request_errors_total", Help: "Operations on etcd that failed."}, labels),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "etcd_request_duration_seconds", Help: "Time of operations on etcd.",
			Buckets: DurationBuckets(),
		}, labels),
		objects: prometheus.NewDesc("apiserver_storage_objects", "Objects stored, by resource.", []string{"resource"}, nil),
		counted: prometheus.NewDesc("apiserver_resource_objects", "Objects stored, by group and resource.", []string{"group", "resource"}, nil),
		size:    prometheus.NewDesc("apiserver_storage_size_bytes", "Size of etcd's database.", []string{"storage_cluster_id"}, nil),
	}
	for _, t := range s.Table.Types() {
		if t.Persisted() && t.StoredAs == nil {
			m.byKey[t.Prefix] = storageLabels{t.Group, t.Resource}
		}
	}
	return m
}

// Observe counts an operation; see [store.Observer].
func (m *StorageMetrics) Observe(operation, key string, took time.Duration, err error) {
	l := m.labels(key)
	m.requests.WithLabelValues(operation, l.group, l.resource).Inc()
	m.seconds.WithLabelValues(operation, l.group, l.resource).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(operation, l.group, l.resource).Inc()
	}
}

func (m *StorageMetrics) labels(key string) storageLabels {
	rest := strings.TrimPrefix(strings.TrimPrefix(key, m.service.Mirror.Etcd().Prefix()), "/")
	first, more, _ := strings.Cut(rest, "/")
	if l, ok := m.byKey[first]; ok {
		return l
	}
	second, _, _ := strings.Cut(more, "/")
	if l, ok := m.byKey[first+"/"+second]; ok {
		return l
	}
	return storageLabels{resource: "other"}
}

// Describe implements [prometheus.Collector].
func (m *StorageMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.requests, m.failures, m.seconds} {
		c.Describe(to)
	}
	to <- m.objects
	to <- m.counted
	to <- m.size
}

// Collect implements [prometheus.Collector]. The size is left out while etcd does not tell.
func (m *StorageMetrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.requests, m.failures, m.seconds} {
		c.Collect(to)
	}
	for prefix, l := range m.byKey {
		n := float64(m.service.caches[prefix].Len())
		name := l.resource
		if l.group != "" {
			name += "." + l.group
		}
		to <- prometheus.MustNewConstMetric(m.objects, prometheus.GaugeValue, n, name)
		to <- prometheus.MustNewConstMetric(m.counted, prometheus.GaugeValue, n, l.group, l.resource)
	}
	ctx, cancel := context.WithTimeout(context.Background(), sizeTimeout)
	defer cancel()
	if size, err := m.service.Mirror.Etcd().Size(ctx); err == nil {
		to <- prometheus.MustNewConstMetric(m.size, prometheus.GaugeValue, float64(size), "etcd-0")
	}
}
