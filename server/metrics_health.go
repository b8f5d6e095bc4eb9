package server

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse/gatehouse/api"
)

// metricsInWork bounds how many may read metrics at once; more get 503.
const metricsInWork = 4

// healthMetrics are the results of health checks as service level indicators, under the names of the reference. Names and types are those of
// the checks there are, so their number is fixed. They have a registry of their own, which /metrics/slis serves: it may be read often.
type healthMetrics struct {
	registry *prometheus.Registry
	last     *prometheus.GaugeVec
	total    *prometheus.CounterVec
}

func newHealthMetrics() (healthMetrics, error) {
	m := healthMetrics{
		registry: prometheus.NewRegistry(),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubernetes_healthcheck", Help: "The last result of a health check: 1 if it held, else 0.",
		}, []string{"name", "type"}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubernetes_healthchecks_total", Help: "Results of health checks, success or error.",
		}, []string{"name", "type", "status"}),
	}
	if err := errors.Join(m.registry.Register(m.last), m.registry.Register(m.total)); err != nil {
		return m, fmt.Errorf("server: register metrics of health checks: %w", err)
	}
	return m, nil
}

// observe counts the result of one check for a probe of all.
func (m healthMetrics) observe(probe, check string, err error) {
	status, value := "success", 1.0
	if err != nil {
		status, value = "error", 0
	}
	m.last.WithLabelValues(check, probe).Set(value)
	m.total.WithLabelValues(check, probe, status).Inc()
}

// metricsPage serves what a registry holds. The reference forgets its metrics on DELETE; nobody needs that.
func metricsPage(registry *prometheus.Registry) page {
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: metricsInWork})
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return api.MethodNotAllowed()
		}
		handler.ServeHTTP(w, r)
		return nil
	}
}
