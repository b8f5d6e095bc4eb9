package wholecluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The namespaces of the story.
const (
	shop   = "shop"
	narrow = "narrow"
)

func nodesJoin(w *whole, t *testing.T) {
	w.apply(t, "nodes.yaml")
	w.run(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout="+patience.String())
	eventually(t, func() string {
		// The controller manager gives them a range of addresses and takes the taints of unready nodes off.
		if got := w.fields(t, "{.items[*].spec.podCIDR}", "nodes"); len(got) != 2 {
			return fmt.Sprintf("2 pod CIDRs, there are %v", got)
		}
		if got := w.field(t, "{.items[*].spec.taints}", "nodes"); got != "" {
			return "nodes without taints, there are " + got
		}
		return ""
	})
}

func deploymentOfThree(w *whole, t *testing.T) {
	w.apply(t, "web.yaml")
	w.rolledOut(t, shop, "deployment/web")
	if got := w.field(t, "{.status.readyReplicas}", "-n", shop, "deployment", "web"); got != "3" {
		t.Errorf("ready replicas: %s, want 3", got)
	}
	pods := w.fields(t, "{.items[*].status.podIP}", "-n", shop, "pods", "-l", "app=web")
	eventually(t, func() string {
		out, err := w.try(t, "", "-n", shop, "get", "endpointslices", "-l", "kubernetes.io/service-name=web",
			"-o=jsonpath={.items[*].endpoints[?(@.conditions.ready)].addresses[*]}")
		if err != nil { // A slice without endpoints has null in place of a list.
			return out
		}
		ready := strings.Fields(out)
		slices.Sort(ready)
		slices.Sort(pods)
		if !slices.Equal(ready, pods) {
			return fmt.Sprintf("the service to have %v, it has %v", pods, ready)
		}
		return ""
	})
}

func scaledToFifty(w *whole, t *testing.T) {
	w.run(t, "-n", shop, "scale", "deployment/web", "--replicas=50")
	w.rolledOut(t, shop, "deployment/web")
	w.podsOfWeb(t, 50, "registry.k8s.io/pause:3.9")
}

func rollingUpdate(w *whole, t *testing.T) {
	w.run(t, "-n", shop, "set", "image", "deployment/web", "web=registry.k8s.io/pause:3.10")
	w.rolledOut(t, shop, "deployment/web")
	w.podsOfWeb(t, 50, "registry.k8s.io/pause:3.10")
	w.run(t, "-n", shop, "rollout", "undo", "deployment/web")
	w.rolledOut(t, shop, "deployment/web")
	w.podsOfWeb(t, 50, "registry.k8s.io/pause:3.9")
	if got := w.run(t, "-n", shop, "rollout", "history", "deployment/web"); strings.Contains(got, "1    ") || !strings.Contains(got, "3    ") {
		t.Errorf("history has revision 1 or lacks 3 after a rollback:\n%s", got)
	}
}

// podsOfWeb waits until there are n running pods of the deployment and no others.
func (w *whole) podsOfWeb(t *testing.T, n int, image string) {
	t.Helper()
	want := slices.Repeat([]string{"Running", image}, n)
	eventually(t, func() string {
		got := w.fields(t, "{range .items[*]}{.status.phase} {.spec.containers[*].image} {end}", "-n", shop, "pods", "-l", "app=web")
		if !slices.Equal(got, want) {
			return fmt.Sprintf("%d running pods with %s, there are %d: %v", n, image, len(got)/2, got)
		}
		return ""
	})
}

func jobCompletes(w *whole, t *testing.T) {
	w.apply(t, "job.yaml")
	w.run(t, "-n", shop, "wait", "--for=condition=complete", "job/import", "--timeout="+patience.String())
	if got := w.field(t, "{.status.succeeded}", "-n", shop, "job", "import"); got != "4" {
		t.Errorf("succeeded: %s, want 4", got)
	}
	// kubectl create job --from reads the CronJob and posts a Job that it owns.
	w.run(t, "-n", shop, "create", "job", "now", "--from=cronjob/nightly")
	w.run(t, "-n", shop, "wait", "--for=condition=complete", "job/now", "--timeout="+patience.String())
}

func daemonSet(w *whole, t *testing.T) {
	w.apply(t, "agent.yaml")
	w.rolledOut(t, shop, "daemonset/agent")
	nodes := w.fields(t, "{.items[*].spec.nodeName}", "-n", shop, "pods", "-l", "app=agent")
	slices.Sort(nodes)
	if want := []string{"node-a", "node-b"}; !slices.Equal(nodes, want) {
		t.Errorf("nodes of the daemon set: %v, want %v", nodes, want)
	}
}

func statefulSet(w *whole, t *testing.T) {
	w.apply(t, "db.yaml")
	w.rolledOut(t, shop, "statefulset/db")
	for i := range 3 {
		if got := w.field(t, "{.status.phase}", "-n", shop, "pvc", fmt.Sprintf("data-db-%d", i)); got != "Bound" {
			t.Errorf("claim %d is %s, want Bound", i, got)
		}
	}
	before := w.field(t, "{.metadata.uid}", "-n", shop, "pod", "db-1")
	w.run(t, "-n", shop, "delete", "pod", "db-1")
	w.rolledOut(t, shop, "statefulset/db")
	if after := w.field(t, "{.metadata.uid}", "-n", shop, "pod", "db-1"); after == before {
		t.Error("db-1 was not made again")
	}
	if got := w.field(t, "{.spec.volumes[?(@.name=='data')].persistentVolumeClaim.claimName}", "-n", shop, "pod", "db-1"); got != "data-db-1" {
		t.Errorf("claim of the new db-1: %s", got)
	}
}

// autoscaler has no metrics to go by here; that its controller says so shows that it reads the scale and writes the status. The
// object is as old as the deployment, because the controller looks every 15 s.
func autoscaler(w *whole, t *testing.T) {
	w.run(t, "-n", shop, "wait", "--for=condition=ScalingActive=false", "hpa/web", "--timeout="+patience.String())
	for condition, want := range map[string]string{"AbleToScale": "SucceededGetScale", "ScalingActive": "FailedGetResourceMetric"} {
		if got := w.field(t, "{.status.conditions[?(@.type=='"+condition+"')].reason}", "-n", shop, "hpa", "web"); got != want {
			t.Errorf("%s because of %s, want %s", condition, got, want)
		}
	}
}
