package standalone

import (
	"context"
	"errors"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// Who acts: nobody while a kube-controller-manager holds its Lease, and otherwise the server that holds the Lease of the loops.

// The Leases, both in kube-system.
const (
	// LeaseName is the Lease of the loops.
	LeaseName      = "gatehouse-standalone"
	controllerName = "kube-controller-manager"
)

// sighting is when a Lease was last seen to be renewed, by the clock of this machine. That of the holder may be wrong.
type sighting struct {
	version string // of the Lease that was seen
	at      time.Time
}

// held reports whether somebody holds the lease, and remembers that it was renewed. The first look has only the time in the Lease to go
// by, which may be old; one in the future counts as now.
func (s *sighting) held(lease *coordinationv1.Lease, now time.Time) bool {
	if lease == nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Spec.LeaseDurationSeconds == nil {
		return false
	}
	if lease.ResourceVersion != s.version {
		first := s.version == ""
		s.version, s.at = lease.ResourceVersion, now
		if renewed := lease.Spec.RenewTime; first && (renewed == nil || renewed.Time.Before(now)) {
			s.at = time.Time{}
			if renewed != nil {
				s.at = renewed.Time
			}
		}
	}
	return now.Before(s.at.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second))
}

// election finds out who acts. Use it from one goroutine.
type election struct {
	loops      *Loops
	now        func() time.Time
	controller sighting // of the kube-controller-manager
	rival      sighting // of the server that holds the loops' own Lease
	renewed    time.Time
	idle       bool // that a kube-controller-manager is there has been logged
}

// run calls term whenever this process is elected, and cancels its context when it no longer is. Whoever ends in good order lets
// the next one be elected at once.
func (e *election) run(ctx context.Context, term func(context.Context)) error {
	tick := time.NewTicker(e.loops.Pace.Look)
	defer tick.Stop()
	var stop func()
	end := func() {
		if stop != nil {
			stop()
			e.release(context.WithoutCancel(ctx))
			stop = nil
		}
	}
	defer end()
	for {
		elected := e.round(ctx)
		switch {
		case elected && stop == nil:
			e.loops.Logger.Info("no kube-controller-manager is there: the standalone loops are running here")
			stop = begin(ctx, term)
		case !elected && stop != nil:
			e.loops.Logger.Info("the standalone loops have stopped here")
			end()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin runs a term until the returned function is called, which waits for its end.
func begin(ctx context.Context, term func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		term(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// round looks at the Leases once and reports whether this process is to act. Where they cannot be read or written, it goes on for
// two thirds of the time of its Lease.
func (e *election) round(ctx context.Context) bool {
	patience := e.loops.Pace.Lease * 2 / 3
	ctx, cancel := context.WithTimeout(ctx, max(e.loops.Pace.Lease/3, time.Second))
	defer cancel()
	elected, err := e.decide(ctx)
	if err == nil {
		return elected
	}
	if e.now().Sub(e.renewed) < patience && !api.IsReason(err, metav1.StatusReasonConflict) {
		return true
	}
	e.loops.Logger.Debug("the Lease of the standalone loops could not be had", "err", err)
	e.renewed = time.Time{}
	return false
}

func (e *election) decide(ctx context.Context) (bool, error) {
	controller, err := e.lease(ctx, controllerName)
	if err != nil {
		return false, err
	}
	now := e.now()
	if e.controller.held(controller, now) {
		if !e.idle {
			e.idle = true
			e.loops.Logger.Info("a kube-controller-manager is there: the standalone loops leave it to that", "holder", *controller.Spec.HolderIdentity)
		}
		e.renewed = time.Time{}
		return false, nil
	}
	e.idle = false
	own, err := e.lease(ctx, LeaseName)
	if err != nil {
		return false, err
	}
	mine := own != nil && own.Spec.HolderIdentity != nil && *own.Spec.HolderIdentity == e.loops.Holder
	switch {
	case mine && now.Sub(e.renewed) < e.loops.Pace.Lease/3:
		return true, nil
	case !mine && e.rival.held(own, now):
		e.renewed = time.Time{}
		return false, nil
	}
	if err := e.take(ctx, own, mine, now); err != nil {
		return false, err
	}
	e.renewed = now
	return true, nil
}

// take makes the Lease say that it is held here. Of several servers that try at once, one succeeds.
func (e *election) take(ctx context.Context, lease *coordinationv1.Lease, mine bool, now time.Time) error {
	verb := "update"
	if lease == nil {
		verb = "create"
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaseName, Namespace: metav1.NamespaceSystem}}
	}
	seconds, renewed := int32(e.loops.Pace.Lease/time.Second), metav1.NewMicroTime(now) //nolint:gosec // A lease is short.
	if !mine {
		transitions := int32(0)
		if lease.Spec.LeaseTransitions != nil {
			transitions = *lease.Spec.LeaseTransitions + 1
		}
		lease.Spec.LeaseTransitions, lease.Spec.AcquireTime = &transitions, &renewed
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &e.loops.Holder, &seconds, &renewed
	return e.write(ctx, verb, lease)
}

// leaveTime bounds the release of the Lease.
const leaveTime = 2 * time.Second

// release lets the next one be elected, if the Lease is held here.
func (e *election) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	e.renewed = time.Time{}
	lease, err := e.lease(ctx, LeaseName)
	if err == nil && lease != nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == e.loops.Holder {
		nobody := ""
		lease.Spec.HolderIdentity = &nobody
		err = e.write(ctx, "update", lease)
	}
	if err != nil {
		e.loops.Logger.Debug("the Lease of the standalone loops could not be released; it runs out", "err", err)
	}
}

const whyLease = "election of the standalone loops"

func leaseInfo(verb, name string) api.RequestInfo {
	return api.RequestInfo{
		IsResource: true, Verb: verb, Group: coordinationv1.GroupName, Version: "v1", Resource: "leases", Namespace: metav1.NamespaceSystem, Name: name,
	}
}

// lease reads a Lease as it is now; nil where there is none.
func (e *election) lease(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	result, err := e.loops.Resources.Get(ctx, authz.System(whyLease, leaseInfo("get", name)), "")
	switch {
	case api.IsReason(err, metav1.StatusReasonNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	o, err := result.Type.Decode(result.Item)
	if err != nil {
		return nil, err
	}
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return nil, errors.New("a Lease is something else")
	}
	return lease, nil
}

func (e *election) write(ctx context.Context, verb string, lease *coordinationv1.Lease) error {
	name := lease.Name
	if verb == "create" {
		name = ""
	}
	return e.loops.send(ctx, whyLease, leaseInfo(verb, name), lease)
}
