package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
// use. Every method is bounded by its context and by DefaultTimeout.
//
// A write that fails with ErrExists or ErrConflict has changed nothing. After any other error, a timeout above all, the outcome
// is unknown: the write may have happened and may still happen. Package storetest states the rest of what is promised.
type Etcd struct {
	client  *clientv3.Client
	prefix  string
	timeout time.Duration
	leases  *leases
	observe Observer // nil where nobody does

	compacted atomic.Int64 // the revision up to which etcd is known to have forgotten the past; see Compactor
}

// Observer is told of each operation on etcd that has ended: what it was (get, list, create, update, delete or revision), the
// key or the prefix of keys that it was about, how long it took and how it ended. A write that lost to another is no error.
type Observer func(operation, key string, took time.Duration, err error)

// Observe has f told of every operation from now on. It must be called before the first one.
func (e *Etcd) Observe(f Observer) { e.observe = f }

// observed tells the observer of an operation that began at the time and has ended.
func (e *Etcd) observed(operation, key string, began time.Time, err error) {
	if e.observe != nil {
		e.observe(operation, key, time.Since(began), err)
	}
}

// Size is how many bytes the database of the first etcd endpoint takes up.
func (e *Etcd) Size(ctx context.Context) (int64, error) {
	endpoint := ""
	if all := e.client.Endpoints(); len(all) > 0 {
		endpoint = all[0]
	}
	status, err := e.client.Status(ctx, endpoint)
	if err != nil {
		return 0, classify("status", err)
	}
	return status.DbSize, nil
}

// DefaultTimeout bounds one etcd operation that is not a watch.
const DefaultTimeout = 10 * time.Second

// NewEtcd uses the client below prefix, which begins with a slash and does not end with one
// (the reference's default is /registry). The client stays the caller's to close.
func NewEtcd(client *clientv3.Client, prefix string) *Etcd {
	return &Etcd{client: client, prefix: prefix, timeout: DefaultTimeout, leases: newLeases(client)}
}

// Prefix is the first part of every key.
func (e *Etcd) Prefix() string { return e.prefix }

// Get reads one key linearizably. found is false where there is none; revision is the store's.
func (e *Etcd) Get(ctx context.Context, key string) (kv KV, found bool, revision int64, err error) {
	resp, err := e.read(ctx, "get", key)
	if err != nil {
		return KV{}, false, 0, err
	}
	if len(resp.Kvs) == 0 {
		return KV{}, false, resp.Header.Revision, nil
	}
	return fromProto(resp.Kvs[0]), true, resp.Header.Revision, nil
}

// Revision returns the store's current revision, linearizably.
func (e *Etcd) Revision(ctx context.Context) (int64, error) {
	resp, err := e.read(ctx, "revision", e.prefix, clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return resp.Header.Revision, nil
}

func (e *Etcd) read(ctx context.Context, what, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nil, classify(what, err)
	}
	began := time.Now()
	resp, err := e.client.Get(ctx, key, opts...)
	e.observed(what, key, began, err)
	if err != nil {
		return nil, classify(what, err)
	}
	return resp, nil
}

// Range reads keys from start (inclusive) up to the end of those that begin with prefix, in key order,
// at most limit of them (0: all), at the given revision (0: the current one). more tells that the limit
// cut the answer.
func (e *Etcd) Range(ctx context.Context, prefix, start string, limit, revision int64) (kvs []KV, more bool, at int64, err error) {
	opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(limit)}
	if revision > 0 {
		opts = append(opts, clientv3.WithRev(revision))
	}
	resp, err := e.read(ctx, "list", max(prefix, start), opts...)
	if err != nil {
		return nil, false, 0, err
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

// pageKeys is how many keys one request of a long read asks for.
const pageKeys = 2000

// pages reads everything below prefix at one revision (0: the current one) in pages and returns that revision. Where pageKeys
// objects are too large for one answer, it asks for fewer.
func (e *Etcd) pages(ctx context.Context, prefix string, revision int64, visit func(KV)) (int64, error) {
	limit := int64(pageKeys)
	for start, more := "", true; more; {
		kvs, rest, at, err := e.Range(ctx, prefix, start, limit, revision)
		if errors.Is(err, ErrTooLarge) && limit > 1 {
			limit /= 2
			continue
		}
		if err != nil {
			return 0, err
		}
		for _, kv := range kvs {
			visit(kv)
			start = kv.Key + "\x00"
		}
		more, revision = rest, at
	}
	return revision, nil
}

// Create stores the value under a key that must not exist, and returns the revision of the write. A ttl
// above zero lets etcd delete the key after about that time: never before it, and at most a second and a twentieth of
// it, or a minute, later. Keys of one ttl may vanish together, at one revision. Nothing is stored, and the error is ErrStale, if one of
// the keys seen is not at its revision.
func (e *Etcd) Create(ctx context.Context, key string, value []byte, ttl time.Duration, seen ...Seen) (int64, error) {
	conditions := append(make([]clientv3.Cmp, 0, 2), clientv3.Compare(clientv3.ModRevision(key), "=", 0))
	for _, other := range seen {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(other.Key), "=", other.Revision))
	}
	resp, err := e.leased(ctx, "create", key, ttl, func(ctx context.Context, lease clientv3.LeaseID) (*clientv3.TxnResponse, error) {
		return e.client.Txn(ctx).If(conditions...).
			Then(clientv3.OpPut(key, string(value), clientv3.WithLease(lease))).
			Else(clientv3.OpGet(key, clientv3.WithCountOnly())).Commit()
	})
	switch {
	case err != nil:
		return 0, err
	case resp.Succeeded:
		return resp.Header.Revision, nil
	case resp.Responses[0].GetResponseRange().GetCount() > 0:
		return 0, fmt.Errorf("create %s: %w", key, ErrExists)
	}
	return 0, fmt.Errorf("create %s: %w", key, ErrStale)
}

