package wholecluster_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/e2e/kubeadm"
)

const (
	// patience bounds what a step waits for.
	patience = time.Minute
	pollEach = 50 * time.Millisecond
)

// run is kubectl as an administrator, which has to succeed; it returns what kubectl prints.
func (w *whole) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.try(t, "", args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refused is kubectl that has to fail, with text somewhere in what it prints.
func (w *whole) refused(t *testing.T, text, stdin string, args ...string) {
	t.Helper()
	out, err := w.try(t, stdin, args...)
	if err == nil || !strings.Contains(out, text) {
		t.Fatalf("kubectl %s: %v, want a refusal that says %q\n%s", strings.Join(args, " "), err, text, out)
	}
}

// apply gives kubectl one of the manifests in testdata.
func (w *whole) apply(t *testing.T, manifest string) {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", manifest))
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, "apply", "-f", file)
}

// rolledOut waits until a workload has what it asks for.
func (w *whole) rolledOut(t *testing.T, namespace, workload string) {
	t.Helper()
	w.run(t, "-n", namespace, "rollout", "status", workload, "--timeout="+patience.String())
}

// field is a JSONPath of one object or of a list.
func (w *whole) field(t *testing.T, path string, args ...string) string {
	t.Helper()
	return w.run(t, append(append([]string{"get"}, args...), "-o=jsonpath="+path)...)
}

// fields are the words of a JSONPath.
func (w *whole) fields(t *testing.T, path string, args ...string) []string {
	t.Helper()
	return strings.Fields(w.field(t, path, args...))
}

func (w *whole) asSuperAdmin(t *testing.T, args ...string) {
	t.Helper()
	if out, err := w.as(t, kubeadm.SuperAdmin, "", args...); err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// try is kubectl that may fail; stderr is behind stdout.
func (w *whole) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	return w.as(t, kubeadm.Admin, stdin, args...)
}

func (w *whole) as(t *testing.T, kubeconfig, stdin string, args ...string) (string, error) {
	t.Helper()
	// More than what a step waits for, so that kubectl is the one to say what did not happen.
	ctx, cancel := context.WithTimeout(t.Context(), patience+patience/2)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.kubectl, args...)
	cmd.Dir = w.dir
	cmd.Env = append([]string{"KUBECONFIG=" + w.layout.File(kubeconfig), "HOME=" + w.dir, "PATH=" + os.Getenv("PATH")}, w.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String() + stderr.String(), err
}

// eventually polls until done returns an empty string; the last other one says what was missing.
func eventually(t *testing.T, done func() string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(pollEach)
	defer tick.Stop()
	for {
		missing := done()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, missing)
		}
	}
}
