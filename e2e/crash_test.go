package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// TestKillLosesNothing kills the server in the middle of writes, as kill -9
// does, and asks the next one for every write the last one acknowledged.
func TestKillLosesNothing(t *testing.T) {
	const rounds, writers, before = 3, 4, 100
	bin := build(t, cluster.Gatehouse)
	dataDir := filepath.Join(t.TempDir(), "gatehouse-data")
	kept := make(map[string]string)
	for round := range rounds {
		server := startGatehouse(t, cluster.GatehouseOptions{DataDir: dataDir})
		client := clientOf(t, server)
		compareKept(t, client, kept)

		acknowledged := make(chan string)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { write(ctx, client, fmt.Sprintf("r%d-w%d", round, w), acknowledged) })
		}
		go func() {
			wg.Wait()
			close(acknowledged)
		}()
		seen := 0
		for name := range acknowledged {
			kept[name] = name
			// The writers go on while the server dies: that is the point.
			if seen++; seen == before {
				server.Kill()
				stop()
			}
		}
		stop()
		if seen < before {
			t.Fatalf("round %d: writers gave up after %d writes", round, seen)
		}
	}
	compareKept(t, clientOf(t, startGatehouse(t, cluster.GatehouseOptions{DataDir: dataDir})), kept)

	// The audit record of writes that were cut off is repaired or complete,
	// and never takes a crash for a forgery.
	verify := exec.CommandContext(t.Context(), filepath.Join(bin, "gatehouse"), "audit", "verify", "--data-dir="+dataDir)
	if out, err := verify.CombinedOutput(); err != nil {
		t.Errorf("audit verify after kill -9: %v\n%s", err, out)
	}
}

// write creates config maps until ctx ends or the server does not answer, and
// reports the ones the server said it has created.
func write(ctx context.Context, client kubernetes.Interface, prefix string, acknowledged chan<- string) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", prefix, i)
		object := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Data:       map[string]string{"value": name},
		}
		if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return
		}
		acknowledged <- name
	}
}

func compareKept(t *testing.T, client kubernetes.Interface, kept map[string]string) {
	t.Helper()
	list, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("list what was written: %v", err)
	}
	found := make(map[string]string, len(list.Items))
	for _, object := range list.Items {
		found[object.Name] = object.Data["value"]
	}
	for name, value := range kept {
		if got, ok := found[name]; !ok || got != value {
			t.Errorf("acknowledged write %s: found %q (%t) after the restart", name, got, ok)
		}
	}
}

func clientOf(t *testing.T, server *cluster.Server) *kubernetes.Clientset {
	t.Helper()
	cfg, err := server.Config()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestInterrupt presses Ctrl-C while clients hold watches open.
func TestInterrupt(t *testing.T) {
	// The server promises 5 s. The rest is for a machine that is busy.
	const bound = 10 * time.Second
	server := startGatehouse(t, cluster.GatehouseOptions{})
	watch, err := clientOf(t, server).CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if err := server.Interrupt(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-server.Exited():
	case <-time.After(bound):
		t.Fatalf("still running %s after SIGINT with a watch open", bound)
	}
	if err := server.Err(); err != nil {
		t.Errorf("exit after SIGINT: %v, want status 0", err)
	}
}
