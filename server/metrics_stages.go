package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
)

// stageMetrics counts what the stages before the handler decide, under the names of the reference.
type stageMetrics struct {
	authentications *prometheus.CounterVec
	authentication  *prometheus.HistogramVec
	users           *prometheus.CounterVec
	authorizations  *prometheus.CounterVec
	authorization   *prometheus.HistogramVec
	decisions       *prometheus.CounterVec
	expiry          prometheus.Histogram
	audited         prometheus.Counter
	unaudited       prometheus.Counter
}

const day = 24 * time.Hour

func newStageMetrics() stageMetrics {
	result := []string{"result"}
	stage := prometheus.ExponentialBuckets(.001, 2, 15)
	var days []float64
	for _, d := range []time.Duration{
		0, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		day, 2 * day, 4 * day, 7 * day, 30 * day, 90 * day, 180 * day, 360 * day,
	} {
		days = append(days, d.Seconds())
	}
	return stageMetrics{
		authentications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authentication_attempts", Help: "Requests by how their authentication ended: success, failure or error.",
		}, result),
		authentication: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "authentication_duration_seconds", Help: "Time in which a request was authenticated.", Buckets: stage,
		}, result),
		users: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authenticated_user_requests", Help: "Authenticated requests; of the names only admin is told apart.",
		}, []string{"username"}),
		authorizations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authorization_attempts_total", Help: "Requests by how their authorization ended: allowed, denied or error.",
		}, result),
		authorization: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "authorization_duration_seconds", Help: "Time in which a request was authorized.", Buckets: stage,
		}, result),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_authorization_decisions_total", Help: "Decisions of the chain of authorizers.",
		}, []string{"type", "name", "decision"}),
		expiry: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "apiserver_client_certificate_expiration_seconds", Help: "Time left to client certificates that were accepted.", Buckets: days,
		}),
		audited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "apiserver_audit_event_total", Help: "Requests with an audit record.",
		}),
		unaudited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "apiserver_audit_requests_rejected_total", Help: "Requests refused because they could not be recorded.",
		}),
	}
}

func (s *stageMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		s.authentications, s.authentication, s.users, s.authorizations, s.authorization, s.decisions, s.expiry, s.audited, s.unaudited,
	}
}

// authenticated counts an authentication. A certificate that was accepted tells when it will cease to be.
func (s *stageMetrics) authenticated(r *http.Request, who *authn.Result, err error, took time.Duration) {
	result := "success"
	switch {
	case err == nil:
	case notChecked(err):
		result = "error"
	default:
		result = "failure"
	}
	s.authentications.WithLabelValues(result).Inc()
	s.authentication.WithLabelValues(result).Observe(took.Seconds())
	if err != nil {
		return
	}
	name := "other"
	if who.User.Name == "admin" {
		name = who.User.Name
	}
	s.users.WithLabelValues(name).Inc()
	if who.Method == "x509" && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		s.expiry.Observe(time.Until(r.TLS.PeerCertificates[0].NotAfter).Seconds())
	}
}

// authorized counts a decision.
func (s *stageMetrics) authorized(err error, took time.Duration) {
	result := "allowed"
	switch {
	case err == nil:
	case errors.Is(err, authz.ErrDenied):
		result = "denied"
	default:
		result = "error"
	}
	s.authorizations.WithLabelValues(result).Inc()
	s.authorization.WithLabelValues(result).Observe(took.Seconds())
	s.decisions.WithLabelValues("Chain", "gatehouse", result).Inc()
}
