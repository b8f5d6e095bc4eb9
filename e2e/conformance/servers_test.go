package conformance_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	// startTimeout bounds the start of one component, build included.
	startTimeout = 2 * time.Minute
	stopTimeout  = 20 * time.Second
	pollEvery    = 100 * time.Millisecond
	// compaction is more frequent than usual, since a spec waits for it.
	compaction = "--etcd-compaction-interval=15s"
)

// startReference starts kube-apiserver with a controller manager.
func startReference(t *testing.T) *cluster.Server {
	t.Helper()
	dir := t.TempDir()
	etcd := startEtcd(t)
	s, err := cluster.StartKubeAPIServer(starting(t), dir, cluster.APIServerOptions{EtcdURL: etcd.URL, Args: []string{compaction}})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, s.Process, s.Close)
	state := filepath.Join(dir, "kube-apiserver")
	startControllers(t, s, filepath.Join(state, "service-account.key"), filepath.Join(state, "ca.crt"))
	return s
}

// startGatehouse starts Gatehouse as its users would have it beside a controller manager, with the reference's own defaults for
// what is not the API: specs of the suite make pods that the hardened profile refuses.
func startGatehouse(t *testing.T) *cluster.Server {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	etcd := startEtcd(t)
	s, err := cluster.StartGatehouse(starting(t), dir, cluster.GatehouseOptions{
		DataDir: data, EtcdURL: etcd.URL,
		Args: []string{"--profile=compatible", "--authorization-mode=RBAC", "--bind-address=127.0.0.1", "--cert-dir=", compaction},
	})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, s.Process, s.Close)
	startControllers(t, s, filepath.Join(data, "pki", "service-account.key"), filepath.Join(data, "pki", "ca.crt"))
	return s
}

func startEtcd(t *testing.T) *cluster.EtcdServer {
	t.Helper()
	etcd, err := cluster.StartEtcd(starting(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closing(t, etcd.Process, etcd.Close)
	return etcd
}

func startControllers(t *testing.T, s *cluster.Server, key, ca string) {
	t.Helper()
	p, err := cluster.StartControllerManager(starting(t), t.TempDir(), cluster.ControllerManagerOptions{Server: s, ServiceAccountKey: key, RootCA: ca})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p, func() error { return p.Stop(stopTimeout) })
}

func starting(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	return ctx
}

// closing ends a process with the test, and shows the end of its log where the test failed.
func closing(t *testing.T, p *cluster.Process, end func() error) {
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
		if t.Failed() && os.Getenv("GATEHOUSE_CONFORMANCE_LOGS") != "" {
			log, err := os.ReadFile(p.LogFile)
			t.Logf("%s: %v\n%s", p.LogFile, err, log[max(0, len(log)-10_000):])
		}
	})
}
