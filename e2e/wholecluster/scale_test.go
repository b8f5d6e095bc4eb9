package wholecluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	manyNodes = 20
	manyPods  = 1000
	// manyTimeout bounds each of the two waits.
	manyTimeout = 5 * time.Minute
)

// TestScale measures how long a Deployment of 1,000 pods over 20 nodes takes until all run, and until all are gone, and what that
// costs the API server. GATEHOUSE_SCALE names the API servers as GATEHOUSE_CLUSTER does. It only fails if pods do not run in time:
// the figures are for docs/performance.md.
func TestScale(t *testing.T) {
	servers := os.Getenv("GATEHOUSE_SCALE")
	if servers == "" {
		t.Skip("make scale runs this")
	}
	for kind := range strings.SplitSeq(servers, ",") {
		t.Run(kind, func(t *testing.T) {
			// The clients of controllers and scheduler are let off the leash, which would be most of the time otherwise.
			w := start(t, kind, "--kube-api-qps=1000", "--kube-api-burst=2000")
			w.startKubelets(t)
			w.joinMany(t)
			measureMany(t, w)
		})
	}
}

func (w *whole) joinMany(t *testing.T) {
	t.Helper()
	var nodes strings.Builder
	for i := range manyNodes {
		fmt.Fprintf(&nodes, "---\n{apiVersion: v1, kind: Node, metadata: {name: node-%d, labels: {kubernetes.io/hostname: node-%d}}}\n", i, i)
	}
	file := filepath.Join(w.dir, "many.yaml")
	if err := os.WriteFile(file, []byte(nodes.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "apply", "-f", file)
	w.run(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout="+patience.String())
	w.apply(t, "web.yaml")
	w.rolledOut(t, shop, "deployment/web")
	w.run(t, "-n", shop, "delete", "hpa", "web")
	w.run(t, "-n", shop, "scale", "deployment/web", "--replicas=0")
	w.run(t, "-n", shop, "wait", "--for=delete", "pod", "--all", "--timeout="+patience.String())
}

func measureMany(t *testing.T, w *whole) {
	t.Helper()
	pods := podInformer(t, w.client(t))
	running := func() int {
		list, err := pods.List(labels.Everything())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, pod := range list {
			if pod.Status.Phase == corev1.PodRunning {
				n++
			}
		}
		return n
	}
	for _, phase := range []struct {
		name     string
		replicas string
		done     func() bool
	}{
		{"until 1,000 pods run", fmt.Sprint(manyPods), func() bool { return running() == manyPods }},
		{"until they are gone", "0", func() bool {
			list, err := pods.List(labels.Everything())
			return err == nil && len(list) == 0
		}},
	} {
		cpu, began := cpuTime(t, w.server), time.Now()
		w.run(t, "-n", shop, "scale", "deployment/web", "--replicas="+phase.replicas)
		if !waitAtMost(manyTimeout, phase.done) {
			t.Fatalf("%s: not within %s, %d run", phase.name, manyTimeout, running())
		}
		t.Logf("%s: %s, CPU of the API server %s, its resident memory %s", phase.name, time.Since(began).Round(100*time.Millisecond),
			cpuTime(t, w.server)-cpu, resident(t, w.server))
	}
}

// cpuTime is user and system time of a process, from fields 14 and 15 of /proc/pid/stat, in ticks of 10 ms.
func cpuTime(t *testing.T, p *cluster.Process) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is what the kernel says of a process's memory.
func resident(t *testing.T, p *cluster.Process) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(size)
		}
	}
	return "unknown"
}
