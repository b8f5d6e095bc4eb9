// Package embedded runs an etcd server inside the process. Nothing listens on TCP: the client calls the
// server directly, and the two sockets that etcd insists on are Unix sockets in a private directory.
package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
)

// Options of the embedded server.
type Options struct {
	// Dir holds the data, created with mode 0700.
	Dir string
	// QuotaBytes bounds the database; 0 means 8 GiB. Beyond it writes fail until objects are deleted.
	QuotaBytes int64
	// StartTimeout bounds the wait for the server to lead; 0 means 30 s.
	StartTimeout time.Duration
	// Unsafe skips syncing to disk. For tests only: an acknowledged write can be lost.
	UnsafeNoFsync bool
}

// Server is a running etcd.
type Server struct {
	etcd    *embed.Etcd
	client  *clientv3.Client
	sockets string
}

// Start runs a single-member etcd on the directory and returns when it serves.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded etcd: %w", err)
	}
	sockets, err := os.MkdirTemp("", "gatehouse-etcd-")
	if err != nil {
		return nil, fmt.Errorf("embedded etcd: %w", err)
	}
	s := &Server{sockets: sockets}
	if err := s.start(ctx, o); err != nil {
		s.Close()
		return nil, fmt.Errorf("embedded etcd in %s: %w", o.Dir, err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) error {
	conf := embed.NewConfig()
	conf.Name, conf.Dir = "gatehouse", o.Dir
	peer := url.URL{Scheme: "unix", Path: filepath.Join(s.sockets, "peer")}
	client := url.URL{Scheme: "unix", Path: filepath.Join(s.sockets, "client")}
	conf.ListenPeerUrls, conf.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	conf.ListenClientUrls, conf.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	conf.InitialCluster = conf.InitialClusterFromName(conf.Name)
	conf.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	conf.QuotaBackendBytes = o.QuotaBytes
	if conf.QuotaBackendBytes == 0 {
		conf.QuotaBackendBytes = 8 << 30
	}
	conf.UnsafeNoFsync = o.UnsafeNoFsync
	// A member that is alone has nobody to wait for: short ticks make it lead at once.
	conf.TickMs, conf.ElectionMs = 10, 50
	conf.WatchProgressNotifyInterval = 5 * time.Second
	e, err := embed.StartEtcd(conf)
	if err != nil {
		return err
	}
	s.etcd = e
	timeout := o.StartTimeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-e.Server.ReadyNotify():
		s.client = v3client.New(e.Server)
		return nil
	case err := <-e.Err():
		return err
	case <-timer.C:
		return fmt.Errorf("not ready after %s", timeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Client talks to the server without a network. It is closed with the server.
func (s *Server) Client() *clientv3.Client { return s.client }

// Stopped is closed when the server has stopped, by Close or by itself.
func (s *Server) Stopped() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Close stops the server after its last write has been synced.
func (s *Server) Close() {
	if s.client != nil {
		_ = s.client.Close()
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	_ = os.RemoveAll(s.sockets)
}
