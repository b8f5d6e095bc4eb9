package policies_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/policies"
	"github.com/gatehouse/gatehouse/resource"
)

// TestPodPoliciesCoverEveryWayToAPod guards against the class of CVE-2026-55636: a subresource, or a kind that makes pods, that a policy
// about pods forgot. Status and binding cannot change what a pod runs, only its annotations: the policies that look at the spec alone may
// leave them out.
func TestPodPoliciesCoverEveryWayToAPod(t *testing.T) {
	set, err := policies.Compile(policies.Bundle{})
	if err != nil {
		t.Fatal(err)
	}
	ways := []struct{ group, kind, operation, subresource string }{
		{"", "Pod", "CREATE", ""},
		{"", "Pod", "UPDATE", ""},
		{"", "Pod", "UPDATE", "ephemeralcontainers"},
		{"", "Pod", "UPDATE", "resize"},
	}
	for _, sub := range podSubresources(t) {
		if sub == "eviction" {
			continue // Admission is asked about the creation of an Eviction, by which no pod comes to run anything.
		}
		ways = append(ways, struct{ group, kind, operation, subresource string }{"", "Pod", "UPDATE", sub})
	}
	for group, kinds := range map[string][]string{
		"":      {"PodTemplate", "ReplicationController"},
		"apps":  {"ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"},
		"batch": {"Job", "CronJob"},
	} {
		for _, kind := range kinds {
			for _, operation := range []string{"CREATE", "UPDATE"} {
				ways = append(ways, struct{ group, kind, operation, subresource string }{group, kind, operation, ""})
			}
		}
	}
	specOnly := []string{"allowed-registries", "no-latest-tag", "resource-limits"}
	checked := 0
	for _, p := range set.Policies() {
		if p.Metadata.Type != policies.Validate || !slices.Contains(p.Metadata.Match.Kinds, "Pod") {
			continue
		}
		checked++
		e := engineWith(t, "policies: [{name: "+p.Name+", action: deny}]")
		for _, w := range ways {
			if (w.subresource == "status" || w.subresource == "binding") && slices.Contains(specOnly, p.Name) {
				continue
			}
			if _, validating := e.Matches(w.group, w.kind, w.operation, w.subresource); !validating {
				t.Errorf("%s is not about %+v", p.Name, w)
			}
		}
	}
	if checked != 5 {
		t.Errorf("%d policies are about pods, want 5", checked)
	}
}

// podSubresources are those that the server serves for pods and that can change one. Admission is asked about a connection to a pod
// as CONNECT of its options, and a log is only read.
func podSubresources(t *testing.T) (names []string) {
	t.Helper()
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	pods, ok := table.Lookup("", "v1", "pods")
	if !ok || len(pods.Subresources) == 0 {
		t.Fatal("pods have no subresources")
	}
	for _, s := range pods.Subresources {
		connects := strings.HasSuffix(s.Kind.Kind, "Options")
		if connects || slices.Equal(s.Verbs, []string{"get"}) {
			continue
		}
		names = append(names, s.Name)
	}
	return names
}
