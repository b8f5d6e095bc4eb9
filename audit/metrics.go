package audit

import "github.com/prometheus/client_golang/prometheus"

func newSyncSeconds() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "gatehouse_audit_sync_duration_seconds", Help: "Time in which a group of audit records was made durable.",
		Buckets: prometheus.ExponentialBuckets(.0001, 2, 16), // 0.1 ms to 3 s
	})
}

func (l *Log) newMetrics() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	counter := func(name, help string, f func(Stats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(f(l.Stats())) })
	}
	return []prometheus.Collector{
		l.committer.syncSeconds,
		gauge("gatehouse_audit_queue_bytes", "Memory held by audit records that are not durable.", func() float64 { return float64(l.queue.fill()) }),
		gauge("gatehouse_audit_healthy", "1 if the last attempt to write audit records and the last checkpoint succeeded, else 0.", func() float64 {
			if l.Healthy() != nil {
				return 0
			}
			return 1
		}),
		counter("gatehouse_audit_records_total", "Audit records written.", func(s Stats) uint64 { return s.Records }),
		counter("gatehouse_audit_written_bytes_total", "Bytes of audit records written.", func(s Stats) uint64 { return s.Bytes }),
		counter("gatehouse_audit_append_failures_total", "Attempts to write audit records that failed.", func(s Stats) uint64 { return s.Failed }),
		counter("gatehouse_audit_refused_writes_total", "Requests refused because their record was not durable.", func(s Stats) uint64 { return s.Refused + s.Late }),
		counter("gatehouse_audit_summarised_refusals_total", "Refusals that are on record as a number only.", func(s Stats) uint64 { return s.Similar }),
	}
}

// Describe implements [prometheus.Collector] with a fixed number of series named gatehouse_audit_*.
func (l *Log) Describe(to chan<- *prometheus.Desc) {
	for _, m := range l.metrics {
		m.Describe(to)
	}
}

// Collect implements [prometheus.Collector].
func (l *Log) Collect(to chan<- prometheus.Metric) {
	for _, m := range l.metrics {
		m.Collect(to)
	}
}
