package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// GatehouseOptions configures StartGatehouse. DataDir is required.
type GatehouseOptions struct {
	// DataDir is the --data-dir. Starting twice with the same directory, one
	// after the other, is a restart.
	DataDir string
	// Port is the --secure-port; 0 takes a free one.
	Port int
	// EtcdURL is an external etcd; empty means the embedded one.
	EtcdURL string
	// Bin is the executable; empty means the one that Build returns.
	Bin string
	// Args are appended to the arguments.
	Args []string
}

// StartGatehouse builds and starts Gatehouse and waits until it is ready or ctx
// ends. Its log is dir/gatehouse.log, to which a restart appends. The ServiceAccount
// admission plugin is off, as it is in StartKubeAPIServer: the two are compared.
func StartGatehouse(ctx context.Context, dir string, opts GatehouseOptions) (*Server, error) {
	if opts.DataDir == "" {
		return nil, errors.New("start gatehouse: no data directory given")
	}
	bin, err := binary(ctx, opts.Bin, Gatehouse)
	if err != nil {
		return nil, err
	}
	port := opts.Port
	if port == 0 {
		if port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	args := []string{"serve", "--data-dir=" + opts.DataDir, "--secure-port=" + strconv.Itoa(port), "--disable-admission-plugins=ServiceAccount"}
	if opts.EtcdURL != "" {
		args = append(args, "--etcd-servers="+opts.EtcdURL)
	}
	args = append(args, opts.Args...)
	began := time.Now()
	p, err := StartProcess(dir, filepath.Join(dir, "gatehouse.log"), bin, args...)
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("https://127.0.0.1:%d", port)
	if err := WaitReady(ctx, p, url, "/readyz"); err != nil {
		p.Kill()
		return nil, err
	}
	return &Server{
		Process:    p,
		URL:        url,
		Kubeconfig: filepath.Join(opts.DataDir, "admin.kubeconfig"),
		ReadyAfter: time.Since(began),
	}, nil
}
