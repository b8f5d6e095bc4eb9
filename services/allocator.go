package services

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/net"
)

// Addresses are the IPAddress objects, as far as taking and giving back is concerned.
type Addresses interface {
	// Taken reports whether an object of the name is known; the knowledge may be behind.
	Taken(name string) bool
	// Create stores a new object. It returns ErrTaken, and has changed nothing, if one of the name exists.
	Create(ctx context.Context, ip *networkingv1.IPAddress) error
	// Delete removes an object, of the UID if that is not empty; that there is none is no error.
	Delete(ctx context.Context, name string, uid types.UID) error
}

// Objects are the objects that allocation is computed from. What is returned is not changed by anybody.
type Objects interface {
	// CIDRs returns the ServiceCIDRs; with fresh, all that exist at the time of the call.
	CIDRs(ctx context.Context, fresh bool) ([]*networkingv1.ServiceCIDR, error)
	// Services returns all Services that exist at the time of the call.
	Services(ctx context.Context) ([]*corev1.Service, error)
	// IPAddresses returns all IPAddresses that exist at the time of the call.
	IPAddresses(ctx context.Context) ([]*networkingv1.IPAddress, error)
}

// Config is what an Allocator is made of. All of it is required but Now and Logger.
type Config struct {
	// Families are what the cluster is configured for, the default one first: one, or both.
	Families []corev1.IPFamily
	// Ports are the node ports.
	Ports     net.PortRange
	Addresses Addresses
	Objects   Objects
	// PortCell holds the bits of the node ports. Its key is the reference's: ranges/servicenodeports.
	PortCell Cell
	// Now is the clock that the age of addresses is measured with; nil means time.Now.
	Now func() time.Time
	// Logger is told what is repaired; nil discards.
	Logger *slog.Logger
}

// Allocator gives Services their cluster IPs and node ports. It is safe for concurrent use, here and in several servers on one etcd.
type Allocator struct {
	Config
	ports *ports
	leaks map[int]int // by port, how many more repairs a leak is tolerated for; used by RepairPorts only
}

// New makes an Allocator. Node ports are given once [Allocator.RepairPorts] has succeeded somewhere, which makes their value.
func New(c Config) *Allocator {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Allocator{Config: c, ports: newPorts(c.PortCell, c.Ports), leaks: map[int]int{}}
}

// cleanupTime bounds the giving back of what a finished request has held. It does not end with the request.
const cleanupTime = 20 * time.Second

// Allocate completes a Service that is about to be written with the IP families, cluster IPs and node ports that it asks for or
// gets by default, and takes these. old is the stored state that the write replaces, nil for a new Service; it is not changed.
// A dry run takes nothing and fills in values that stand for the real ones.
//
// finish is called once it is known whether svc was committed. Where that stays unknown it is not called: nothing is given
// back then, and the repair passes find what is not used. Errors are answers for the client; what was taken before one is given back.
func (a *Allocator) Allocate(ctx context.Context, svc, old *corev1.Service, dryRun bool) (finish func(ctx context.Context, committed bool), err error) {
	if old == nil {
		normalizeNew(svc)
	} else {
		old = old.DeepCopy()
		a.CompleteStored(old)
		keepAllocated(svc, old)
		normalizeChanged(svc, old)
	}
	if err := a.completeFamilies(svc, old); err != nil {
		return nil, err
	}
	h := &hold{a: a, dryRun: dryRun}
	if err = h.takeAddresses(ctx, svc, old); err == nil {
		err = h.takePorts(ctx, svc, old)
	}
	if err != nil {
		h.finish(ctx, false)
		return nil, err
	}
	if old != nil {
		dropUnused(svc, old)
	}
	if isExternalName(svc) {
		svc.Spec.InternalTrafficPolicy = nil // which its type does not have
	}
	return h.finish, nil
}

// Release gives back what a Service held that has been removed.
func (a *Allocator) Release(ctx context.Context, svc *corev1.Service) {
	svc = svc.DeepCopy()
	normalizeNew(svc)
	h := &hold{a: a, freedPorts: nodePorts(svc)}
	if hasAddresses(svc) {
		h.freedIPs = slices.Clone(svc.Spec.ClusterIPs)
	}
	if wantsHealthPort(svc) && svc.Spec.HealthCheckNodePort > 0 {
		h.freedPorts = append(h.freedPorts, int(svc.Spec.HealthCheckNodePort))
	}
	h.finish(ctx, true)
}

// hold is what one write has taken and is going to give back.
type hold struct {
	a          *Allocator
	dryRun     bool
	takenIPs   []string // given back if the write does not happen
	takenPorts []int
	freedIPs   []string // given back if it does
	freedPorts []int
}

// finish gives back one half or the other.
func (h *hold) finish(ctx context.Context, committed bool) {
	if h.dryRun {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	ips, portList := h.takenIPs, h.takenPorts
	if committed {
		ips, portList = h.freedIPs, h.freedPorts
	}
	var errs []error
	for _, text := range ips {
		errs = append(errs, h.a.giveBack(ctx, text))
	}
	errs = append(errs, h.a.ports.free(ctx, portList))
	if err := errors.Join(errs...); err != nil {
		h.a.Logger.Warn("addresses or node ports could not be given back; the repair will", "ips", ips, "ports", portList, "err", err)
	}
}

// giveBack deletes the object of an address, whichever CIDR it came from, if the cluster has its family.
func (a *Allocator) giveBack(ctx context.Context, text string) error {
	address, ok := parseAddress(text)
	if !ok || !slices.Contains(a.Families, familyOf(address)) {
		return nil
	}
	return a.Addresses.Delete(ctx, address.String(), "")
}

// blocks are the ranges of a family that addresses can be taken from now, each once, that of the default ServiceCIDR first.
func (a *Allocator) blocks(ctx context.Context, family corev1.IPFamily, fresh bool) ([]block, error) {
	cidrs, err := a.Objects.CIDRs(ctx, fresh)
	if err != nil {
		return nil, err
	}
	var list []block
	for _, isDefault := range []bool{true, false} {
		for _, c := range cidrs {
			if (c.Name == DefaultCIDR) != isDefault || !usable(c) {
				continue
			}
			for _, text := range c.Spec.CIDRs {
				p, err := netip.ParsePrefix(text)
				if err != nil || familyOf(p.Addr()) != family || slices.ContainsFunc(list, func(b block) bool { return b.prefix == p.Masked() }) {
					continue
				}
				if b, ok := newBlock(p); ok {
					list = append(list, b)
				}
			}
		}
	}
	return list, nil
}