// Seen is a key at the revision of its last change, which is above 0, as somebody has seen it who relies on it.
type Seen struct {
	Key      string
	Revision int64
}

// Update replaces the value of a key whose last change is at revision expected, which is above 0. On ErrConflict the
// key's current state is returned; its Revision is 0 if there is none. ttl is as in Create; 0 lets the key live on without end.
func (e *Etcd) Update(ctx context.Context, key string, value []byte, expected int64, ttl time.Duration) (int64, KV, error) {
	resp, err := e.leased(ctx, "update", key, ttl, func(ctx context.Context, lease clientv3.LeaseID) (*clientv3.TxnResponse, error) {
		return e.guarded(ctx, key, expected, clientv3.OpPut(key, string(value), clientv3.WithLease(lease)))
	})
	return outcome("update", key, resp, err)
}

// Delete removes a key whose last change is at revision expected; conflicts are as in Update.
func (e *Etcd) Delete(ctx context.Context, key string, expected int64) (int64, KV, error) {
	resp, err := e.leased(ctx, "delete", key, 0, func(ctx context.Context, _ clientv3.LeaseID) (*clientv3.TxnResponse, error) {
		return e.guarded(ctx, key, expected, clientv3.OpDelete(key))
	})
	return outcome("delete", key, resp, err)
}

// guarded runs op if the key's last change is at revision expected, and reads the key if not. No key is at a revision
// below 1: to etcd, 0 means a key that does not exist.
func (e *Etcd) guarded(ctx context.Context, key string, expected int64, op clientv3.Op) (*clientv3.TxnResponse, error) {
	return e.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", expected), clientv3.Compare(clientv3.ModRevision(key), ">", 0)).
		Then(op).Else(clientv3.OpGet(key)).Commit()
}

func outcome(what, key string, resp *clientv3.TxnResponse, err error) (int64, KV, error) {
	if err != nil {
		return 0, KV{}, err
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

// leased commits a write with a lease for its ttl, in the time that an operation has, and not at all if the context has ended
// already. A lease that etcd no longer knows, as after its restore from a backup, has changed nothing and is replaced once.
func (e *Etcd) leased(ctx context.Context, what, key string, ttl time.Duration, commit func(context.Context, clientv3.LeaseID) (*clientv3.TxnResponse, error)) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	for retried := false; ; retried = true {
		lease, err := e.leases.take(ctx, ttl)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, classify(what, err)
		}
		began := time.Now()
		resp, err := commit(ctx, lease)
		e.observed(what, key, began, err)
		if err == nil {
			return resp, nil
		}
		if lease == clientv3.NoLease || retried || !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil, classify(what, err)
		}
		if err := e.leases.forget(ctx, lease); err != nil {
			return nil, classify(what, err)
		}
	}
}

// watch opens the raw watch that a Mirror follows: every change below the prefix after revision, in order, changes of
// one revision never split over two responses. etcd may send a response in fragments, which the client puts together: the changes
// after a longer absence can be larger than gRPC's bound on one message.
func (e *Etcd) watch(ctx context.Context, revision int64) clientv3.WatchChan {
	return e.client.Watch(clientv3.WithRequireLeader(ctx), e.prefix+"/",
		clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithFragment(), clientv3.WithProgressNotify())
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

// isMessageTooLarge recognises the size limits of gRPC itself, on either side, which are reached before etcd's own. etcd's
// other errors of this code never get here with it: the client library gives them a type without a gRPC status.
func isMessageTooLarge(err error) bool { return status.Code(err) == codes.ResourceExhausted }
