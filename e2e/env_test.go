package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// startTimeout bounds the start of one server on a busy machine, build excluded.
const startTimeout = 2 * time.Minute

// build builds programs and returns the directory they are in.
func build(t *testing.T, programs ...cluster.Program) string {
	t.Helper()
	var dir string
	for _, p := range programs {
		path, err := cluster.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Dir(path)
	}
	return dir
}

func startContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	return ctx
}

func startEtcd(t *testing.T) *cluster.EtcdServer {
	t.Helper()
	build(t, cluster.Etcd)
	etcd, err := cluster.StartEtcd(startContext(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, etcd.Process, etcd.Close) })
	return etcd
}

// startKube starts kube-apiserver on an etcd of its own, which it returns too.
func startKube(t *testing.T, args ...string) (*cluster.Server, *cluster.EtcdServer) {
	t.Helper()
	build(t, cluster.KubeAPIServer)
	etcd := startEtcd(t)
	opts := cluster.APIServerOptions{EtcdURL: etcd.URL, Args: args}
	s, err := cluster.StartKubeAPIServer(startContext(t), t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s.Process, s.Close) })
	return s, etcd
}

// startGatehouse starts Gatehouse as opts say; an empty data directory is
// replaced by a fresh one.
func startGatehouse(t *testing.T, opts cluster.GatehouseOptions) *cluster.Server {
	t.Helper()
	build(t, cluster.Gatehouse)
	dir := t.TempDir()
	if opts.DataDir == "" {
		opts.DataDir = filepath.Join(dir, "gatehouse-data")
	}
	s, err := cluster.StartGatehouse(startContext(t), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s.Process, s.Close) })
	return s
}

// closeServer ends a server and shows the end of its log if the test failed.
func closeServer(t *testing.T, p *cluster.Process, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !t.Failed() {
		return
	}
	log, err := os.ReadFile(p.LogFile)
	if err != nil {
		t.Logf("no log: %v", err)
		return
	}
	const shown = 4 << 10
	if len(log) > shown {
		log = log[len(log)-shown:]
	}
	t.Logf("%s ends with:\n%s", filepath.Base(p.LogFile), log)
}
