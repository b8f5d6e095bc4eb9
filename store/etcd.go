package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// KV is one key with its value and the revision of its last change.
type KV struct {
	Key      string
	Value    []byte
	Revision int64
}

// Etcd is the contract with etcd that the rest of the package builds on. It is safe for concurrent
// use. Every method is bounded by its context and by Timeout.
//
// Package storetest states what it promises.
type Etcd struct {
	client  *clientv3.Client
	prefix  string
	timeout time.Duration
}

// DefaultTimeout bounds one etcd operation that is not a watch.
const DefaultTimeout = 10 * time.Second

// NewEtcd uses the client below prefix, which begins with a slash and does not end with one
// (the reference's default is /registry). The client stays the caller's to close.
func NewEtcd(client *clientv3.Client, prefix string) *Etcd {
	return &Etcd{client: client, prefix: prefix, timeout: DefaultTimeout}
}

// Prefix is the first part of every key.
func (e *Etcd) Prefix() string { return e.prefix }

// Get reads one key linearizably. found is false where there is none; revision is the store's.
func (e *Etcd) Get(ctx context.Context, key string) (kv KV, found bool, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	resp, err := e.client.Get(ctx, key)
	if err != nil {
		return KV{}, false, 0, classify("get", err)
	}
	if len(resp.Kvs) == 0 {
		return KV{}, false, resp.Header.Revision, nil
	}
	return fromProto(resp.Kvs[0]), true, resp.Header.Revision, nil
}

// Revision returns the store's current revision, linearizably.
func (e *Etcd) Revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	resp, err := e.client.Get(ctx, e.prefix, clientv3.WithCountOnly())
	if err != nil {
		return 0, classify("revision", err)
	}
	return resp.Header.Revision, nil
}

// Range reads keys from start (inclusive) up to the end of those that begin with prefix, in key order,
// at most limit of them (0: all), at the given revision (0: the current one). more tells that the limit
// cut the answer.
func (e *Etcd) Range(ctx context.Context, prefix, start string, limit, revision int64) (kvs []KV, more bool, at int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(limit)}
	if revision > 0 {
		opts = append(opts, clientv3.WithRev(revision))
	}
	resp, err := e.client.Get(ctx, max(prefix, start), opts...)
	if err != nil {
		return nil, false, 0, classify("range", err)
	}
	kvs = make([]KV, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		kvs[i] = fromProto(kv)
	}
	at = resp.Header.Revision
	if revision > 0 {
		at = revision
	}
	return kvs, resp.More, at, nil
}

// Create stores the value under a key that must not exist, and returns the revision of the write. A ttl
// above zero lets etcd delete the key after about that time (rounded up to whole seconds).
func (e *Etcd) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	put, err := e.put(ctx, key, value, ttl)
	if err != nil {
		return 0, err
	}
	resp, err := e.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Then(put).Commit()
	if err != nil {
		return 0, classify("create", err)
	}
	if !resp.Succeeded {
		return 0, fmt.Errorf("create %s: %w", key, ErrExists)
	}
	return resp.Header.Revision, nil
}

// Update replaces the value of a key whose last change is at revision expected. On ErrConflict the key's current
// state is returned; its Revision is 0 if there is none.
func (e *Etcd) Update(ctx context.Context, key string, value []byte, expected int64, ttl time.Duration) (int64, KV, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	put, err := e.put(ctx, key, value, ttl)
	if err != nil {
		return 0, KV{}, err
	}
	return e.guarded(ctx, "update", key, expected, put)
}

// Delete removes a key whose last change is at revision expected; conflicts are as in Update.
func (e *Etcd) Delete(ctx context.Context, key string, expected int64) (int64, KV, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	return e.guarded(ctx, "delete", key, expected, clientv3.OpDelete(key))
}

func (e *Etcd) guarded(ctx context.Context, what, key string, expected int64, op clientv3.Op) (int64, KV, error) {
	resp, err := e.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", expected)).
		Then(op).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return 0, KV{}, classify(what, err)
	}
	if resp.Succeeded {
		return resp.Header.Revision, KV{}, nil
	}
	var current KV
	if got := resp.Responses[0].GetResponseRange(); got != nil && len(got.Kvs) > 0 {
		current = fromProto(got.Kvs[0])
	}
	return 0, current, fmt.Errorf("%s %s: %w", what, key, ErrConflict)
}

func (e *Etcd) put(ctx context.Context, key string, value []byte, ttl time.Duration) (clientv3.Op, error) {
	if ttl <= 0 {
		return clientv3.OpPut(key, string(value)), nil
	}
	seconds := int64((ttl + time.Second - 1) / time.Second)
	lease, err := e.client.Grant(ctx, seconds)
	if err != nil {
		return clientv3.Op{}, classify("lease", err)
	}
	return clientv3.OpPut(key, string(value), clientv3.WithLease(lease.ID)), nil
}

// watch opens the raw watch that a Mirror follows: every change below the prefix after revision, in order, changes of
// one revision never split over two responses.
func (e *Etcd) watch(ctx context.Context, revision int64) clientv3.WatchChan {
	return e.client.Watch(clientv3.WithRequireLeader(ctx), e.prefix+"/",
		clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify())
}

// requestProgress asks etcd to tell, on the watch of the same context, which revision it has reached.
func (e *Etcd) requestProgress(ctx context.Context) error {
	return e.client.RequestProgress(clientv3.WithRequireLeader(ctx))
}

func fromProto(kv *mvccpb.KeyValue) KV {
	return KV{Key: string(kv.Key), Value: kv.Value, Revision: kv.ModRevision}
}

// classify maps what etcd says to the errors of this package, keeping the original in the chain.
func classify(what string, err error) error {
	var kind error
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		kind = ErrCompacted
	case errors.Is(err, rpctypes.ErrFutureRev):
		kind = ErrFuture
	case errors.Is(err, rpctypes.ErrRequestTooLarge), isMessageTooLarge(err):
		kind = ErrTooLarge
	case errors.Is(err, rpctypes.ErrNoSpace):
		kind = ErrNoSpace
	default:
		return fmt.Errorf("etcd %s: %w", what, err)
	}
	return fmt.Errorf("etcd %s: %w: %w", what, kind, err)
}

// isMessageTooLarge recognises the client library's own send limit, which is reached before etcd's.
func isMessageTooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && !errors.Is(err, rpctypes.ErrNoSpace)
}
