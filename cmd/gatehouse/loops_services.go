package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/services"
	"github.com/gatehouse/gatehouse/store"
)

// Package services knows no resources and no etcd. What it needs of both passes through here.

// makeAllocator makes the allocator of the configured ranges. Its objects are found once the resources have been made.
func (p *parts) makeAllocator() *services.Allocator {
	objects := &serviceObjects{p: p}
	var families []corev1.IPFamily
	for _, r := range p.options.ServiceClusterIPRanges {
		families = append(families, family(r))
	}
	p.allocator = services.New(services.Config{
		Families: families, Ports: p.options.ServiceNodePorts, Addresses: objects, Objects: objects,
		PortCell: portCell{p.mirror.Etcd()}, Logger: p.logger,
	})
	return p.allocator
}

func family(r netip.Prefix) corev1.IPFamily {
	if r.Addr().Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// portCell is the value of the node ports.
type portCell struct{ etcd *store.Etcd }

func (c portCell) key() string { return c.etcd.Prefix() + "/ranges/servicenodeports" }

// Get implements services.Cell.
func (c portCell) Get(ctx context.Context) ([]byte, int64, error) {
	kv, _, _, err := c.etcd.Get(ctx, c.key())
	return kv.Value, kv.Revision, err
}

// Swap implements services.Cell.
func (c portCell) Swap(ctx context.Context, value []byte, revision int64) (bool, int64, error) {
	var now int64
	var err error
	if revision == 0 {
		now, err = c.etcd.Create(ctx, c.key(), value, 0)
	} else {
		now, _, err = c.etcd.Update(ctx, c.key(), value, revision, 0)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return false, 0, nil
	}
	return err == nil, now, err
}

// serviceObjects are the objects that allocation is about.
type serviceObjects struct {
	p     *parts
	cidrs view[*networkingv1.ServiceCIDR]
}

// resourceOf is the part of a request that names a resource of version v1.
func resourceOf(group, plural string) api.RequestInfo {
	return api.RequestInfo{IsResource: true, Group: group, Version: "v1", Resource: plural}
}

// objectOf names one object without a namespace.
func objectOf(group, plural, name string) api.RequestInfo {
	info := resourceOf(group, plural)
	info.Name = name
	return info
}

const (
	cidrs       = "servicecidrs"
	ipAddresses = "ipaddresses"
)

// CIDRs implements services.Objects. One that cannot be decoded is left out: no addresses are taken of it, and none of its own are let go,
// so Services can go on being made.
func (s *serviceObjects) CIDRs(ctx context.Context, fresh bool) ([]*networkingv1.ServiceCIDR, error) {
	if fresh {
		if _, err := s.p.mirror.Fresh(ctx); err != nil {
			return nil, err
		}
	}
	list, err := s.cidrs.list(s.p.resources, resourceOf(networkingv1.GroupName, cidrs))
	if err != nil {
		s.p.logger.Warn("a ServiceCIDR cannot be decoded and counts as not there", "err", err)
	}
	return list, nil
}

// Services implements services.Objects. One that cannot be decoded is an error, or what it has would be given to others.
func (s *serviceObjects) Services(ctx context.Context) ([]*corev1.Service, error) {
	if _, err := s.p.mirror.Fresh(ctx); err != nil {
		return nil, err
	}
	return complete[*corev1.Service](s.p.resources, resourceOf("", "services"))
}

// IPAddresses implements services.Objects. One that cannot be decoded is an error, as for Services.
func (s *serviceObjects) IPAddresses(ctx context.Context) ([]*networkingv1.IPAddress, error) {
	if _, err := s.p.mirror.Fresh(ctx); err != nil {
		return nil, err
	}
	return complete[*networkingv1.IPAddress](s.p.resources, resourceOf(networkingv1.GroupName, ipAddresses))
}

// Taken implements services.Addresses.
func (s *serviceObjects) Taken(name string) bool {
	t, ok := s.p.resources.Table.Lookup(networkingv1.GroupName, "v1", ipAddresses)
	if !ok {
		return false
	}
	cache := s.p.resources.Cache(t)
	return cache.Get(cache.Prefix()+name) != nil
}

// addressTime bounds the write of an address. It does not end with the request that the address is for: a write that is given up half
// way could leave an address that nobody knows of.
const addressTime = 15 * time.Second

// Create implements services.Addresses.
func (s *serviceObjects) Create(ctx context.Context, ip *networkingv1.IPAddress) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), addressTime)
	defer cancel()
	err := s.p.write(ctx, because("service addresses"), "create", objectOf(networkingv1.GroupName, ipAddresses, ip.Name), ip)
	if api.IsReason(err, metav1.StatusReasonAlreadyExists) {
		return services.ErrTaken
	}
	return err
}

