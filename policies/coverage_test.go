package policies_test

import (
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/policies"
)

// TestPodPoliciesCoverEveryWayToAPod guards against the class of CVE-2026-55636: a subresource, or a kind that makes pods, that a policy
// about pods forgot. Status is left out on purpose, it cannot change a spec; the other subresources carry no pod.
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
	checked := 0
	for _, p := range set.Policies() {
		if p.Metadata.Type != policies.Validate || !slices.Contains(p.Metadata.Match.Kinds, "Pod") {
			continue
		}
		checked++
		e := engineWith(t, "policies: [{name: "+p.Name+", action: deny}]")
		for _, w := range ways {
			if _, validating := e.Matches(w.group, w.kind, w.operation, w.subresource); !validating {
				t.Errorf("%s is not about %+v", p.Name, w)
			}
		}
	}
	if checked != 5 {
		t.Errorf("%d policies are about pods, want 5", checked)
	}
}
