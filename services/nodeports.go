package services

import (
	"context"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// takePorts takes the node ports that the Service lacks, all with one write, and notes those that it gives up.
func (h *hold) takePorts(ctx context.Context, svc, old *corev1.Service) error {
	if old != nil {
		h.freePorts(svc, old)
	}
	needs := opensPorts(svc) || (wantsHealthPort(svc) && (old == nil || !wantsHealthPort(old)))
	if !needs {
		return nil
	}
	if old != nil && settled(svc, old) {
		return nil
	}
	var plan *portPlan
	var planned *corev1.Service
	edit := func(b bits) error {
		plan, planned = &portPlan{bits: b, dryRun: h.dryRun}, svc.DeepCopy()
		return plan.run(planned, old)
	}
	var err error
	if h.dryRun {
		err = h.a.ports.look(ctx, edit)
	} else {
		err = h.a.ports.change(ctx, edit)
	}
	if err != nil {
		return err
	}
	svc.Spec.Ports, svc.Spec.HealthCheckNodePort = planned.Spec.Ports, planned.Spec.HealthCheckNodePort
	h.takenPorts = plan.taken
	return nil
}

// settled reports whether an update neither adds nor changes node ports, as most do not: then there is nothing to read.
func settled(svc, old *corev1.Service) bool {
	seen := map[corev1.ServicePort]bool{}
	was := portSet(old)
	for _, p := range svc.Spec.Ports {
		key := corev1.ServicePort{Protocol: p.Protocol, NodePort: p.NodePort}
		if (p.NodePort == 0 && wantsPorts(svc)) || (p.NodePort != 0 && (seen[key] || !was[int(p.NodePort)])) {
			return false
		}
		seen[key] = true
	}
	return wantsHealthPort(svc) == wantsHealthPort(old) || !wantsHealthPort(svc)
}

// freePorts notes what the new state no longer has.
func (h *hold) freePorts(svc, old *corev1.Service) {
	now := portSet(svc)
	for _, port := range nodePorts(old) {
		if (opensPorts(old) && !opensPorts(svc)) || (opensPorts(svc) && !now[port]) {
			h.freedPorts = append(h.freedPorts, port)
		}
	}
	if wantsHealthPort(old) && !wantsHealthPort(svc) && old.Spec.HealthCheckNodePort != 0 {
		h.freedPorts = append(h.freedPorts, int(old.Spec.HealthCheckNodePort))
	}
}

// portPlan is one attempt to find the ports of a Service.
type portPlan struct {
	bits   bits
	dryRun bool
	taken  []int

	dryTaken map[int]bool // the same ports in a dry run, which does not write them into the bits
	highest  int          // of taken
}

// takes notes that a port is taken.
func (p *portPlan) takes(port int) {
	if len(p.taken) == 0 || port > p.highest {
		p.highest = port
	}
	p.taken = append(p.taken, port)
	if p.dryRun {
		if p.dryTaken == nil {
			p.dryTaken = map[int]bool{}
		}
		p.dryTaken[port] = true
	}
}

// portSet is [nodePorts] as a set. Requests have as many ports as fit in them: they are not validated yet.
func portSet(svc *corev1.Service) map[int]bool {
	set := map[int]bool{}
	for _, port := range nodePorts(svc) {
		set[port] = true
	}
	return set
}

// run gives the ports of svc their node ports.
func (p *portPlan) run(svc, old *corev1.Service) error {
	if opensPorts(svc) {
		assign := p.assignNew
		if old != nil {
			assign = func(svc *corev1.Service) error { return p.assignChanged(svc, old) }
		}
		if err := assign(svc); err != nil {
			return err
		}
	}
	if wantsHealthPort(svc) && (old == nil || !wantsHealthPort(old)) {
		return p.assignHealth(svc)
	}
	return nil
}

// assignNew serves a new Service. Ports with the same number, which differ in protocol, share a node port.
func (p *portPlan) assignNew(svc *corev1.Service) error {
	shared := map[int32]int{}
	wanted := askedFor(svc.Spec.Ports)
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		if port.NodePort == 0 && !wantsPorts(svc) {
			continue
		}
		have, seen := shared[port.Port], shared[port.Port] != 0
		switch {
		case !seen:
			asked := wanted[port.Port]
			taken, err := p.takeOrNext(asked)
			if err != nil {
				return portRefused(svc, i, asked, err)
			}
			port.NodePort, shared[port.Port] = int32(taken), taken //nolint:gosec // A port number.
		case port.NodePort == 0:
			port.NodePort = int32(have) //nolint:gosec // A port number.
		case int(port.NodePort) != have:
			if err := p.take(int(port.NodePort)); err != nil {
				return portRefused(svc, i, int(port.NodePort), err)
			}
		}
	}
	return nil
}

