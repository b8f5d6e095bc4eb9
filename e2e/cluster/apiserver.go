package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// APIServerOptions configures StartKubeAPIServer. EtcdURL is required.
type APIServerOptions struct {
	// EtcdURL is the etcd to store objects in.
	EtcdURL string
	// Bin is the executable; empty means the one that Build returns.
	Bin string
	// Args are appended to the arguments; a later flag wins over an earlier.
	Args []string
}

// StartKubeAPIServer builds and starts kube-apiserver and waits until it is
// ready or ctx ends. It authorizes with RBAC, and with node rules before it, as
// kubeadm sets it up. The ServiceAccount admission plugin is off because nothing
// here creates the service accounts it asks for.
//
// Its certificates and the administrator's kubeconfig are in dir/kube-apiserver,
// its log is dir/kube-apiserver.log.
func StartKubeAPIServer(ctx context.Context, dir string, opts APIServerOptions) (*Server, error) {
	bin, err := binary(ctx, opts.Bin, KubeAPIServer)
	if err != nil {
		return nil, err
	}
	state, err := subdir(dir, "kube-apiserver")
	if err != nil {
		return nil, err
	}
	ca, err := apiServerFiles(state)
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("https://127.0.0.1:%d", port)
	kubeconfig := filepath.Join(state, "admin.kubeconfig")
	if err := WriteKubeconfig(kubeconfig, url, ca, "admin"); err != nil {
		return nil, err
	}
	args := append(apiServerArgs(state, port, url, ca, opts.EtcdURL), opts.Args...)
	began := time.Now()
	p, err := StartProcess(dir, filepath.Join(dir, "kube-apiserver.log"), bin, args...)
	if err != nil {
		return nil, err
	}
	if err := WaitReady(ctx, p, url, "/readyz"); err != nil {
		p.Kill()
		return nil, err
	}
	return &Server{Process: p, URL: url, Kubeconfig: kubeconfig, ReadyAfter: time.Since(began)}, nil
}

func apiServerFiles(state string) (*Authority, error) {
	ca, err := NewAuthority(state)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"serving", "service-account"} {
		if err := ca.Serving(name); err != nil {
			return nil, err
		}
	}
	if err := ca.Client("admin", "admin", "system:masters"); err != nil {
		return nil, err
	}
	return ca, nil
}

func apiServerArgs(state string, port int, url string, ca *Authority, etcd string) []string {
	return []string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--cert-dir=" + state,
		"--client-ca-file=" + ca.File("ca.crt"),
		"--tls-cert-file=" + ca.File("serving.crt"),
		"--tls-private-key-file=" + ca.File("serving.key"),
		"--service-account-issuer=" + url,
		"--service-account-key-file=" + ca.File("service-account.crt"),
		"--service-account-signing-key-file=" + ca.File("service-account.key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--disable-admission-plugins=ServiceAccount",
		// The default reconciler refuses loopback as the address of the
		// "kubernetes" service and would log an error every ten seconds.
		"--endpoint-reconciler-type=none",
	}
}
