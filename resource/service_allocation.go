package resource

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/store"
)

// Allocator gives Services what must be unique in the cluster.
type Allocator interface {
	// Allocate completes a Service before it is validated and written, and takes what it needs. old is nil for a new one and is not
	// changed. finish is called when it is known whether the write happened, and only then.
	Allocate(ctx context.Context, svc, old *corev1.Service, dryRun bool) (finish func(ctx context.Context, committed bool), err error)
	// CompleteStored fills in what servers of before did not store of a Service that has been read.
	CompleteStored(svc *corev1.Service)
	// Release gives back what a Service held that has been removed.
	Release(ctx context.Context, svc *corev1.Service)
	// Held reports whether Services have addresses that only this ServiceCIDR covers.
	Held(ctx context.Context, c *networkingv1.ServiceCIDR) (bool, error)
}

// claim is what one attempt to write an object has taken for it. The zero claim holds nothing.
type claim struct {
	finish func(ctx context.Context, committed bool)
}

// completeServices has Services completed whenever they are read.
func completeServices(t *Type, a Allocator) {
	if a == nil || t.Group != "" || t.Resource != "services" {
		return
	}
	t.onRead = func(o Object) {
		if svc, ok := o.(*corev1.Service); ok {
			a.CompleteStored(svc)
		}
	}
}

// allocate takes what the object needs. old is nil on create. Nothing is needed but by Services, and by these only for a request that
// writes their spec.
func (s *Service) allocate(ctx context.Context, o, old Object, part part, dryRun bool) (claim, error) {
	svc, ok := o.(*corev1.Service)
	if !ok || s.Allocator == nil || part != wholeObject {
		return claim{}, nil
	}
	was, _ := old.(*corev1.Service)
	finish, err := s.Allocator.Allocate(ctx, svc, was, dryRun)
	return claim{finish}, err
}

// drop ends the claim of a write that is not attempted.
func (c claim) drop(ctx context.Context) { c.settle(ctx, false, nil) }

// settle ends the claim by the outcome of the write. After an error that leaves open whether the write happened nothing is given
// back: what is lost by that, a repair finds, while two owners of one address would never be parted.
func (c claim) settle(ctx context.Context, committed bool, err error) {
	if c.finish == nil || (err != nil && !certain(err)) {
		return
	}
	c.finish(ctx, committed && err == nil)
}

// certain reports whether a write that failed with the error has not happened: it was refused before it was sent, or by etcd.
func certain(err error) bool {
	for _, known := range []error{store.ErrExists, store.ErrConflict, store.ErrTooLarge, store.ErrNoSpace} {
		if errors.Is(err, known) {
			return true
		}
	}
	var own *api.Error
	return errors.As(err, &own) && own.Code() < 500
}

// released gives back what an object held, if it has been removed. The Endpoints of a Service go with it, as controllers that lag behind could otherwise
// leave them to the next Service of the name.
func (s *Service) released(ctx context.Context, o Object, removed bool) {
	svc, ok := o.(*corev1.Service)
	if !ok || !removed || s.Allocator == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.deleteEndpoints(ctx, svc)
	s.Allocator.Release(ctx, svc)
}

// deleteEndpoints removes the Endpoints of a Service, if there are any and nothing holds them. A failure is left to the controllers.
func (s *Service) deleteEndpoints(ctx context.Context, svc *corev1.Service) {
	t, ok := s.Table.Lookup("", "v1", "endpoints")
	if !ok {
		return
	}
	_, _ = s.optimistic(ctx, t, svc.Namespace, svc.Name, false, func(now state) (*store.Item, Result, error) {
		o, err := s.object(t, now.Item)
		if err != nil {
			return nil, Result{}, err
		}
		marked := o.DeepCopyObject().(Object)
		if changed := s.mark(t, marked, metav1.DeleteOptions{}); changed && finished(marked) {
			return s.tryRemove(ctx, t, marked, now, false)
		}
		return s.commitUpdate(ctx, t, marked, now, false)
	})
}

// updateService clears what a load balancer has said of a Service that has become of another type.
func updateService(o, _ Object, part part) {
	if svc := o.(*corev1.Service); part == wholeObject && svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		svc.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}
