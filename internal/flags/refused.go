package flags

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// recorder is the value of a flag that sets nothing: that it occurred, and how, is judged when all are known.
type recorder struct {
	flag  string
	given *[]given
	kind  string
}

// Set records an occurrence.
func (r recorder) Set(text string) error {
	*r.given = append(*r.given, given{r.flag, text})
	return nil
}

// String is the value in effect, which is none.
func (r recorder) String() string { return "" }

// Type is what a help text would show.
func (r recorder) Type() string { return r.kind }

func (s *Set) record(name, usage string, boolean bool) {
	kind := "string"
	if boolean {
		kind = "bool"
	}
	f := s.all.VarPF(recorder{name, &s.given, kind}, name, "", usage)
	f.Hidden = true
	if boolean {
		f.NoOptDefVal = "true"
	}
}

// A fixed flag of kube-apiserver can say only one thing here; saying that is harmless.
type fixed struct {
	flag    string
	values  []string // accepted; nil accepts all
	reason  string
	boolean bool
}

func fixedFlags() []fixed {
	return []fixed{
		{"profiling", []string{"false"}, "there are no profiling endpoints", true},
		{"contention-profiling", []string{"false"}, "there are no profiling endpoints", true},
		{"enable-logs-handler", []string{"false"}, "there is no /logs endpoint", true},
		{"allow-privileged", []string{"true"}, "policies decide about privileged containers", true},
		{"service-account-lookup", []string{"true"}, "that the service account exists is always checked", true},
		{"watch-cache", []string{"true"}, "all reads are served from the cache", true},
		{"storage-backend", []string{"etcd3"}, "etcd 3 is the only backend", false},
		{"storage-media-type", []string{"application/vnd.kubernetes.protobuf"}, "built-in objects are always stored as protobuf", false},
		{"audit-log-format", []string{"json"}, "the audit log is always JSON", false},
		{"audit-log-version", []string{"audit.k8s.io/v1"}, "it is the only version", false},
		{"audit-log-mode", []string{"blocking", "blocking-strict"}, "the record of a write is always on disk before the write is done", false},
		{"log-flush-frequency", nil, "log messages are never buffered", false},
	}
}

func (s *Set) registerFixed() {
	for _, f := range fixedFlags() {
		s.record(f.flag, f.reason, f.boolean)
	}
}

func (s *Set) registerRefused() {
	for _, name := range refusedFlags() {
		s.record(name, "not implemented yet", false)
	}
	for _, name := range refusedBooleans() {
		s.record(name, "not implemented yet", true)
	}
}

// judge decides about a flag that sets nothing.
func judge(g given) (note string, err error) {
	for _, f := range fixedFlags() {
		switch {
		case f.flag != g.flag:
			continue
		case f.values == nil || slices.Contains(f.values, g.value):
			return fmt.Sprintf("--%s=%s changes nothing: %s", g.flag, g.value, f.reason), nil
		}
		return "", fmt.Errorf("--%s=%s: not implemented, %s: leave it out or give %s", g.flag, g.value, f.reason, strings.Join(f.values, " or "))
	}
	return "", fmt.Errorf("--%s: not implemented yet", g.flag)
}

// refusedFlags are the flags of kube-apiserver 1.36 that take a value and are not implemented.
func refusedFlags() []string {
	return strings.Fields(`
		cors-allowed-origins strict-transport-security-directives min-request-timeout goaway-chance livez-grace-period
		storage-initialization-timeout shutdown-delay-duration shutdown-watch-termination-grace-period
		feature-gates emulated-version min-compatibility-version

		etcd-servers-overrides watch-cache-sizes default-watch-cache-size etcd-count-metric-poll-period
		etcd-db-metric-poll-interval etcd-healthcheck-timeout etcd-readycheck-timeout lease-reuse-duration-seconds
		delete-collection-workers encryption-provider-config

		tls-curve-preferences tls-sni-cert-key

		authentication-config authentication-token-webhook-config-file authentication-token-webhook-version
		authentication-token-webhook-cache-ttl oidc-issuer-url oidc-client-id oidc-ca-file oidc-username-claim
		oidc-username-prefix oidc-groups-claim oidc-groups-prefix oidc-signing-algs oidc-required-claim
		service-account-signing-endpoint

		authorization-config authorization-policy-file authorization-webhook-config-file authorization-webhook-version
		authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl

		admission-control-config-file admission-control

		audit-webhook-config-file audit-webhook-version audit-webhook-initial-backoff audit-webhook-batch-initial-backoff
		audit-webhook-mode audit-log-batch-buffer-size audit-log-batch-max-size audit-log-batch-max-wait
		audit-log-batch-throttle-qps audit-log-batch-throttle-burst audit-log-truncate-max-batch-size
		audit-log-truncate-max-event-size audit-webhook-batch-buffer-size audit-webhook-batch-max-size
		audit-webhook-batch-max-wait audit-webhook-batch-throttle-qps audit-webhook-batch-throttle-burst
		audit-webhook-truncate-max-batch-size audit-webhook-truncate-max-event-size

		runtime-config debug-socket-path egress-selector-config-file tracing-config-file

		apiserver-count kubelet-client-certificate kubelet-client-key
		kubelet-certificate-authority kubelet-preferred-address-types kubelet-timeout kubelet-port kubelet-read-only-port

		proxy-client-cert-file proxy-client-key-file peer-ca-file peer-advertise-ip peer-advertise-port
		max-connection-bytes-per-sec coordinated-leadership-lease-duration coordinated-leadership-renew-deadline
		coordinated-leadership-retry-period

		show-hidden-metrics-for-version disabled-metrics allow-metric-labels allow-metric-labels-manifest vmodule
		log-text-info-buffer-size log-json-info-buffer-size
	`)
}

// refusedBooleans are those that can be given without a value.
func refusedBooleans() []string {
	return strings.Fields(`
		shutdown-send-retry-after emulation-forward-compatible runtime-config-emulation-forward-compatible
		enable-garbage-collector encryption-provider-config-automatic-reload disable-http2-serving permit-address-sharing
		permit-port-sharing audit-log-compress audit-log-batch-throttle-enable
		audit-log-truncate-enabled audit-webhook-batch-throttle-enable audit-webhook-truncate-enabled
		enable-priority-and-fairness enable-aggregator-routing aggregator-reject-forwarding-redirect
		log-text-split-stream log-json-split-stream
	`)
}

var _ pflag.Value = recorder{}
