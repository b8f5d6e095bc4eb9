package services

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// How long an address may be older or younger than the Service that it is for: it is taken before the Service is written, and
// no request lasts longer.
const (
	orphanGrace = 60 * time.Second
	raceGrace   = 5 * time.Second
)

// RepairIPs makes the IPAddress objects what the Services say: it makes those that are missing, makes anew those that refer to
// something else, and deletes those that have been without a Service for longer than a request can last. An address that two Services
// have, or that no ServiceCIDR covers, is only logged. It reads every Service and every IPAddress, and writes what is wrong. One
// object that cannot be written does not keep the others from being repaired.
func (a *Allocator) RepairIPs(ctx context.Context) error {
	cidrs, err := a.Objects.CIDRs(ctx, true)
	if err != nil {
		return err
	}
	// The addresses are read before the Services: an address that is given back in between then has no Service any more, and one
	// that is taken is not looked at.
	ips, err := a.Objects.IPAddresses(ctx)
	if err != nil {
		return err
	}
	list, err := a.Objects.Services(ctx)
	if err != nil {
		return err
	}
	r := &ipRepair{a: a, cidrs: cidrs, services: map[[2]string]*corev1.Service{}, ips: map[string]*networkingv1.IPAddress{}}
	for _, svc := range list {
		r.services[[2]string{svc.Namespace, svc.Name}] = svc
	}
	for _, ip := range ips {
		r.ips[ip.Name] = ip
	}
	for _, svc := range list {
		r.service(ctx, svc)
	}
	for _, ip := range ips {
		r.address(ctx, ip)
	}
	return errors.Join(r.errs...)
}

// ipRepair is one pass.
type ipRepair struct {
	a        *Allocator
	cidrs    []*networkingv1.ServiceCIDR
	services map[[2]string]*corev1.Service // by namespace and name
	ips      map[string]*networkingv1.IPAddress
	errs     []error
}

// service checks the addresses of a Service.
func (r *ipRepair) service(ctx context.Context, svc *corev1.Service) {
	if !hasAddresses(svc) {
		return
	}
	svc = svc.DeepCopy()
	normalizeNew(svc)
	for _, text := range svc.Spec.ClusterIPs {
		log := r.a.Logger.With("namespace", svc.Namespace, "service", svc.Name, "ip", text)
		address, ok := parseAddress(text)
		switch {
		case !ok:
			log.Error("a cluster IP is not an IP address; make the service anew")
		case len(covering(r.cidrs, address)) == 0:
			log.Error("a cluster IP is not in any ServiceCIDR; make the service anew")
		default:
			r.clusterIP(ctx, svc, address)
		}
	}
}

func (r *ipRepair) clusterIP(ctx context.Context, svc *corev1.Service, address netip.Addr) {
	log := r.a.Logger.With("namespace", svc.Namespace, "service", svc.Name, "ip", address.String())
	ip := r.ips[address.String()]
	switch {
	case ip == nil:
		log.Warn("a cluster IP is not allocated; repairing")
		r.create(ctx, svc, address)
	case !ofService(ip):
		log.Warn("the IPAddress of a cluster IP does not refer to a service; repairing")
		r.recreate(ctx, svc, address, ip)
	case ip.Spec.ParentRef.Namespace != svc.Namespace || ip.Spec.ParentRef.Name != svc.Name:
		other := r.services[[2]string{ip.Spec.ParentRef.Namespace, ip.Spec.ParentRef.Name}]
		if other != nil && hasIP(other, ip.Name) {
			log.Error("a cluster IP belongs to two services; make the service anew", "other", ip.Spec.ParentRef.Namespace+"/"+ip.Spec.ParentRef.Name)
			return
		}
		log.Warn("the IPAddress of a cluster IP refers to another service; repairing")
		r.recreate(ctx, svc, address, ip)
	case !managed(ip) || ip.Labels[networkingv1.LabelIPAddressFamily] != string(familyOf(address)):
		log.Warn("the IPAddress of a cluster IP lacks its labels; repairing")
		r.recreate(ctx, svc, address, ip)
	}
}

func (r *ipRepair) create(ctx context.Context, svc *corev1.Service, address netip.Addr) {
	// That another server was first with the repair is no error.
	if err := r.a.Addresses.Create(ctx, newIPAddress(address, svc)); err != nil && !errors.Is(err, ErrTaken) {
		r.errs = append(r.errs, err)
	}
}

func (r *ipRepair) recreate(ctx context.Context, svc *corev1.Service, address netip.Addr, ip *networkingv1.IPAddress) {
	if err := r.a.Addresses.Delete(ctx, ip.Name, ip.UID); err != nil {
		r.errs = append(r.errs, err)
		return
	}
	r.create(ctx, svc, address)
	delete(r.ips, address.String()) // which is not what it was
}

// address checks that an IPAddress which was made here belongs to a Service that has it.
func (r *ipRepair) address(ctx context.Context, ip *networkingv1.IPAddress) {
	if !managed(ip) || r.ips[ip.Name] != ip {
		return
	}
	log := r.a.Logger.With("ip", ip.Name)
	age := r.a.Now().Sub(ip.CreationTimestamp.Time)
	if !ofService(ip) {
		log.Warn("an IPAddress made for a service does not refer to one; deleting it")
		r.delete(ctx, ip)
		return
	}
	svc := r.services[[2]string{ip.Spec.ParentRef.Namespace, ip.Spec.ParentRef.Name}]
	switch {
	case svc == nil && age <= orphanGrace:
	case svc != nil && hasIP(svc, ip.Name):
	case svc != nil && isExternalName(svc) && age < orphanGrace:
	case svc != nil && ip.CreationTimestamp.After(svc.CreationTimestamp.Time) && age < raceGrace:
	default:
		log.Warn("an IPAddress has leaked; deleting it", "namespace", ip.Spec.ParentRef.Namespace, "service", ip.Spec.ParentRef.Name)
		r.delete(ctx, ip)
	}
}

func (r *ipRepair) delete(ctx context.Context, ip *networkingv1.IPAddress) {
	if err := r.a.Addresses.Delete(ctx, ip.Name, ip.UID); err != nil {
		r.errs = append(r.errs, err)
	}
}

// hasIP reports whether the Service has the address, however it is written.
func hasIP(svc *corev1.Service, name string) bool {
	all := append([]string{svc.Spec.ClusterIP}, svc.Spec.ClusterIPs...)
	return slices.ContainsFunc(all, func(text string) bool {
		a, ok := parseAddress(text)
		return ok && a.String() == name
	})
}
