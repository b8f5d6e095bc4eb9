package services

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
)

// leakTolerance is how many repairs a port that no Service has stays taken: the write that took it may still be under way.
const leakTolerance = 3

// RepairPorts makes the bits of the node ports what the Services say, and makes the value if there is none. A port that is taken and
// no Service has is given back by the third repair after the one that found it. It must not be called twice at once.
func (a *Allocator) RepairPorts(ctx context.Context) error {
	for range maxPortTries {
		done, err := a.repairPorts(ctx)
		if done || err != nil {
			return err
		}
	}
	return errors.New("the node ports change too fast to be repaired")
}

// repairPorts attempts a repair. It reports false if another server was first with a change.
func (a *Allocator) repairPorts(ctx context.Context) (bool, error) {
	// The bits are read before the Services, so that a Service written after the read of the bits cannot lose its ports: they would have
	// to have been taken since, and then the write fails.
	value, revision, err := a.PortCell.Get(ctx)
	if err != nil {
		return false, err
	}
	stored := newBits(a.Ports)
	if revision > 0 {
		if stored, err = decodeBits(value); err != nil {
			return false, err
		}
	}
	list, err := a.Objects.Services(ctx)
	if err != nil {
		return false, err
	}
	r := &portRepair{a: a, stored: stored, leaked: stored.clone(), rebuilt: newBits(a.Ports), leaks: map[int]int{}}
	for _, svc := range list {
		r.service(svc)
	}
	r.tolerate()
	done := revision > 0 && stored.of == r.rebuilt.of && stored.set.Cmp(r.rebuilt.set) == 0
	if !done {
		done, err = a.ports.write(ctx, r.rebuilt, revision)
	}
	if done {
		a.leaks = r.leaks
		for _, log := range r.notes {
			log()
		}
	}
	return done, err
}

// portRepair is one attempt.
type portRepair struct {
	a                       *Allocator
	stored, leaked, rebuilt bits
	leaks                   map[int]int
	// notes are what there is to log if the attempt counts: one that comes second has seen ports taken for Services that it did not see.
	notes []func()
}

func (r *portRepair) warn(message string, args ...any) {
	r.notes = append(r.notes, func() { r.a.Logger.Warn(message, args...) })
}

// service takes the ports of a Service in what is rebuilt, and takes them out of what may be leaked.
func (r *portRepair) service(svc *corev1.Service) {
	for _, port := range usedPorts(svc) {
		about := []any{"namespace", svc.Namespace, "service", svc.Name, "port", port}
		switch err := r.rebuilt.take(port); {
		case errors.Is(err, errPortTaken):
			r.warn("a node port belongs to two services; make the service anew", about...)
		case err != nil:
			r.warn("a node port is outside of the range; make the service anew", append(about, "range", r.a.Ports.String())...)
		default:
			if !r.stored.has(port) {
				r.warn("a node port is not allocated; repairing", about...)
			}
			r.leaked.free(port)
		}
	}
}

// tolerate takes the leaked ports in what is rebuilt for as many repairs as they are tolerated.
func (r *portRepair) tolerate() {
	for _, port := range r.leaked.all() {
		left, known := r.a.leaks[port]
		if !known {
			left = leakTolerance
		}
		if left == 0 {
			r.warn("a node port has leaked; giving it back", "port", port)
			continue
		}
		r.leaks[port] = left - 1
		if err := r.rebuilt.take(port); err != nil {
			r.warn("a leaked node port is outside of the range", "port", port)
		}
	}
}

// usedPorts are the node ports of a Service, once each where ports of different protocols share one.
func usedPorts(svc *corev1.Service) []int {
	type pair struct {
		port     int32
		protocol corev1.Protocol
	}
	seen, protocols := map[int32]bool{}, map[pair]bool{}
	var list []int
	for _, p := range svc.Spec.Ports {
		key := pair{p.NodePort, p.Protocol}
		if p.NodePort != 0 && (!seen[p.NodePort] || protocols[key]) {
			list = append(list, int(p.NodePort))
		}
		seen[p.NodePort], protocols[key] = true, true
	}
	if health := svc.Spec.HealthCheckNodePort; health != 0 && (!seen[health] || protocols[pair{health, corev1.ProtocolTCP}]) {
		list = append(list, int(health))
	}
	return list
}
