package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// peer is one of the servers that are compared, with the etcd below it.
type peer struct {
	name   string
	dir    string
	bin    string
	args   []string
	etcd   *cluster.EtcdServer
	server *cluster.Server
	client *client
}

const (
	nameKube      = string(cluster.KubeAPIServer)
	nameGatehouse = string(cluster.Gatehouse)
)

// newPeer starts the etcd of a server, not yet the server. It builds the server
// once, so that all rounds measure one executable; bin spares the build.
func newPeer(ctx context.Context, name, root, bin string, args []string) (*peer, error) {
	program := cluster.Program(name)
	if program != cluster.KubeAPIServer && program != cluster.Gatehouse {
		return nil, fmt.Errorf("server %q: want %s or %s", name, nameGatehouse, nameKube)
	}
	if bin == "" {
		var err error
		if bin, err = cluster.Build(ctx, program); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", name, err)
	}
	tokens := fmt.Sprintf("%s,%s,1\n%s,%s,2\n", benchToken, benchUser, otherToken, otherUser)
	if err := os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(tokens), 0o600); err != nil {
		return nil, fmt.Errorf("write token file: %w", err)
	}
	etcd, err := cluster.StartEtcd(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &peer{name: name, dir: dir, bin: bin, args: args, etcd: etcd}, nil
}

// start starts the server and returns how long it took to be ready.
func (p *peer) start(ctx context.Context) (time.Duration, error) {
	args := append([]string{"--token-auth-file=" + filepath.Join(p.dir, "tokens.csv")}, p.args...)
	var err error
	if p.name == nameKube {
		p.server, err = cluster.StartKubeAPIServer(ctx, p.dir, cluster.APIServerOptions{EtcdURL: p.etcd.URL, Bin: p.bin, Args: args})
	} else {
		p.server, err = cluster.StartGatehouse(ctx, p.dir, cluster.GatehouseOptions{
			DataDir: filepath.Join(p.dir, "data"), EtcdURL: p.etcd.URL, Bin: p.bin, Args: append(wideLimits(), args...),
		})
	}
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", p.name, err)
	}
	if p.client, err = p.newClient(benchToken); err != nil {
		return 0, err
	}
	return p.server.ReadyAfter, nil
}

// wideLimits keep Gatehouse's rate limits at work but out of the way: a benchmark
// is a flood.
func wideLimits() []string {
	const wide = "1000000"
	return []string{
		"--peer-rate-limit=" + wide, "--peer-rate-burst=" + wide,
		"--client-rate-limit=" + wide, "--client-rate-burst=" + wide,
	}
}

// newClient returns a client with connections of its own.
func (p *peer) newClient(token string) (*client, error) {
	cfg, err := p.server.Config()
	if err != nil {
		return nil, err
	}
	return newClient(cfg, p.server.URL, token)
}

// stop ends the server; its etcd goes on.
func (p *peer) stop() error {
	if p.server == nil {
		return nil
	}
	p.client.close()
	err := p.server.Close()
	p.server = nil
	return err
}

func (p *peer) close() error {
	return errors.Join(p.stop(), p.etcd.Close())
}

// cpu is the CPU time the server has used.
func (p *peer) cpu() (time.Duration, error) { return cpuTime(p.server.PID()) }
