package resource

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
)

// serviceCIDRFinalizer holds a ServiceCIDR until no Service needs it any more.
const serviceCIDRFinalizer = "networking.k8s.io/service-cidr-finalizer"

// guard puts a finalizer on a ServiceCIDR that is about to be deleted while Services have addresses that no other one covers. Usually
// a controller has put it there before; this is for clusters that have none, and for the time until it does.
func (s *Service) guard(ctx context.Context, o Object) error {
	c, ok := o.(*networkingv1.ServiceCIDR)
	if !ok || s.Allocator == nil || !finished(o) {
		return nil
	}
	held, err := s.Allocator.Held(ctx, c)
	if held {
		c.Finalizers = append(c.Finalizers, serviceCIDRFinalizer)
	}
	return err
}