// askedFor is, by number, the node port that the first of the ports with the number asks for that asks for any.
func askedFor(ports []corev1.ServicePort) map[int32]int {
	asked := map[int32]int{}
	for _, p := range ports {
		if p.NodePort != 0 && asked[p.Port] == 0 {
			asked[p.Port] = int(p.NodePort)
		}
	}
	return asked
}

// assignChanged serves a Service that exists.
func (p *portPlan) assignChanged(svc, old *corev1.Service) error {
	type pair struct {
		protocol corev1.Protocol
		port     int32
	}
	have := portSet(old) // and what is taken here
	seen := map[pair]bool{}
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		switch {
		case port.NodePort == 0 && !wantsPorts(svc):
			continue
		case port.NodePort == 0:
			next, err := p.takeOrNext(0)
			if err != nil {
				return portRefused(svc, i, 0, err)
			}
			port.NodePort = int32(next) //nolint:gosec // A port number.
		case !have[int(port.NodePort)]:
			if err := p.take(int(port.NodePort)); err != nil {
				return portRefused(svc, i, int(port.NodePort), err)
			}
			have[int(port.NodePort)] = true
		}
		key := pair{port.Protocol, port.NodePort}
		if seen[key] {
			return duplicatePort(fmt.Sprintf("duplicate nodePort: {%s %d}", port.Protocol, port.NodePort))
		}
		seen[key] = true
	}
	return nil
}

// assignHealth serves the port that health is told on.
func (p *portPlan) assignHealth(svc *corev1.Service) error {
	asked := int(svc.Spec.HealthCheckNodePort)
	port, err := p.takeOrNext(asked)
	switch {
	case err != nil && asked != 0:
		return internal(fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", asked, err))
	case err != nil:
		return internal(fmt.Errorf("failed to allocate a HealthCheck NodePort %v: %w", 0, err))
	}
	svc.Spec.HealthCheckNodePort = int32(port) //nolint:gosec // A port number.
	return nil
}

// portRefused is the answer where a node port, or with 0 any, could not be taken.
func portRefused(svc *corev1.Service, i, asked int, err error) error {
	if asked == 0 {
		return internal(fmt.Errorf("failed to allocate a nodePort: %w", err))
	}
	return invalid(svc.Name, field.Invalid(nodePortPath(i), asked, err.Error()))
}

// duplicatePort is the reference's answer to one node port twice: an error of the server without a reason, though it is the client's.
func duplicatePort(message string) error {
	return &api.Error{Status: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: message}}
}

func (p *portPlan) takeOrNext(port int) (int, error) {
	if port != 0 {
		return port, p.take(port)
	}
	return p.next()
}

// take takes one port. A dry run does not ask whether it is of the range.
func (p *portPlan) take(port int) error {
	if p.dryRun {
		if p.bits.has(port) || p.dryTaken[port] {
			return errPortTaken
		}
	} else if err := p.bits.take(port); err != nil {
		return err
	}
	p.takes(port)
	return nil
}

// dryRunPorts is below the ports that a dry run answers with, which are outside of the default range.
const dryRunPorts = 32768

// next takes any port.
func (p *portPlan) next() (int, error) {
	var port int
	var err error
	if p.dryRun {
		if port = dryRunPorts + 1; len(p.taken) > 0 {
			port = max(p.highest, 0) + 1
		}
	} else if port, err = p.bits.next(); err != nil {
		return 0, err
	}
	p.takes(port)
	return port, nil
}
