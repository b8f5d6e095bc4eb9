package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// compactKey is the key by which all API servers of one etcd, kube-apiserver among them, agree on who compacts. Its version
// counts the compactions and its value is the revision of the last.
const compactKey = "compact_rev_key"

// Compactor makes etcd forget old revisions, which otherwise fill its quota.
//
// Once per interval each server tries to move the key's version on by one. Only one succeeds: it compacts to the
// revision that was current when it last saw the version change, so every revision stays readable for at least one interval. The others
// learn the new version and wait for their next turn. kube-apiserver does the same with the same key, so the servers of a
// mixed cluster take turns rather than multiplying compactions. Use it from one goroutine.
type Compactor struct {
	client  *clientv3.Client
	etcd    *Etcd
	version int64 // of the key as last seen; 0 before the first turn and where there is no key
	target  int64 // the store's revision at that moment; 0 before the first turn
}

// NewCompactor compacts the etcd that e uses.
func NewCompactor(e *Etcd) *Compactor { return &Compactor{client: e.client, etcd: e} }

// Run takes a turn now and then once per interval, which is above zero, until the context ends, and returns the context's error. A failed
// turn is logged and made up for by the next.
func (c *Compactor) Run(ctx context.Context, interval time.Duration, logger *slog.Logger) error {
	for {
		revision, err := c.Turn(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			logger.Warn("store: etcd was not compacted", "err", err)
		case revision > 0:
			logger.Debug("store: etcd was compacted", "revision", revision)
		}
		select {
		case <-time.After(interval): // not a ticker, which after a long turn would make the next interval short
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Turn does what is due once per interval and returns the revision compacted to, 0 if it was not this server's turn.
func (c *Compactor) Turn(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	resp, err := c.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(compactKey), "=", c.version)).
		Then(clientv3.OpPut(compactKey, strconv.FormatInt(c.target, 10))).
		Else(clientv3.OpGet(compactKey)).Commit()
	if err != nil {
		return 0, classify("compact", err)
	}
	target := c.target
	c.target = resp.Header.Revision
	if !resp.Succeeded {
		c.version = 0 // the key was deleted
		if got := resp.Responses[0].GetResponseRange(); len(got.GetKvs()) > 0 {
			c.version = got.Kvs[0].Version
			if target, err := strconv.ParseInt(string(got.Kvs[0].Value), 10, 64); err == nil {
				c.learn(target)
			}
		}
		return 0, nil
	}
	c.version++
	if target == 0 {
		return 0, nil
	}
	if _, err := c.client.Compact(ctx, target); err != nil {
		if err = classify("compact", err); errors.Is(err, ErrCompacted) {
			return 0, nil // somebody went further, by hand perhaps
		}
		return 0, fmt.Errorf("to revision %d: %w", target, err)
	}
	c.learn(target)
	return target, nil
}

// learn tells the caches what has been forgotten. A page of a list could still be read from them, but clients rely on a token that
// ends with the revision it is for, and another server would not have it.
func (c *Compactor) learn(target int64) {
	c.etcd.compacted.Store(max(target, c.etcd.compacted.Load()))
}
