package cluster

import (
	"context"
	"fmt"
	"path/filepath"
)

// KubeControllerManager is the real controller manager.
const KubeControllerManager Program = "kube-controller-manager"

// ControllerManagerOptions configures StartControllerManager. Server is required.
type ControllerManagerOptions struct {
	// Server is what the controllers talk to.
	Server *Server
	// ServiceAccountKey signs the tokens of secrets; empty means none are made.
	ServiceAccountKey string
	// RootCA is put into the ConfigMap kube-root-ca.crt of every namespace.
	RootCA string
	// Args are appended to the arguments.
	Args []string
}

// StartControllerManager builds and starts kube-controller-manager without leader election and waits until it is healthy or
// ctx ends. Its log is dir/kube-controller-manager.log.
func StartControllerManager(ctx context.Context, dir string, opts ControllerManagerOptions) (*Process, error) {
	bin, err := Build(ctx, KubeControllerManager)
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	state, err := subdir(dir, "kube-controller-manager")
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"--kubeconfig=" + opts.Server.Kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir=" + state,
		"--leader-elect=false",
		"--root-ca-file=" + opts.RootCA,
		"--authorization-always-allow-paths=/healthz",
	}, opts.Args...)
	if opts.ServiceAccountKey != "" {
		args = append(args, "--service-account-private-key-file="+opts.ServiceAccountKey)
	}
	p, err := StartProcess(dir, filepath.Join(dir, "kube-controller-manager.log"), bin, args...)
	if err != nil {
		return nil, err
	}
	if err := WaitReady(ctx, p, fmt.Sprintf("https://127.0.0.1:%d", port), "/healthz"); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}
