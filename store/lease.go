package store

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Bounds of the sharing of leases. They are the reference's: etcd slows down with the number of leases and, when one ends, with
// the number of its keys.
const (
	maxLeaseKeys   = 1000
	maxLeaseReuse  = time.Minute
	leaseReusePart = 20 // a lease is shared for this part of the ttl at most
	maxLeaseTTLs   = 8  // how many different ttls are shared at a time
)

// leases shares etcd's leases between keys that are to live equally long.
type leases struct {
	client *clientv3.Client
	turn   chan struct{} // holds an element while the map is used; a channel, because a grant is waited for meanwhile
	shared map[time.Duration]*lease
}

type lease struct {
	id   clientv3.LeaseID
	ends time.Time // not before this moment
	keys int
}

func newLeases(client *clientv3.Client) *leases {
	return &leases{client: client, turn: make(chan struct{}, 1), shared: map[time.Duration]*lease{}}
}

func (l *leases) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take returns a lease that lasts at least ttl, NoLease for a ttl of zero or less.
func (l *leases) take(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	if ttl <= 0 {
		return clientv3.NoLease, nil
	}
	if err := l.lock(ctx); err != nil {
		return 0, err
	}
	defer func() { <-l.turn }()
	now := time.Now()
	if have := l.shared[ttl]; have != nil && have.keys < maxLeaseKeys && !have.ends.Before(now.Add(ttl)) {
		have.keys++
		return have.id, nil
	}
	extra := min(ttl/leaseReusePart, maxLeaseReuse)
	granted, err := l.client.Grant(ctx, int64((ttl+extra+time.Second-1)/time.Second))
	if err != nil {
		return 0, fmt.Errorf("grant a lease: %w", err)
	}
	if len(l.shared) >= maxLeaseTTLs {
		clear(l.shared)
	}
	// etcd began to count after now, and may have granted more than was asked for; neither is relied on.
	l.shared[ttl] = &lease{id: granted.ID, ends: now.Add(ttl + extra), keys: 1}
	return granted.ID, nil
}

// forget stops sharing a lease that etcd does not know.
func (l *leases) forget(ctx context.Context, id clientv3.LeaseID) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer func() { <-l.turn }()
	for ttl, have := range l.shared {
		if have.id == id {
			delete(l.shared, ttl)
		}
	}
	return nil
}
