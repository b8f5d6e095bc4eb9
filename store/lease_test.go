package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse/gatehouse/store"
)

func TestLeasesAreShared(t *testing.T) {
	for _, c := range []struct {
		name   string
		ttls   []time.Duration
		keys   int // of each ttl
		grants int64
	}{
		{"one lease serves concurrent writers", []time.Duration{time.Hour}, 64, 1},
		{"each ttl has its own", []time.Duration{time.Hour, 2 * time.Hour, 61 * time.Minute}, 5, 3},
		{"a lease takes a bounded number of keys", []time.Duration{time.Hour}, store.MaxLeaseKeys + 1, 2},
		{"no ttl needs no lease", []time.Duration{0, -time.Second}, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := startEmbedded(t).Client()
			counting := &countingLease{Lease: client.Lease}
			client.Lease = counting
			etcd := store.NewEtcd(client, prefix)
			var group sync.WaitGroup
			names := make(chan string)
			for range 32 {
				group.Go(func() {
					for name := range names {
						for i, ttl := range c.ttls {
							if _, err := etcd.Create(t.Context(), key(fmt.Sprintf("%s-%d", name, i)), nil, ttl); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			for i := range c.keys {
				names <- fmt.Sprint(i)
			}
			close(names)
			group.Wait()
			if got := counting.grants.Load(); got != c.grants {
				t.Errorf("%d leases granted, want %d", got, c.grants)
			}
		})
	}
}

func TestLeaseLastsAsLongAsAsked(t *testing.T) {
	client := startEmbedded(t).Client()
	etcd := store.NewEtcd(client, prefix)
	for _, ttl := range []time.Duration{time.Second, 10 * time.Second, time.Hour, 24 * time.Hour} {
		k := key(ttl.String())
		if _, err := etcd.Create(t.Context(), k, nil, ttl); err != nil {
			t.Fatal(err)
		}
		got, err := client.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		left, err := client.TimeToLive(t.Context(), leaseOf(got))
		if err != nil {
			t.Fatal(err)
		}
		granted := time.Duration(left.GrantedTTL) * time.Second
		if most := ttl + min(ttl/20, time.Minute) + time.Second; granted < ttl || granted > most {
			t.Errorf("ttl %s: a lease of %s, want at most %s", ttl, granted, most)
		}
	}
}

func leaseOf(resp *clientv3.GetResponse) clientv3.LeaseID { return clientv3.LeaseID(resp.Kvs[0].Lease) }
