package wholecluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func quotaBlocks(w *whole, t *testing.T) {
	w.apply(t, "narrow.yaml")
	w.run(t, "-n", narrow, "wait", "--for=condition=ReplicaFailure", "deployment/many", "--timeout="+patience.String())
	w.run(t, "-n", narrow, "wait", "--for=jsonpath={.status.readyReplicas}=10", "deployment/many", "--timeout="+patience.String())
	w.run(t, "-n", narrow, "wait", "--for=jsonpath={.status.used.pods}=10", "resourcequota/ten", "--timeout="+patience.String())
	w.refused(t, `"eleventh" is forbidden: exceeded quota: ten, requested: pods=1, used: pods=10, limited: pods=10`, "",
		"-n", narrow, "run", "eleventh", "--image=registry.k8s.io/pause:3.9")
	// What is deleted may be replaced, by the controller or by somebody else, but never exceeded.
	w.run(t, "-n", narrow, "scale", "deployment/many", "--replicas=9")
	w.run(t, "-n", narrow, "wait", "--for=jsonpath={.status.used.pods}=9", "resourcequota/ten", "--timeout="+patience.String())
	w.run(t, "-n", narrow, "run", "tenth", "--image=registry.k8s.io/pause:3.9")
	w.refused(t, "exceeded quota: ten", "", "-n", narrow, "run", "eleventh", "--image=registry.k8s.io/pause:3.9")
}

func budgetBlocks(w *whole, t *testing.T) {
	w.run(t, "-n", shop, "scale", "deployment/web", "--replicas=6")
	w.rolledOut(t, shop, "deployment/web")
	w.podsOfWeb(t, 6, "registry.k8s.io/pause:3.9")
	w.run(t, "-n", shop, "create", "pdb", "web", "--selector=app=web", "--min-available=6")
	w.run(t, "-n", shop, "wait", "--for=jsonpath={.status.currentHealthy}=6", "pdb/web", "--timeout="+patience.String())
	pods := w.fields(t, "{.items[*].metadata.name}", "-n", shop, "pods", "-l", "app=web")
	w.refused(t, "Cannot evict pod as it would violate the pod's disruption budget.", eviction(pods[0]), evict(pods[0])...)

	w.run(t, "-n", shop, "patch", "pdb", "web", "-p", `{"spec":{"minAvailable":4}}`)
	w.run(t, "-n", shop, "wait", "--for=jsonpath={.status.disruptionsAllowed}=2", "pdb/web", "--timeout="+patience.String())
	if out, err := w.try(t, eviction(pods[0]), evict(pods[0])...); err != nil {
		t.Errorf("an eviction that the budget allows: %v\n%s", err, out)
	}
	w.run(t, "-n", shop, "wait", "--for=delete", "pod/"+pods[0], "--timeout="+patience.String())
}

func evict(pod string) []string {
	return []string{"create", "--raw", "/api/v1/namespaces/" + shop + "/pods/" + pod + "/eviction", "-f", "-"}
}

func eviction(pod string) string {
	return fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, pod, shop)
}

// nodeIsDrained drains under the budget of the step before.
func nodeIsDrained(w *whole, t *testing.T) {
	w.rolledOut(t, shop, "deployment/web")
	w.run(t, "drain", "node-b", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout="+patience.String())
	left := w.fields(t, "{range .items[*]}{.metadata.namespace}/{.metadata.labels.app} {end}", "pods", "-A", "--field-selector=spec.nodeName=node-b,status.phase=Running")
	if want := []string{"shop/agent"}; !slices.Equal(left, want) {
		t.Errorf("pods left on the node: %v, want %v", left, want)
	}
	w.rolledOut(t, shop, "deployment/web")
	w.rolledOut(t, shop, "statefulset/db")
	w.run(t, "uncordon", "node-b")
	if got := w.field(t, "{.spec.unschedulable}{.spec.taints}", "node", "node-b"); strings.TrimSpace(got) != "" {
		eventually(t, func() string {
			if got := w.field(t, "{.spec.unschedulable}{.spec.taints}", "node", "node-b"); got != "" {
				return "a node without taints after uncordon, it has " + got
			}
			return ""
		})
	}
	w.run(t, "-n", shop, "delete", "pdb", "web")
}
