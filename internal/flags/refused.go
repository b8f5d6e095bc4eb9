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
		{"log-text-split-stream", []string{"false"}, "all log messages go to standard error", true},
		{"log-json-split-stream", []string{"false"}, "all log messages go to standard error", true},
		{"log-text-info-buffer-size", nil, "log messages are never buffered", false},
		{"log-json-info-buffer-size", nil, "log messages are never buffered", false},
		{"show-hidden-metrics-for-version", nil, "no metric is hidden", false},
		{"livez-grace-period", nil, "/livez succeeds as soon as requests are answered, also while what is needed for /readyz is made", false},
		{"storage-initialization-timeout", nil, "the server goes on waiting for etcd, and is not ready meanwhile", false},
		{"etcd-healthcheck-timeout", nil, "the health of etcd is asked of a connection that is watched all the time, within the probe's own time", false},
		{"etcd-readycheck-timeout", nil, "the health of etcd is asked of a connection that is watched all the time, within the probe's own time", false},
		{"emulated-version", []string{"1.36", "kube=1.36", "kube=v1.36", ""}, "it is the only version", false},
		{"min-compatibility-version", []string{"1.36", "1.35", "kube=1.36", "kube=1.35", ""}, "what is stored can be read by both", false},
		{"emulation-forward-compatible", []string{"false"}, "no other version is emulated", true},
		{"runtime-config-emulation-forward-compatible", []string{"false"}, "no other version is emulated", true},
		{"watch-cache-sizes", nil, "the cache holds all objects, and events by their size", false},
		{"default-watch-cache-size", nil, "the cache holds all objects, and events by their size", false},
		{"etcd-count-metric-poll-period", nil, "objects are counted in the cache when metrics are read", false},
		{"etcd-db-metric-poll-interval", nil, "the size is asked for when metrics are read", false},
		{"lease-reuse-duration-seconds", nil, "events share leases for a twentieth of their time, a minute at most", false},
		{"delete-collection-workers", nil, "the objects of a collection are deleted one after the other", false},
		{"enable-garbage-collector", []string{"true"}, "owner references and finalizers are always honoured", true},
		{"permit-address-sharing", nil, "the system always lets a closing socket's address be used again", true},
		{"permit-port-sharing", []string{"false"}, "two servers on one port would share clients at random", true},
		{"enable-priority-and-fairness", []string{"true"}, "requests are always shared out fairly between clients", true},
		{"max-connection-bytes-per-sec", []string{"0"}, "connections are not throttled by bytes", false},
		{"proxy-client-cert-file", nil, "there are no aggregated API servers yet that it could be shown to", false},
		{"proxy-client-key-file", nil, "there are no aggregated API servers yet that its certificate could be shown to", false},
		{"enable-aggregator-routing", nil, "there are no aggregated API servers yet", true},
		{"aggregator-reject-forwarding-redirect", []string{"true"}, "there are no aggregated API servers yet", true},
		{"kubelet-port", []string{"10250"}, "nodes tell the port of their kubelet, and 10250 is that of those that do not", false},
		{"kubelet-read-only-port", nil, "nothing is ever asked at that port", false},
		{"apiserver-count", nil, "the endpoints of the service kubernetes are kept by leases", false},
		{"coordinated-leadership-lease-duration", nil, "there is no coordinated leader election", false},
		{"coordinated-leadership-renew-deadline", nil, "there is no coordinated leader election", false},
		{"coordinated-leadership-retry-period", nil, "there is no coordinated leader election", false},
		{"audit-log-compress", []string{"false"}, "finished files of the audit log are kept as they are", true},
		{"audit-log-truncate-enabled", []string{"false"}, "events are bounded where they are made", true},
		{"audit-webhook-truncate-enabled", []string{"false"}, "there is no audit webhook", true},
		{"encryption-provider-config-automatic-reload", []string{"false"}, "there is no encryption provider", true},
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
	if g.flag == "authorization-policy-file" {
		return "", fmt.Errorf("--%s: %s", g.flag, noABAC)
	}
	return "", fmt.Errorf("--%s: not implemented yet", g.flag)
}

// refusedFlags are the flags of kube-apiserver 1.36 that take a value and are not implemented.
func refusedFlags() []string {
	return strings.Fields(`
		etcd-servers-overrides encryption-provider-config

		service-account-signing-endpoint

		authorization-policy-file

		admission-control

		audit-webhook-config-file audit-webhook-version audit-webhook-initial-backoff audit-webhook-batch-initial-backoff
		audit-webhook-mode audit-log-batch-buffer-size audit-log-batch-max-size audit-log-batch-max-wait
		audit-log-batch-throttle-qps audit-log-batch-throttle-burst audit-log-truncate-max-batch-size
		audit-log-truncate-max-event-size audit-webhook-batch-buffer-size audit-webhook-batch-max-size
		audit-webhook-batch-max-wait audit-webhook-batch-throttle-qps audit-webhook-batch-throttle-burst
		audit-webhook-truncate-max-batch-size audit-webhook-truncate-max-event-size

		debug-socket-path egress-selector-config-file tracing-config-file

		peer-ca-file peer-advertise-ip peer-advertise-port

		disabled-metrics allow-metric-labels allow-metric-labels-manifest vmodule
	`)
}

// refusedBooleans are those that can be given without a value.
func refusedBooleans() []string {
	return strings.Fields(`audit-log-batch-throttle-enable audit-webhook-batch-throttle-enable`)
}

var _ pflag.Value = recorder{}
