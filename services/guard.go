package services

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
)

// Held reports whether Services have addresses that only this ServiceCIDR covers. Who deletes it then would leave them with addresses of
// no range. It reads all IPAddresses.
func (a *Allocator) Held(ctx context.Context, c *networkingv1.ServiceCIDR) (bool, error) {
	all, err := a.Objects.CIDRs(ctx, true)
	if err != nil {
		return false, err
	}
	if hasParents(c, all) {
		return false, nil
	}
	ips, err := a.Objects.IPAddresses(ctx)
	return err == nil && holdsAny(c, all, ips), err
}
