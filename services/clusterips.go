package services

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// takeAddresses takes the cluster IPs that the Service lacks, and notes those that it gives up.
func (h *hold) takeAddresses(ctx context.Context, svc, old *corev1.Service) error {
	if old == nil {
		return h.takeAll(ctx, svc)
	}
	switch {
	case keepsPreference(svc, old):
		return nil
	case isExternalName(old) && !isExternalName(svc):
		return h.takeAll(ctx, svc)
	case len(old.Spec.ClusterIPs) > 0 && old.Spec.ClusterIPs[0] == corev1.ClusterIPNone:
		return nil
	case !isExternalName(old) && isExternalName(svc):
		h.freedIPs = append(h.freedIPs, old.Spec.ClusterIPs[:min(len(old.Spec.ClusterIPs), len(old.Spec.IPFamilies))]...)
		return nil
	}
	had, has := len(old.Spec.IPFamilies), len(svc.Spec.IPFamilies)
	switch {
	case had == 1 && has == 2:
		if len(svc.Spec.ClusterIPs) < 2 {
			svc.Spec.ClusterIPs = append(svc.Spec.ClusterIPs[:len(svc.Spec.ClusterIPs):len(svc.Spec.ClusterIPs)], "")
		}
		return h.takeOne(ctx, svc, len(svc.Spec.ClusterIPs)-1, svc.Spec.IPFamilies[1])
	case had == 2 && has == 1 && len(old.Spec.ClusterIPs) == 2:
		h.freedIPs = append(h.freedIPs, old.Spec.ClusterIPs[1])
	}
	return nil
}

// takeAll takes an address per family of a Service that has none yet.
func (h *hold) takeAll(ctx context.Context, svc *corev1.Service) error {
	if !hasAddresses(svc) {
		return nil
	}
	ips := make([]string, max(len(svc.Spec.ClusterIPs), len(svc.Spec.IPFamilies)))
	copy(ips, svc.Spec.ClusterIPs)
	asked := svc.Spec.ClusterIPs
	svc.Spec.ClusterIPs = ips
	for i, family := range svc.Spec.IPFamilies {
		if err := h.takeOne(ctx, svc, i, family); err != nil {
			svc.Spec.ClusterIPs = asked
			return err
		}
	}
	if len(ips) > 0 {
		svc.Spec.ClusterIP = ips[0]
	}
	return nil
}

// takeOne takes the i-th cluster IP: the one that is there, or any of the family.
func (h *hold) takeOne(ctx context.Context, svc *corev1.Service, i int, family corev1.IPFamily) error {
	ip := svc.Spec.ClusterIPs[i]
	if ip == "" {
		a, err := h.any(ctx, svc, family)
		if err != nil {
			return cannotTakeAny(svc, err)
		}
		svc.Spec.ClusterIPs[i] = a.String()
		return nil
	}
	a, ok := parseAddress(ip)
	if !ok {
		return internal(fmt.Errorf("failed to parse service IP %q", ip))
	}
	if err := h.this(ctx, svc, a, family); err != nil {
		return cannotTake(svc, fmt.Sprintf("failed to allocate IP %v: %v", ip, err), err)
	}
	return nil
}

// cannotTakeAny is the answer where no address could be taken.
func cannotTakeAny(svc *corev1.Service, err error) error {
	if errors.Is(err, errFull) {
		return internal(fmt.Errorf("failed to allocate a serviceIP for Service %q: %w", svc.Name, err))
	}
	return cannotTake(svc, fmt.Sprintf("failed to allocate IP: %v", err), err)
}

// cannotTake refuses the Service for its addresses. A failure of the server behind it stays what it is: it says nothing of the Service.
func cannotTake(svc *corev1.Service, message string, err error) error {
	var own *api.Error
	if errors.As(err, &own) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return invalid(svc.Name, field.Invalid(clusterIPsPath, svc.Spec.ClusterIPs, message))
}

// this takes the address that was asked for. Whether it is taken already is not asked in a dry run.
func (h *hold) this(ctx context.Context, svc *corev1.Service, address netip.Addr, family corev1.IPFamily) error {
	for _, fresh := range []bool{false, true} {
		list, err := h.a.blocks(ctx, family, fresh)
		if err != nil {
			return err
		}
		for _, b := range list {
			if !b.contains(address) {
				continue
			}
			if h.dryRun {
				return nil
			}
			return h.take(ctx, svc, address)
		}
		if fresh && h.dryRun && len(list) > 0 {
			return errNotInRange(address, list[0].prefix)
		}
	}
	return errNoRange
}

// any takes an address of the family. In a dry run it is that of a network, which no Service ever has.
func (h *hold) any(ctx context.Context, svc *corev1.Service, family corev1.IPFamily) (netip.Addr, error) {
	for _, fresh := range []bool{false, true} {
		list, err := h.a.blocks(ctx, family, fresh)
		if err != nil {
			return netip.Addr{}, err
		}
		for _, b := range list {
			if h.dryRun {
				return b.prefix.Addr(), nil
			}
			if a, err := h.takeFrom(ctx, svc, b); !errors.Is(err, errFull) {
				return a, err
			}
		}
	}
	return netip.Addr{}, errFull
}

// takeFrom takes the first free address that a search of the block comes by. What another server has taken meanwhile is passed over.
func (h *hold) takeFrom(ctx context.Context, svc *corev1.Service, b block) (found netip.Addr, err error) {
	err = errFull
	b.search(func(address netip.Addr) bool {
		if h.a.Addresses.Taken(address.String()) {
			return true
		}
		switch e := h.take(ctx, svc, address); {
		case errors.Is(e, ErrTaken):
			return true
		case e != nil:
			err = e
		default:
			found, err = address, nil
		}
		return false
	})
	return found, err
}

// take creates the object of an address. One whose creation has an unknown outcome is not given back: it may be somebody else's.
func (h *hold) take(ctx context.Context, svc *corev1.Service, address netip.Addr) error {
	if err := h.a.Addresses.Create(ctx, newIPAddress(address, svc)); err != nil {
		return err
	}
	h.takenIPs = append(h.takenIPs, address.String())
	return nil
}
