package conformance_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// suiteTimeout bounds the specs on one server.
const suiteTimeout = time.Hour

// selection reads the expressions that select specs, one per line; lines that begin with # are comments.
func selection(t *testing.T, file string) []string {
	t.Helper()
	if focus := os.Getenv("GATEHOUSE_CONFORMANCE_FOCUS"); focus != "" {
		return []string{"--ginkgo.focus=" + focus}
	}
	var args []string
	for _, line := range lines(t, file) {
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
		"-test.run=^TestSpecs$", "-kubeconfig=" + s.Kubeconfig, "-kubectl-path=" + build(t, cluster.Kubectl), "-provider=local", "-allowed-not-ready-nodes=-1",
		"-minStartupPods=0", "-delete-namespace-on-failure=true", "-dump-logs-on-failure=false", "--ginkgo.no-color", "--ginkgo.succinct",
		"--ginkgo.json-report=" + filepath.Join(dir, "report.json"), "--ginkgo.timeout=" + suiteTimeout.String(),
	}, focus...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asSuite+"=1")
	out, err := os.Create(filepath.Join(dir, "specs.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	t.Logf("specs on %s: %v", s.URL, cmd.Run()) // A failed spec is judged by the comparison.
	report, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		log, _ := os.ReadFile(out.Name())
		t.Fatalf("%v\n%s", err, log[max(0, len(log)-4000):])
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
