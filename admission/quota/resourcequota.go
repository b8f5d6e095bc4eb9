// Package quota bounds what a namespace may use: ResourceQuota all of its objects together, LimitRanger each of them.
//
// Both decide like the plugins of kube-apiserver of those names. ResourceQuota charges what it admits to the status of the quotas
// before the object is stored, so that what was charged can only be too much: an object that is refused after it, or taken away later, is
// found by the controller that counts.
package quota

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Quotas reads and charges quotas. What it returns is not changed by the caller.
type Quotas interface {
	// Quotas returns the quotas of a namespace. A fresh read sees every write that had ended when it began; without that it costs no I/O.
	Quotas(ctx context.Context, namespace string, fresh bool) ([]*corev1.ResourceQuota, error)
	// Charge stores the status if the quota still has the resourceVersion that it was given with, and returns it as stored. A
	// conflict, like all errors, leaves it as it was, except that a write of unknown outcome may have happened.
	Charge(ctx context.Context, q *corev1.ResourceQuota) (*corev1.ResourceQuota, error)
}

// Objects finds what charges for devices depend on. What it returns is not changed by the caller.
type Objects interface {
	DeviceClasses(ctx context.Context) ([]*resourcev1.DeviceClass, error)
	ResourceClaims(ctx context.Context, namespace string) ([]*resourcev1.ResourceClaim, error)
	// Pod returns the pod and whether it exists.
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, bool, error)
}

// ResourceQuota refuses with 403 what would use more than the quotas of the namespace leave. It is a Validator and must be asked last: it
// charges for what it admits. A dry run is judged and not charged.
//
// Its promise is that no quota is overshot, whoever writes at the same time in this or another server: a charge is stored
// only on the state it was computed from. Requests of one namespace that wait for that are charged together, in one write for each
// quota. Where a namespace has no quota, it costs one look into a cache.
type ResourceQuota struct {
	quotas  Quotas
	objects Objects
	now     func() time.Time

	mu    sync.Mutex       // guards lines, and the waiting of each
	lines map[string]*line // of the namespaces in which somebody waits, by name
}

// NewResourceQuota returns the plugin. All arguments are required; now is the clock that says when a deleted pod is over.
func NewResourceQuota(quotas Quotas, objects Objects, now func() time.Time) *ResourceQuota {
	return &ResourceQuota{quotas: quotas, objects: objects, now: now, lines: map[string]*line{}}
}

// Validate judges and charges creates, and those updates that can change what an object is charged for.
func (q *ResourceQuota) Validate(ctx context.Context, a *admission.Attributes) error {
	if a.Namespace == "" || !a.Writes() || a.Kind.Group == "" && a.Kind.Kind == "Namespace" {
		return nil
	}
	quotas, err := q.quotas.Quotas(ctx, a.Namespace, false)
	if err != nil {
		return api.ToError(err)
	}
	if len(quotas) == 0 {
		return nil
	}
	e := q.evaluatorOf(ctx, a.Resource.GroupResource())
	if e == nil || !e.touches(a) {
		return nil
	}
	charged, err := e.charge(quotas, a)
	if err != nil {
		return api.ToError(err)
	}
	if a.DryRun || len(changed(quotas, charged)) == 0 {
		return nil
	}
	return q.wait(ctx, &request{evaluator: e, attributes: a, done: make(chan struct{})})
}
