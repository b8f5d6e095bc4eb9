package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// KubernetesVersion is the release that the oracle and kubectl report, and the
// one their modules are pinned to.
const KubernetesVersion = "v1.36.3"

// Program names something Build can build. The zero value is refused.
type Program string

// The programs known to Build.
const (
	Etcd          Program = "etcd"
	KubeAPIServer Program = "kube-apiserver"
	KubeScheduler Program = "kube-scheduler"
	Kubectl       Program = "kubectl"
	Kwok          Program = "kwok"
	Gatehouse     Program = "gatehouse"
)

const modulePath = "github.com/gatehouse/gatehouse/e2e"

// Build returns the path of an up-to-date executable. It always asks the go
// command, which relinks only what changed, so a second call costs about a
// second. The first build of kube-apiserver takes several minutes.
//
// Executables are kept in $GATEHOUSE_E2E_BIN, or else in the user's cache
// directory under gatehouse-e2e. Concurrent builds of one program wait for each
// other, in this process and in others.
func Build(ctx context.Context, p Program) (string, error) {
	root, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	dir, pkg, err := source(p, root)
	if err != nil {
		return "", err
	}
	bin, err := binDir()
	if err != nil {
		return "", err
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(bin, string(p)+".lock")).Lock()
	if err != nil {
		return "", fmt.Errorf("lock build of %s: %w", p, err)
	}
	defer unlock()

	out := filepath.Join(bin, string(p))
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", ldflags(p), "-o", out, pkg)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", p, err, msg)
	}
	return out, nil
}

// binary is bin, or a fresh build of p if bin is empty.
func binary(ctx context.Context, bin string, p Program) (string, error) {
	if bin != "" {
		return bin, nil
	}
	return Build(ctx, p)
}

// source returns the directory to build p in and the package to build there.
// The directory decides the module whose versions p is linked with: the programs
// of Kubernetes belong to the caller's module, which must pin them as this one
// does.
func source(p Program, e2e string) (dir, pkg string, err error) {
	switch p {
	case Etcd:
		return filepath.Join(e2e, "etcd"), ".", nil
	case Kwok:
		return filepath.Join(e2e, "kwok"), "sigs.k8s.io/kwok/cmd/kwok", nil
	case KubeAPIServer, KubeControllerManager, KubeScheduler, Kubectl:
		return "", modulePath + "/cmd/" + string(p), nil
	case Gatehouse:
		return filepath.Dir(e2e), "./cmd/gatehouse", nil
	}
	return "", "", fmt.Errorf("build %q: not a known program", string(p))
}

// ldflags stamps the Kubernetes version into the programs that report one:
// modules carry no such stamp, and kubectl compares it with the server's.
func ldflags(p Program) string {
	switch p {
	case KubeAPIServer, KubeControllerManager, KubeScheduler, Kubectl:
	default:
		return ""
	}
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(
			flags,
			"-X", pkg+".gitVersion="+KubernetesVersion,
			"-X", pkg+".gitMajor=1",
			"-X", pkg+".gitMinor=36",
			"-X", pkg+".gitTreeState=clean",
		)
	}
	return strings.Join(flags, " ")
}

// moduleDir finds the e2e module on disk, from whichever module the caller runs.
func moduleDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", modulePath, err)
	}
	return string(bytes.TrimSpace(out)), nil
}

func binDir() (string, error) {
	dir := os.Getenv("GATEHOUSE_E2E_BIN")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a place for built programs: %w", err)
		}
		dir = filepath.Join(cache, "gatehouse-e2e")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("GATEHOUSE_E2E_BIN: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a place for built programs: %w", err)
	}
	return dir, nil
}