// Delete implements services.Addresses.
func (s *serviceObjects) Delete(ctx context.Context, name string, uid types.UID) error {
	info := objectOf(networkingv1.GroupName, ipAddresses, name)
	var o metav1.DeleteOptions
	if uid != "" {
		o.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := s.p.remove(ctx, because("service addresses"), info, o)
	if uid != "" && api.IsReason(err, metav1.StatusReasonConflict) {
		return nil // It is another one by now.
	}
	return err
}

// cached decodes what the cache of a resource holds. What cannot be decoded is left out.
func cached[T resource.Object](s *resource.Service, info api.RequestInfo) []T {
	var v view[T]
	list, _ := v.list(s, info)
	return list
}

// complete is cached for those who take what is not in the list for not there: it fails where an object cannot be decoded.
func complete[T resource.Object](s *resource.Service, info api.RequestInfo) ([]T, error) {
	var v view[T]
	list, err := v.list(s, info)
	if err != nil {
		return nil, err
	}
	return list, nil
}

// errUndecodable is in the chain of the errors about stored objects that cannot be decoded. They stay until somebody repairs the data.
var errUndecodable = errors.New("a stored object cannot be decoded")

// view lists a resource and decodes each of its objects once per change. What it returns is shared and not to be changed.
type view[T resource.Object] struct {
	mu    sync.Mutex
	known map[*store.Item]T // guarded by mu
}

// list returns all objects that can be decoded, and an error that names the first of those that cannot.
func (v *view[T]) list(s *resource.Service, info api.RequestInfo) ([]T, error) {
	t, ok := s.Table.Lookup(info.Group, info.Version, info.Resource)
	if !ok {
		return nil, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := map[*store.Item]T{}
	var list []T
	var failed error
	cache := s.Cache(t)
	cache.Snapshot().Ascend(cache.Prefix(), "", func(item *store.Item) bool {
		o, ok := v.known[item]
		if !ok {
			decoded, err := t.Decode(item)
			if err != nil {
				if failed == nil {
					failed = fmt.Errorf("%w: %s: %w", errUndecodable, item.Key, err)
				}
				return true
			}
			o = decoded.(T)
		}
		now[item] = o
		list = append(list, o)
		return true
	})
	v.known = now
	return list, failed
}

// repairAllocations makes the records of addresses and node ports what the services say.
func (p *parts) repairAllocations(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return p.allocator.RepairIPs(ctx) })
	group.Go(func() error { return p.allocator.RepairPorts(ctx) })
	return group.Wait()
}

// keepDefaultCIDR makes the ServiceCIDR of the configured ranges, gives one of the first range alone the second, and marks it as ready.
func (p *parts) keepDefaultCIDR(ctx context.Context) error {
	c := because("default service CIDR")
	var ranges []string
	for _, r := range p.options.ServiceClusterIPRanges {
		ranges = append(ranges, r.String())
	}
	wanted := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: services.DefaultCIDR}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: ranges}}
	if err := p.ensure(ctx, c, wanted, func(existing, wanted resource.Object) (resource.Object, bool) {
		have, want := existing.(*networkingv1.ServiceCIDR), wanted.(*networkingv1.ServiceCIDR)
		if len(want.Spec.CIDRs) != 2 || len(have.Spec.CIDRs) != 1 || have.Spec.CIDRs[0] != want.Spec.CIDRs[0] {
			return nil, false
		}
		have.Spec.CIDRs = want.Spec.CIDRs
		return have, true
	}); err != nil {
		return err
	}
	info := objectOf(networkingv1.GroupName, cidrs, services.DefaultCIDR)
	o, found, err := p.read(ctx, c.why, info, "")
	if err != nil || !found {
		return err
	}
	existing := o.(*networkingv1.ServiceCIDR)
	if !services.DefaultReady(existing, ranges, time.Now()) {
		if have := existing.Spec.CIDRs; strings.Join(have, ",") != strings.Join(ranges, ",") {
			p.logger.Warn("the default ServiceCIDR is not what --service-cluster-ip-range says; it is left as it is", "has", have, "flag", ranges)
		}
		return nil
	}
	c.manager = "kubernetes-service-cidr-controller"
	ready := apimeta.FindStatusCondition(existing.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	return ignoreConflict(p.applyCondition(ctx, c, info, typeOf(networkingv1.SchemeGroupVersion, "ServiceCIDR"), ready))
}

// ignoreConflict passes over the failure of a write that came second: what it was computed from has changed, and is looked at again.
func ignoreConflict(err error) error {
	if api.IsReason(err, metav1.StatusReasonConflict) {
		return nil
	}
	return err
}
