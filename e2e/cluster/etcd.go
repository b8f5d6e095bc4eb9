package cluster

import (
	"context"
	"fmt"
	"path/filepath"
)

// EtcdServer is a running single-member etcd without TLS on loopback.
type EtcdServer struct {
	*Process

	// URL is the client address, as --etcd-servers takes it.
	URL string
}

// StartEtcd builds and starts etcd with its data in dir/etcd and its log in
// dir/etcd.log, and waits until it is healthy or ctx ends. Durability is that of
// production: every commit is synced.
func StartEtcd(ctx context.Context, dir string) (*EtcdServer, error) {
	bin, err := Build(ctx, Etcd)
	if err != nil {
		return nil, err
	}
	clientPort, err := FreePort()
	if err != nil {
		return nil, err
	}
	client := fmt.Sprintf("http://127.0.0.1:%d", clientPort)
	p, err := StartProcess(
		dir, filepath.Join(dir, "etcd.log"), bin,
		"--name=e2e",
		"--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls="+client,
		"--advertise-client-urls="+client,
		// A single member never talks to a peer, so the address it announces
		// need not be the one it listens on.
		"--listen-peer-urls=http://127.0.0.1:0",
		"--log-level=warn",
	)
	if err != nil {
		return nil, err
	}
	if err := WaitReady(ctx, p, client, "/readyz"); err != nil {
		p.Kill()
		return nil, err
	}
	return &EtcdServer{Process: p, URL: client}, nil
}

// Close stops etcd and waits for its end.
func (e *EtcdServer) Close() error { return e.Stop(stopGrace) }
