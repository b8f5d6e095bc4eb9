package storage

import (
	"slices"

	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// claimStatus are the rules of who has a claim, and of what devices it has been given. What has been given stays until it is given back.
func claimStatus() []rules.Entry {
	consumer := rules.Of[resourcev1.ResourceClaimConsumerReference](
		rules.At("resource", rules.Required()),
		rules.At("name", rules.Required()),
		rules.At("uid", rules.Required()),
	)
	allocation := allocationResult()
	return []rules.Entry{
		rules.At("status.reservedFor", boundedSet(resourcev1.ResourceClaimReservedForMaxSize,
			func(r *resourcev1.ResourceClaimConsumerReference) types.UID { return r.UID }, consumer)),
		rules.At("status.devices", boundedSet(unbounded, statusID, deviceStatus())),
		rules.At("", rules.Check(checkReserved)),
		rules.At("status", rules.Check(func(c *rules.Checker, v, old *resourcev1.ResourceClaimStatus) {
			switch {
			case v.Allocation == nil:
			case old == nil || old.Allocation == nil:
				rules.In(c, allocation, v.Allocation, nil, "allocation")
			case !apiequality.Semantic.DeepEqual(v.Allocation, old.Allocation):
				c.Add(field.Invalid(c.At("allocation"), rules.Shown(v.Allocation), validation.FieldImmutableErrorMsg))
			}
		})),
	}
}

func checkReserved(c *rules.Checker, v, old *resourcev1.ResourceClaim) {
	reserved := v.Status.ReservedFor
	at := field.NewPath("status", "reservedFor")
	switch {
	case len(reserved) == 0:
	case v.Status.Allocation == nil:
		c.Add(field.Forbidden(at, "may not be specified when `allocated` is not set"))
	case v.DeletionTimestamp != nil && old != nil:
		isNew := func(r resourcev1.ResourceClaimConsumerReference) bool {
			return !slices.Contains(old.Status.ReservedFor, r)
		}
		if slices.ContainsFunc(reserved, isNew) {
			c.Add(field.Forbidden(at, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"))
		}
	}
}

func deviceStatus() *rules.Set {
	return rules.Of[resourcev1.AllocatedDeviceStatus](
		rules.At("driver", driverName()...),
		rules.At("pool", poolName()),
		rules.At("device", rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("shareID", rules.Format(uid)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.AllocatedDeviceStatus) {
			claim, _ := rules.Within[resourcev1.ResourceClaim](c)
			if id := statusID(v); !allocated(&claim.Status)[id] {
				c.Add(field.Invalid(c.Path(), id, "must be an allocated device in the claim"))
			}
			if most := resourcev1.AllocatedDeviceStatusMaxConditions; len(v.Conditions) > most {
				c.Add(field.TooMany(c.At("conditions"), len(v.Conditions), most))
			}
			c.Add(metav1validation.ValidateConditions(v.Conditions, c.At("conditions"))...)
			if v.Data == nil || len(v.Data.Raw) == 0 {
				return
			}
			if err := checkParametersOf(c.At("data"), *v.Data, resourcev1.AllocatedDeviceStatusDataMaxLength); err != nil {
				c.Add(err)
			}
		})),
		rules.At("networkData.interfaceName", rules.MaxBytes(resourcev1.NetworkDeviceDataInterfaceNameMaxLength)),
		rules.At("networkData.hardwareAddress", rules.MaxBytes(resourcev1.NetworkDeviceDataHardwareAddressMaxLength)),
		rules.At("networkData.ips", boundedSet(resourcev1.NetworkDeviceDataMaxIPs, itself, rules.Of[string](
			rules.At("", rules.FormatAt(utilvalidation.IsValidInterfaceAddress)),
		))),
	)
}

func allocationResult() *rules.Set {
	result := rules.Of[resourcev1.DeviceRequestAllocationResult](
		rules.At("request", requestRef()),
		rules.At("driver", driverName()...),
		rules.At("pool", poolName()),
		rules.At("device", rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceRequestAllocationResult) {
			checkBinding(c, v.BindingConditions, v.BindingFailureConditions)
		})),
		rules.At("shareID", rules.Format(uid)),
	)
	config := rules.Of[resourcev1.DeviceAllocationConfiguration](
		rules.At("source", rules.Required(), rules.Enum(resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass)),
		rules.At("requests", requestRefs()),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.DeviceAllocationConfiguration) {
			checkConfig(c, &v.DeviceConfiguration, resourcev1.OpaqueParametersMaxLength)
		})),
	)
	return rules.Of[resourcev1.AllocationResult](
		rules.At("devices.results", bounded[resourcev1.DeviceRequestAllocationResult](resourcev1.AllocationResultsMaxSize, result)),
		rules.At("devices.config", bounded[resourcev1.DeviceAllocationConfiguration](2*resourcev1.DeviceConfigMaxSize, config)),
		rules.At("nodeSelector", core.NodeSelector()),
	)
}
