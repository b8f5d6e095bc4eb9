package kubectlsuite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// needed are the directories of the module that the scripts read.
var needed = []string{
	"hack", "cluster", "test/cmd", "test/fixtures", "test/e2e/testing-manifests", "third_party/forked/shell2junit",
}

// tree copies what the scripts need to a directory that they may write to, and takes out what cannot run.
func tree(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	module, root := strings.TrimSpace(string(out)), filepath.Join(t.TempDir(), "kubernetes")
	for _, dir := range needed {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join(module, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cuts {
		c.apply(t, filepath.Join(root, "test", "cmd"))
	}
	executable(t, filepath.Join(root, "test", "fixtures", "pkg", "kubectl", "plugins"))
	kubectl, err := cluster.Build(t.Context(), cluster.Kubectl)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "_output", "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kubectl, filepath.Join(bin, "kubectl")); err != nil {
		t.Fatal(err)
	}
	return root
}

// executable gives the plugins the mode that a module does not keep.
func executable(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o700) //nolint:gosec // It is a program.
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cut is a part of a file, from the first text to the end of the second, that is taken out; times is how often it is there.
type cut struct {
	file, from, to string
	times          int
}

// The parts that need custom resources; and the files that are fetched from the Internet though they are here.
var cuts = []cut{
	{"apply.sh", "  ## kubectl apply dry-run on CR\n", "delete customresourcedefinition resources.mygroup.example.com\n", 2},
	{"apply.sh", "  ## kubectl apply multiple resources with one failure during apply phase.\n", "kubectl delete -f hack/testdata/multi-resource-4.yaml \"${kube_flags[@]:?}\"\n", 1},
	{"events.sh", "    ### Create a crd\n", "    \"image\": \"test\"\n  }\n}\n__EOF__\n", 1},
	{"events.sh", "    # Post-Condition: events not returns event for fully qualified Cronjob.v1.example.com/pi", "\"CronJob/pi\"\n", 1},
	{"events.sh", "    kubectl delete cronjobs.v1.example.com pi", "crd cronjobs.example.com\n", 1},
	{"generic-resources.sh", "https://raw.githubusercontent.com/", "kubernetes/kubernetes/master/", 2},
}

func (c cut) apply(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, c.file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, times := string(data), 0
	for ; ; times++ {
		before, rest, found := strings.Cut(text, c.from)
		if !found {
			break
		}
		_, after, found := strings.Cut(rest, c.to)
		if !found {
			t.Fatalf("%s: no end of the part from %q", c.file, c.from)
		}
		text = before + after
	}
	if times != c.times {
		t.Fatalf("%s: %d parts from %q, want %d", c.file, times, c.from, c.times)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
