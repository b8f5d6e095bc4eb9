package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readyChecks are what kube-apiserver 1.36 answers to /readyz?verbose, in its order: probes exclude checks by name.
const readyChecks = `ping log etcd etcd-readiness informer-sync
poststarthook/start-apiserver-admission-initializer poststarthook/generic-apiserver-start-informers
poststarthook/priority-and-fairness-config-consumer poststarthook/priority-and-fairness-filter
poststarthook/storage-object-count-tracker-hook poststarthook/start-apiextensions-informers
poststarthook/start-apiextensions-controllers poststarthook/crd-informer-synced
poststarthook/start-system-namespaces-controller poststarthook/peer-endpoint-reconciler-controller
poststarthook/start-cluster-authentication-info-controller poststarthook/start-kube-apiserver-identity-lease-controller
poststarthook/start-kube-apiserver-identity-lease-garbage-collector poststarthook/storage-readiness
poststarthook/start-legacy-token-tracking-controller poststarthook/start-service-ip-repair-controllers
poststarthook/rbac/bootstrap-roles poststarthook/scheduling/bootstrap-system-priority-classes
poststarthook/priority-and-fairness-config-producer poststarthook/bootstrap-controller
poststarthook/start-kubernetes-service-cidr-controller poststarthook/start-kube-aggregator-informers
poststarthook/apiservice-status-local-available-controller poststarthook/apiservice-status-remote-available-controller
poststarthook/apiservice-registration-controller poststarthook/apiservice-discovery-controller
poststarthook/kube-apiserver-autoregistration autoregister-completion
poststarthook/apiservice-openapi-controller poststarthook/apiservice-openapiv3-controller`

func TestHealthChecksHaveTheNamesOfTheReference(t *testing.T) {
	l := startServer(t, "")
	var want strings.Builder
	for _, name := range append(strings.Fields(readyChecks), "audit", "shutdown") {
		want.WriteString("[+]" + name + " ok\n")
	}
	code, got := l.do(t, l.admin, http.MethodGet, "/readyz?verbose", "")
	if diff := cmp.Diff(want.String()+"readyz check passed\n", got); code != http.StatusOK || diff != "" {
		t.Errorf("/readyz?verbose: %d (-want +got)\n%s", code, diff)
	}
	for _, path := range []string{"/livez/loopback-serving-certificate", "/healthz/poststarthook/rbac/bootstrap-roles"} {
		if code, got := l.do(t, l.admin, http.MethodGet, path, ""); code != http.StatusOK || got != "ok" {
			t.Errorf("%s: %d %s", path, code, got)
		}
	}
}

// TestHooksFailUntilTheirStepIsDone guards against checks that say that everything is there while it is not.
func TestHooksFailUntilTheirStepIsDone(t *testing.T) {
	for name, s := range map[string]step{
		"start-system-namespaces-controller":           namespacesMade,
		"rbac/bootstrap-roles":                         rolesMade,
		"scheduling/bootstrap-system-priority-classes": classesMade,
		"priority-and-fairness-config-producer":        flowMade,
		"start-kubernetes-service-cidr-controller":     rangesMade,
		"start-service-ip-repair-controllers":          allocationsChecked,
		"bootstrap-controller":                         tendingBegun,
	} {
		p := &parts{}
		check := func() error {
			for _, c := range p.hooks() {
				if c.Name == "poststarthook/"+name {
					return c.Run(t.Context())
				}
			}
			return errors.New("there is no such check")
		}
		for other := range steps {
			if other != s {
				p.progress[other].set()
			}
		}
		if err := check(); !errors.Is(err, errStarting) {
			t.Errorf("%s before: %v, want %v", name, err, errStarting)
		}
		p.progress[s].set()
		if err := check(); err != nil {
			t.Errorf("%s after: %v", name, err)
		}
	}
}
