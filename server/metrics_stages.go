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
	// What each request counts is looked up by its labels once.
	authenticatedAs map[string]ending // by result
	authorizedAs    map[string]ending // by result
	admin, others   prometheus.Counter

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

// ending is what is counted about a stage that ended in one of its ways.
type ending struct {
	counts  []prometheus.Counter
	seconds prometheus.Observer
}

func (e ending) observe(took time.Duration) {
	for _, c := range e.counts {
		c.Inc()
	}
	e.seconds.Observe(took.Seconds())
}

// Ways in which authentication and authorization end.
const (
	resultSuccess, resultFailure = "success", "failure"
	resultAllowed, resultDenied  = "allowed", "denied"
	resultError                  = "error"
)

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
	s := stageMetrics{
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
		authenticatedAs: map[string]ending{}, authorizedAs: map[string]ending{},
	}
	s.admin, s.others = s.users.WithLabelValues("admin"), s.users.WithLabelValues("other")
	for _, r := range []string{resultSuccess, resultFailure, resultError} {
		s.authenticatedAs[r] = ending{[]prometheus.Counter{s.authentications.WithLabelValues(r)}, s.authentication.WithLabelValues(r)}
	}
	for _, r := range []string{resultAllowed, resultDenied, resultError} {
		s.authorizedAs[r] = ending{
			[]prometheus.Counter{s.authorizations.WithLabelValues(r), s.decisions.WithLabelValues("Chain", "gatehouse", r)}, s.authorization.WithLabelValues(r),
		}
	}
	return s
}

func (s *stageMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		s.authentications, s.authentication, s.users, s.authorizations, s.authorization, s.decisions, s.expiry, s.audited, s.unaudited,
	}
}

// authenticated counts an authentication. A certificate that was accepted tells when it will cease to be.
func (s *stageMetrics) authenticated(r *http.Request, who *authn.Result, err error, took time.Duration) {
	result := resultSuccess
	switch {
	case err == nil:
	case notChecked(err):
		result = resultError
	default:
		result = resultFailure
	}
	s.authenticatedAs[result].observe(took)
	if err != nil {
		return
	}
	if who.User.Name == "admin" {
		s.admin.Inc()
	} else {
		s.others.Inc()
	}
	if who.Method == "x509" && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		s.expiry.Observe(time.Until(r.TLS.PeerCertificates[0].NotAfter).Seconds())
	}
}

// authorized counts a decision.
func (s *stageMetrics) authorized(err error, took time.Duration) {
	result := resultAllowed
	switch {
	case err == nil:
	case errors.Is(err, authz.ErrDenied):
		result = resultDenied
	default:
		result = resultError
	}
	s.authorizedAs[result].observe(took)
}
