package storage

import (
	"slices"

	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// ResourceClaim are the defaults and rules of a ResourceClaim, of which only the status changes.
//
// Access for administrators depends on a label of the namespace, which is not known here: who stores a claim asks for it.
func ResourceClaim() *rules.Kind {
	return rules.For(rules.Spec[resourcev1.ResourceClaim]{
		Fields: []rules.Entry{
			rules.At("status.allocation.devices.results", rules.Fill(func(results *[]resourcev1.DeviceRequestAllocationResult) {
				for i := range *results {
					fillTolerations((*results)[i].Tolerations)
				}
			})),
			rules.At("spec", whenCreated[resourcev1.ResourceClaimSpec](claimSpec())...),
			rules.At("spec", rules.Immutable()),
		},
		Create: func(o *resourcev1.ResourceClaim) { noEmptyRequests(&o.Spec) },
		Update: func(o, old *resourcev1.ResourceClaim) { keepIfSame(&o.Spec, &old.Spec) },
		Parts: map[string]rules.Part[resourcev1.ResourceClaim]{"status": {
			Update: func(o, old *resourcev1.ResourceClaim) {
				keepMeta(o, old)
				forgetDevices(&o.Status, &old.Status)
			},
			Fields: claimStatus(),
		}},
	})
}

// ResourceClaimTemplate are the defaults and rules of a ResourceClaimTemplate, of which nothing changes.
func ResourceClaimTemplate() *rules.Kind {
	return rules.For(rules.Spec[resourcev1.ResourceClaimTemplate]{
		Fields: []rules.Entry{
			rules.At("spec.metadata", core.TemplateMeta()),
			rules.At("spec.spec", claimSpec()),
			rules.At("spec", rules.Immutable()),
		},
		Create: func(o *resourcev1.ResourceClaimTemplate) { noEmptyRequests(&o.Spec.Spec) },
		Update: func(o, old *resourcev1.ResourceClaimTemplate) { keepIfSame(&o.Spec.Spec, &old.Spec.Spec) },
	})
}

// noEmptyRequests makes an empty list none, since the stored form does not tell them apart and clients see which it is.
func noEmptyRequests(spec *resourcev1.ResourceClaimSpec) {
	if len(spec.Devices.Requests) == 0 {
		spec.Devices.Requests = nil
	}
}

// keepIfSame takes what is stored where a change makes no difference, such as that between an empty list and none.
func keepIfSame[T any, P interface {
	*T
	DeepCopy() *T
}](v *T, old P,
) {
	if apiequality.Semantic.DeepEqual(v, (*T)(old)) {
		*v = *old.DeepCopy()
	}
}

// whenCreated sets the defaults of a table and asks its rules of new objects only: what never changes is not checked again.
func whenCreated[T any](s *rules.Set) []rules.Rule {
	return []rules.Rule{
		rules.Fill(func(v *T) { rules.FillIn(s, v) }),
		rules.Check(func(c *rules.Checker, v, old *T) {
			if old == nil {
				rules.In(c, s, v, nil)
			}
		}),
	}
}

// deviceID tells apart the devices that have been allocated. Its form is what clients see of it.
type deviceID struct{ Driver, Pool, Device, ShareID string }

func allocatedID(r *resourcev1.DeviceRequestAllocationResult) deviceID {
	id := deviceID{r.Driver, r.Pool, r.Device, ""}
	if r.ShareID != nil {
		id.ShareID = string(*r.ShareID)
	}
	return id
}

func statusID(d *resourcev1.AllocatedDeviceStatus) deviceID {
	id := deviceID{d.Driver, d.Pool, d.Device, ""}
	if d.ShareID != nil {
		id.ShareID = *d.ShareID
	}
	return id
}

func allocated(s *resourcev1.ResourceClaimStatus) map[deviceID]bool {
	ids := map[deviceID]bool{}
	if s.Allocation != nil {
		for i := range s.Allocation.Devices.Results {
			ids[allocatedID(&s.Allocation.Devices.Results[i])] = true
		}
	}
	return ids
}

// forgetDevices drops what was said about devices that are given back by the same write, so that clients need not know of it.
func forgetDevices(s, old *resourcev1.ResourceClaimStatus) {
	had, has := allocated(old), allocated(s)
	s.Devices = slices.DeleteFunc(s.Devices, func(d resourcev1.AllocatedDeviceStatus) bool {
		id := statusID(&d)
		return had[id] && !has[id]
	})
	if len(s.Devices) == 0 {
		s.Devices = nil
	}
}
