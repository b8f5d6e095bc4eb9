package standalone_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/standalone"
)

func deleteIn(seconds int64) metav1.DeleteOptions {
	return metav1.DeleteOptions{GracePeriodSeconds: &seconds}
}

const (
	ownLease        = "coordination.k8s.io/v1/kube-system:leases/" + standalone.LeaseName
	leases          = "coordination.k8s.io/v1/kube-system:leases"
	controllerLease = leases + "/kube-controller-manager"
)

func (c *cluster) holder(t *testing.T) string {
	t.Helper()
	r, found, err := c.lease(t)
	if err != nil {
		t.Fatal(err)
	}
	if !found || r.Spec.HolderIdentity == nil {
		return ""
	}
	return *r.Spec.HolderIdentity
}

// TestOneOfTwoActs runs two servers on one etcd.
func TestOneOfTwoActs(t *testing.T) {
	a := start(t)
	b := serve(t, a.client)
	stop, _ := a.run(t, "a")
	a.until(t, "a is elected", func() bool { return a.holder(t) == "a" })
	if l, _ := b.loops(t, "b"); l.Elected(t.Context()) || a.holder(t) != "a" {
		t.Errorf("the second server takes the Lease of the first: it is held by %q", a.holder(t))
	}
	_, second := b.run(t, "b")
	a.must(t, "create", "v1/namespaces", `{"metadata":{"name":"new"}}`)
	a.until(t, "the namespace is furnished", func() bool { return a.exists(t, rootCA) && a.exists(t, account) })
	if holder := a.holder(t); holder != "a" {
		t.Errorf("the Lease is held by %q", holder)
	}
	if did := second.did(); len(did) > 0 {
		t.Errorf("the second server did %q", did)
	}
	stop()
	b.until(t, "b is elected", func() bool { return b.holder(t) == "b" })
	b.must(t, "delete", "v1/namespaces/new", "")
	b.untilGone(t, "v1/namespaces/new")
}

// TestSilentServerIsSucceeded takes from a server the ability to write: it gives up, and the other one acts alone from then on.
func TestSilentServerIsSucceeded(t *testing.T) {
	a := start(t)
	b := serve(t, a.client)
	pace := standalone.Pace{Look: 10 * time.Millisecond, Lease: time.Second, Settle: time.Millisecond}
	_, first := a.run(t, "a", pace)
	a.until(t, "a is elected", func() bool { return a.holder(t) == "a" })
	a.until(t, "everything is furnished", func() bool { return len(first.did()) == 4 })
	first.breaks(errors.New("the disk is full"))
	_, second := b.run(t, "b", pace)
	b.until(t, "b is elected", func() bool { return b.holder(t) == "b" })
	first.breaks(nil)
	b.must(t, "create", "v1/namespaces", `{"metadata":{"name":"new"}}`)
	b.until(t, "the namespace is furnished", func() bool { return b.exists(t, rootCA) && b.exists(t, account) })
	if n := len(first.did()); n != 4 || len(second.did()) != 2 {
		t.Errorf("the first has done %d things, the second %q", n, second.did())
	}
}

// TestControllerManagerGoesFirst guards a cluster that has a kube-controller-manager from a second one.
func TestControllerManagerGoesFirst(t *testing.T) {
	c := start(t)
	c.run(t, "one")
	c.until(t, "the loops are elected", func() bool { return c.holder(t) == "one" })
	c.must(t, "create", leases, fmt.Sprintf(
		`{"metadata":{"name":"kube-controller-manager"},"spec":{"holderIdentity":"real","leaseDurationSeconds":3600,"renewTime":%q}}`,
		time.Now().UTC().Format(metav1.RFC3339Micro)))
	c.until(t, "the loops have stopped", func() bool { return c.holder(t) == "" })
	c.must(t, "create", "v1/namespaces", `{"metadata":{"name":"new"}}`)
	orphan := c.must(t, "create", "v1/ns:configmaps", owned("child", "v1 ConfigMap gone 1"))
	if c.exists(t, account) {
		t.Error("the namespace was furnished beside a kube-controller-manager")
	}
	c.must(t, "patch", controllerLease, `{"spec":{"holderIdentity":""}}`)
	c.until(t, "the loops are elected again", func() bool { return c.holder(t) == "one" })
	c.until(t, "the namespace is furnished", func() bool { return c.exists(t, account) })
	c.untilGone(t, "v1/ns:configmaps/"+orphan.Metadata.Name)
}

// TestHeld checks when a Lease counts as held, by the clock of who looks.
func TestHeld(t *testing.T) {
	now := time.Unix(1e9, 0)
	lease := func(version, holder string, renewed time.Time) *coordinationv1.Lease {
		seconds, micro := int32(15), metav1.NewMicroTime(renewed)
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{ResourceVersion: version},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &micro},
		}
	}
	type look struct {
		lease *coordinationv1.Lease
		after time.Duration
		held  bool
	}
	old := lease("1", "x", now.Add(-time.Hour))
	tests := []struct {
		name  string
		looks []look
	}{
		{"there is none", []look{{nil, 0, false}}},
		{"nobody holds it", []look{{lease("1", "", now), 0, false}}},
		{"it was renewed just now", []look{{lease("1", "x", now), 0, true}, {lease("1", "x", now), 14 * time.Second, true}, {lease("1", "x", now), 15 * time.Second, false}}},
		{"it ran out long ago", []look{{old, 0, false}, {old, time.Second, false}}},
		{"it is renewed by a clock that is behind", []look{{old, 0, false}, {lease("2", "x", now.Add(-time.Hour)), 2 * time.Second, true}}},
		{"it was renewed by a clock that is ahead and then no more", []look{
			{lease("1", "x", now.Add(time.Hour)), 0, true}, {lease("1", "x", now.Add(time.Hour)), 16 * time.Second, false},
		}},
		{"it was taken away", []look{{lease("1", "x", now), 0, true}, {nil, time.Second, false}}},
		{"it has no duration", []look{{&coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: old.Spec.HolderIdentity}}, 0, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s standalone.Sighting
			for i, l := range tt.looks {
				if got := s.Held(l.lease, now.Add(l.after)); got != l.held {
					t.Errorf("look %d: held = %v", i, got)
				}
			}
		})
	}
}
