package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	startTimeout = 2 * time.Minute
	// suiteTimeout bounds the specs on one server.
	suiteTimeout = 30 * time.Minute
	// compaction is more frequent than usual, since a spec waits for it.
	compaction = "--etcd-compaction-interval=15s"
)

// The files say of themselves what their lines are.
const (
	focusFile  = "testdata/focus.txt"
	notYetFile = "testdata/notyet.txt"
)

// TestConformance runs the specs on both servers. A spec that passes on kube-apiserver and not on Gatehouse fails the test, unless
// it is one of those that are known not to. GATEHOUSE_CONFORMANCE_FOCUS replaces the selection of the file by a regular
// expression, for a look at others. It takes a quarter of an hour and is run by make conformance only.
func TestConformance(t *testing.T) {
	if os.Getenv("GATEHOUSE_CONFORMANCE") == "" {
		t.Skip("make conformance runs this")
	}
	notYet := lines(t, notYetFile)
	focus := selection(t)
	reference := runSpecs(t, startReference(t), focus)
	ours := runSpecs(t, startGatehouse(t), focus)
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(reference)) {
		fmt.Fprintf(&table, "%-9s %-9s %s\n", reference[name].State, ours[name].State, name)
		known := slices.ContainsFunc(notYet, func(part string) bool { return strings.Contains(name, part) })
		passes := ours[name].State == types.SpecStatePassed
		switch {
		case known && passes:
			t.Errorf("%s passes: take it out of %s", name, notYetFile)
		case !known && !passes && reference[name].State == types.SpecStatePassed:
			t.Errorf("%s passes on kube-apiserver and is %s on Gatehouse: %s", name, ours[name].State, ours[name].Failure.Message)
		}
	}
	t.Logf("kube-apiserver, Gatehouse, spec:\n%s", table.String())
	if len(reference) == 0 {
		t.Error("no spec was selected")
	}
	if out := os.Getenv("GATEHOUSE_CONFORMANCE_OUT"); out != "" {
		if err := os.WriteFile(out, []byte(table.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// selection reads the expressions that select specs, one per line; lines that begin with # are comments.
func selection(t *testing.T) []string {
	t.Helper()
	if focus := os.Getenv("GATEHOUSE_CONFORMANCE_FOCUS"); focus != "" {
		return []string{"--ginkgo.focus=" + focus}
	}
	var args []string
	for _, line := range lines(t, focusFile) {
		if skip, ok := strings.CutPrefix(line, "- "); ok {
			args = append(args, "--ginkgo.skip="+skip)
		} else {
			args = append(args, "--ginkgo.focus="+line)
		}
	}
	return args
}

// lines reads a file without its comments and empty lines.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

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
	closing(t, p, func() error { return p.Stop(startTimeout) })
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

// runSpecs runs this program again as the suite against one server, and returns the reports of the selected specs by name.
func runSpecs(t *testing.T, s *cluster.Server, focus []string) map[string]types.SpecReport {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), suiteTimeout)
	defer cancel()
	dir := t.TempDir()
	args := append([]string{
		"-test.run=^TestSpecs$", "-kubeconfig=" + s.Kubeconfig, "-provider=local", "-allowed-not-ready-nodes=-1",
		"-minStartupPods=0", "-delete-namespace-on-failure=true", "-dump-logs-on-failure=false", "--ginkgo.no-color", "--ginkgo.succinct",
		"--ginkgo.json-report=" + filepath.Join(dir, "report.json"), "--ginkgo.timeout=" + suiteTimeout.String(),
	}, focus...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asSuite+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("specs on %s: %v", s.URL, err) // A failed spec is judged by the comparison.
	report, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out[max(0, len(out)-4000):])
	}
	var suites []types.Report
	if err := json.Unmarshal(report, &suites); err != nil {
		t.Fatal(err)
	}
	specs := map[string]types.SpecReport{}
	for _, suite := range suites {
		for _, spec := range suite.SpecReports {
			if spec.LeafNodeType == types.NodeTypeIt && spec.State != types.SpecStateSkipped && spec.State != types.SpecStatePending {
				specs[spec.FullText()] = spec
			}
		}
	}
	return specs
}
