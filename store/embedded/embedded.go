// Package embedded runs an etcd server inside the process. Nothing listens on TCP: the client calls the
// server directly, and the two sockets that etcd insists on are Unix sockets in a private directory.
//
// The server is a cluster of one. It keeps no more than its directory: whoever wants copies takes etcd's snapshots through the
// client. A write that it has acknowledged has been synced to disk.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// Options of the embedded server.
type Options struct {
	// Dir holds the data. It is created, and kept, with mode 0700, and may only be used by one server at a time.
	Dir string
	// QuotaBytes bounds the database; 0 means 8 GiB. Beyond it writes fail, but for deletes, until so much has been deleted and
	// compacted that a tenth is free when the server next starts.
	QuotaBytes int64
	// StartTimeout bounds the wait for the server to lead; 0 means 30 s.
	StartTimeout time.Duration
	// UnsafeNoFsync skips syncing to disk. For tests only: an acknowledged write can be lost.
	UnsafeNoFsync bool
	// Fatal is called when etcd cannot go on after it has started, as on a full disk, with what it says. It must end the
	// process: etcd's goroutines are in an undefined state. Nil means a panic.
	Fatal func(message string)
}

const (
	defaultQuotaBytes   = 8 << 30
	defaultStartTimeout = 30 * time.Second
	// defragMegabytes is how much free space in the database makes a start give it back to the disk.
	defragMegabytes = 256
	// etcd keeps this many writes in memory after a snapshot and until the next, and replays as many at a start. Its defaults are
	// for followers that have fallen behind, and cost a hundred megabytes.
	snapshotWrites = 1000
	catchUpWrites  = 100
)

// Server is a running etcd.
type Server struct {
	etcd    *embed.Etcd
	client  *clientv3.Client
	lock    *lock
	sockets string
	remove  bool // sockets is temporary
	close   sync.Once
	started atomic.Bool
}

// Start runs a single-member etcd on the directory and returns when it serves. It refuses a directory that is in use, holds
// something else, or holds damaged data; after the last of these the process should end, because etcd
// does not clean up behind a failed start.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	s := &Server{}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("embedded etcd in %s: %w", o.Dir, err)
		}
	}()
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if s.lock, err = prepare(o.Dir); err != nil {
		return nil, err
	}
	if s.sockets, s.remove, err = socketDir(o.Dir); err != nil {
		return nil, err
	}
	if err := s.start(s.config(o)); err != nil {
		return nil, err
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if err := s.awaitReady(ctx, o.StartTimeout); err != nil {
		return nil, err
	}
	s.client = v3client.New(s.etcd.Server)
	s.started.Store(true)
	return s, s.clearNoSpace(ctx)
}

func (s *Server) config(o Options) *embed.Config {
	conf := embed.NewConfig()
	conf.Name, conf.Dir = "gatehouse", o.Dir
	peer := url.URL{Scheme: "unix", Path: filepath.Join(s.sockets, peerSocket)}
	client := url.URL{Scheme: "unix", Path: filepath.Join(s.sockets, clientSocket)}
	conf.ListenPeerUrls, conf.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	conf.ListenClientUrls, conf.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	conf.InitialCluster = conf.InitialClusterFromName(conf.Name)
	conf.ZapLoggerBuilder = embed.NewZapLoggerBuilder(failureHook{started: &s.started, fatal: o.Fatal}.logger())
	conf.QuotaBackendBytes = o.QuotaBytes
	if conf.QuotaBackendBytes == 0 {
		conf.QuotaBackendBytes = defaultQuotaBytes
	}
	conf.SnapshotCount, conf.SnapshotCatchUpEntries = snapshotWrites, catchUpWrites
	conf.BootstrapDefragThresholdMegabytes = defragMegabytes
	conf.UnsafeNoFsync = o.UnsafeNoFsync
	conf.EnableGRPCGateway = false
	// A member that is alone has nobody to wait for: short ticks make it lead at once.
	conf.TickMs, conf.ElectionMs = 10, 50
	conf.WatchProgressNotifyInterval = 5 * time.Second
	return conf
}

// start runs etcd. What etcd would end the process for arrives here as a panic with a failure; some damage it only
// notices by dereferencing nil.
func (s *Server) start(conf *embed.Config) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the data is damaged, or was written by another version of etcd: %v", r)
		}
	}()
	if s.etcd, err = embed.StartEtcd(conf); err != nil {
		s.etcd = nil // closed already
		return err
	}
	if n := len(s.etcd.Server.Cluster().Members()); n > 1 {
		return fmt.Errorf("it belongs to an etcd cluster of %d members, and the embedded server is always alone", n)
	}
	return nil
}

func (s *Server) awaitReady(ctx context.Context, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.etcd.Err():
		return err
	case <-s.etcd.Server.StopNotify():
		return errors.New("it stopped while starting")
	case <-timer.C:
		return fmt.Errorf("not ready after %s", timeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clearNoSpace lifts etcd's alarm of a used-up quota once there is room again, which etcd leaves to its operator. The room
// left by deleted objects only counts after defragmentation.
func (s *Server) clearNoSpace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, defaultStartTimeout)
	defer cancel()
	alarms, err := s.client.AlarmList(ctx)
	if err != nil {
		return fmt.Errorf("list alarms: %w", err)
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		backend, quota := s.etcd.Server.Backend(), s.etcd.Server.Cfg.QuotaBackendBytes
		if backend.SizeInUse() > quota-quota/10 {
			continue
		}
		if err := backend.Defrag(); err != nil {
			return fmt.Errorf("defragment: %w", err)
		}
		if _, err := s.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return fmt.Errorf("disarm the alarm: %w", err)
		}
	}
	return nil
}

// Client talks to the server without a network. It is closed with the server.
func (s *Server) Client() *clientv3.Client { return s.client }

// Stopped is closed when the server has stopped, by Close or by itself.
func (s *Server) Stopped() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Close stops the server after its last write has been synced, and releases the directory. Only the first call does anything.
func (s *Server) Close() {
	s.close.Do(func() {
		if s.client != nil {
			_ = s.client.Close() // reports only that it is closed
		}
		if s.etcd != nil {
			s.etcd.Close()
		}
		if s.remove {
			_ = os.RemoveAll(s.sockets)
		}
		s.lock.release()
	})
}
