package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// TestEnvtest runs a project's suite (the module envtest) with either server as the kube-apiserver that envtest is pointed to.
func TestEnvtest(t *testing.T) {
	module, err := filepath.Abs("envtest")
	if err != nil {
		t.Fatal(err)
	}
	suite := filepath.Join(t.TempDir(), "suite.test")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", suite, ".")
	compile.Dir = module
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	reference := runSuite(t, suite, cluster.KubeAPIServer)
	ours := runSuite(t, suite, cluster.Gatehouse)
	for name, result := range reference.tests {
		if result != "pass" {
			t.Errorf("%s: %s on kube-apiserver, so it is a bad test", name, result)
		}
	}
	if diff := cmp.Diff(reference.tests, ours.tests); diff != "" {
		t.Errorf("results (-kube-apiserver +gatehouse):\n%s\n%s", diff, ours.output)
	}
	t.Logf("envtest, etcd included: kube-apiserver started in %s and stopped in %s, Gatehouse in %s and %s",
		reference.started, reference.stopped, ours.started, ours.stopped)
}

// suiteRun is what came of one run of the suite.
type suiteRun struct {
	tests            map[string]string
	started, stopped time.Duration
	output           []byte
}

var tookLine = regexp.MustCompile(`^(started|stopped) in (.+)$`)

func runSuite(t *testing.T, suite string, server cluster.Program) suiteRun {
	t.Helper()
	assets := t.TempDir()
	for name, program := range map[string]cluster.Program{"kube-apiserver": server, "etcd": cluster.Etcd, "kubectl": cluster.Kubectl} {
		if err := os.Symlink(filepath.Join(build(t, program), string(program)), filepath.Join(assets, name)); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"tool", "test2json", suite, "-test.v=test2json", "-test.timeout=5m"}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = assets, append(os.Environ(), "KUBEBUILDER_ASSETS="+assets)
	out, err := cmd.Output()
	run := suiteRun{tests: map[string]string{}}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		run.note(t, event.Action, event.Test, event.Output)
	}
	if len(run.tests) == 0 || run.started == 0 {
		t.Fatalf("the suite did not run on %s: %v\n%s", server, err, run.output)
	}
	return run
}

func (r *suiteRun) note(t *testing.T, action, test, output string) {
	t.Helper()
	r.output = append(r.output, output...)
	if test != "" && (action == "pass" || action == "fail" || action == "skip") {
		r.tests[test] = action
	}
	if m := tookLine.FindStringSubmatch(strings.TrimSpace(output)); m != nil {
		took, err := time.ParseDuration(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "started" {
			r.started = took
		} else {
			r.stopped = took
		}
	}
}
