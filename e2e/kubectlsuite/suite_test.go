package kubectlsuite_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// limit bounds one function, in seconds: those of the slowest take one minute on an idle machine.
const limit = "600"

// whole is the name of what stands between the functions.
const whole = "runTests"

// result is how a function ended.
type result struct {
	code, seconds int
	log           string // file
}

// TestKubectlSuite runs the functions on both servers, one after the other. One that passes on kube-apiserver and not on Gatehouse fails the test.
// GATEHOUSE_KUBECTL_SUITE_ONLY selects functions by name, and GATEHOUSE_KUBECTL_SUITE_LOGS is a directory to keep their traces in.
func TestKubectlSuite(t *testing.T) {
	if os.Getenv("GATEHOUSE_KUBECTL_SUITE") == "" {
		t.Skip("make kubectl-suite runs this")
	}
	reference, ours := run(t, "kube-apiserver", startReference), run(t, "gatehouse", startGatehouse)
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(reference)) {
		there := reference[name]
		here, ran := ours[name]
		fmt.Fprintf(&table, "%3d %4ds %3d %4ds %s\n", there.code, there.seconds, here.code, here.seconds, name)
		switch {
		case !ran:
			t.Errorf("%s was not run on Gatehouse", name)
		case there.code == 0 && here.code != 0:
			t.Errorf("%s passes on kube-apiserver and fails on Gatehouse:\n%s", name, end(t, here.log))
		case there.code != 0:
			t.Errorf("%s fails on kube-apiserver, so it should be left out or mended:\n%s", name, end(t, there.log))
		}
	}
	t.Logf("exit code and time on kube-apiserver, on Gatehouse, function:\n%s", table.String())
	if len(reference) < 2 {
		t.Error("no function was run")
	}
}

// run runs the functions on one server, which ends with them.
func run(t *testing.T, name string, start func(*testing.T, string) *cluster.Server) (results map[string]result) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		root := tree(t)
		s := start(t, root)
		results = drive(t, name, root, s)
	})
	if t.Failed() {
		t.FailNow()
	}
	return results
}

func drive(t *testing.T, name, root string, s *cluster.Server) map[string]result {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", "drive.sh"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	home, logs := t.TempDir(), logDir(t, name)
	file := filepath.Join(logs, "results")
	cmd := exec.CommandContext(t.Context(), "bash", script)
	cmd.Env = append(
		os.Environ(), "SUITE_ROOT="+root, "HOME="+home, "TMPDIR="+home, "RESULTS="+file, "LOGS="+logs, "SECURE_API_PORT="+u.Port(), "TERM=dumb",
		"LIMIT="+limit, "LEFT_OUT="+strings.Join(leftOut(t), " "), "ONLY="+os.Getenv("GATEHOUSE_KUBECTL_SUITE_ONLY"), "KUBECONFIG=",
		"KUBE_JUNIT_REPORT_DIR="+home,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return read(t, file, logs)
}

func logDir(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("GATEHOUSE_KUBECTL_SUITE_LOGS")
	if dir == "" {
		dir = t.ArtifactDir()
	}
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// leftOut are the functions that are not run.
func leftOut(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "leftout.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			names = append(names, strings.TrimSpace(line))
		}
	}
	return names
}

func read(t *testing.T, file, logs string) map[string]result {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]result{}
	for line := range strings.Lines(string(text)) {
		var name string
		var r result
		if _, err := fmt.Sscan(line, &name, &r.code, &r.seconds); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r.log = filepath.Join(logs, name+".log")
		if old, again := results[name]; !again || old.code == 0 {
			results[name] = r
		}
	}
	if _, ended := results[whole]; !ended {
		t.Fatalf("the scripts did not end: %s", text)
	}
	return results
}

// end is the end of a trace, without the commands that were traced.
func end(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, "+") })
	return strings.Join(lines[max(0, len(lines)-15):], "")
}
