package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// KwokOptions configures StartKwok. LogFile, ExecDir and ForwardPort may be empty.
type KwokOptions struct {
	// Kubeconfig makes kwok a client of the API server. What it must be allowed to do is in KwokRole.
	Kubeconfig string
	// CertFile and KeyFile are what its kubelets serve with, on 127.0.0.1.
	CertFile, KeyFile string
	// LogFile is what the kubelets give out as the log of every container; empty means that they have none.
	LogFile string
	// ExecDir is the directory in which they run what is to be run in a container; empty means that they refuse to.
	ExecDir string
	// ForwardPort is a port on 127.0.0.1 to which all that is forwarded to a pod goes; 0 means nothing is forwarded.
	ForwardPort int
}

// kwokStages are the files of kwok's module that say how nodes and pods come and go: those of kwok's own default, "stage/fast".
var kwokStages = [...]string{
	"node/fast/node-initialize.yaml", "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
	"pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml",
}

// StartKwok builds and starts kwok, which plays the kubelet of every node, and waits until it is healthy or ctx ends. Its log is
// dir/kwok.log.
func StartKwok(ctx context.Context, dir string, opts KwokOptions) (*Process, error) {
	bin, err := Build(ctx, Kwok)
	if err != nil {
		return nil, err
	}
	config, err := kwokConfig(ctx, opts)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "kwok.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, fmt.Errorf("configure kwok: %w", err)
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	p, err := StartProcess(
		dir, filepath.Join(dir, "kwok.log"), bin,
		"--config="+file,
		"--kubeconfig="+opts.Kubeconfig,
		"--manage-all-nodes",
		"--node-lease-duration-seconds=40",
		"--cidr=10.244.0.0/16",
		"--node-ip=127.0.0.1",
		fmt.Sprintf("--node-port=%d", port),
		fmt.Sprintf("--server-address=127.0.0.1:%d", port),
		"--tls-cert-file="+opts.CertFile,
		"--tls-private-key-file="+opts.KeyFile,
	)
	if err != nil {
		return nil, err
	}
	if err := WaitReady(ctx, p, fmt.Sprintf("https://127.0.0.1:%d", port), "/healthz"); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// KwokRole is the path of the manifest with the ClusterRole kwok-controller, from kwok's module.
func KwokRole(ctx context.Context) (string, error) {
	dir, err := kwokModule(ctx)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "kustomize/rbac/role.yaml"), nil
}

func kwokConfig(ctx context.Context, opts KwokOptions) ([]byte, error) {
	dir, err := kwokModule(ctx)
	if err != nil {
		return nil, err
	}
	var config bytes.Buffer
	for _, name := range kwokStages {
		stage, err := os.ReadFile(filepath.Join(dir, "kustomize/stage", name))
		if err != nil {
			return nil, fmt.Errorf("read a stage of kwok: %w", err)
		}
		fmt.Fprintf(&config, "---\n%s\n", stage)
	}
	const format = "---\n{apiVersion: kwok.x-k8s.io/v1alpha1, kind: %s, metadata: {name: all}, spec: %s}\n"
	if opts.LogFile != "" {
		fmt.Fprintf(&config, format, "ClusterLogs", fmt.Sprintf("{logs: [{logsFile: %q, follow: true}]}", opts.LogFile))
	}
	if opts.ExecDir != "" {
		fmt.Fprintf(&config, format, "ClusterExec", fmt.Sprintf("{execs: [{local: {workDir: %q}}]}", opts.ExecDir))
	}
	if opts.ForwardPort != 0 {
		fmt.Fprintf(&config, format, "ClusterPortForward", fmt.Sprintf("{forwards: [{target: {address: 127.0.0.1, port: %d}}]}", opts.ForwardPort))
	}
	return config.Bytes(), nil
}

// kwokModule finds kwok's module on disk.
func kwokModule(ctx context.Context) (string, error) {
	e2e, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok")
	cmd.Dir = filepath.Join(e2e, "kwok")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the module of kwok: %w", err)
	}
	if out = bytes.TrimSpace(out); len(out) == 0 {
		return "", errors.New("find the module of kwok: it has not been downloaded; build kwok first")
	}
	return string(out), nil
}
