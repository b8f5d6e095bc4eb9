package resource

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// What a claim to devices may say depends on more than the claim. Devices that are in use are given to administrators only in namespaces
// with a label. And the status is written by parties that must not act for each other: who allocates devices, and the
// driver of each device.

// extraNodeName is the fact about a service account that names the node its token is bound to.
const extraNodeName = "authentication.kubernetes.io/node-name"

// guardClaim is the guard of ResourceClaims.
func guardClaim(ctx context.Context, s *Service, p authz.Permit, o, old Object, part part) field.ErrorList {
	claim := o.(*resourcev1.ResourceClaim)
	switch {
	case old == nil:
		return s.guardAdmin(ctx, p, adminRequest(claim.Spec.Devices.Requests))
	case part != statusOnly:
		return nil // The spec does not change.
	}
	now, before := &claim.Status, &old.(*resourcev1.ResourceClaim).Status
	var errs field.ErrorList
	if adminResult(before) == nil {
		errs = s.guardAdmin(ctx, p, adminResult(now))
	}
	errs = append(errs, s.guardBinding(ctx, p, now, before)...)
	if now.Allocation != nil { // Without one nothing about devices is kept.
		errs = append(errs, s.guardDrivers(ctx, p, now, before)...)
	}
	return errs
}

// guardClaimTemplate is the guard of ResourceClaimTemplates.
func guardClaimTemplate(ctx context.Context, s *Service, p authz.Permit, o, old Object, _ part) field.ErrorList {
	if old != nil {
		return nil
	}
	return s.guardAdmin(ctx, p, adminRequest(o.(*resourcev1.ResourceClaimTemplate).Spec.Spec.Devices.Requests))
}

// adminRequest is the path of the first request of access for administrators, or nil.
func adminRequest(requests []resourcev1.DeviceRequest) *field.Path {
	for i, r := range requests {
		if r.Exactly != nil && r.Exactly.AdminAccess != nil && *r.Exactly.AdminAccess {
			return field.NewPath("spec", "devices", "requests").Index(i).Child("adminAccess")
		}
	}
	return nil
}

// adminResult is the path of the first device that has been given for administration, or nil.
func adminResult(s *resourcev1.ResourceClaimStatus) *field.Path {
	if s.Allocation == nil {
		return nil
	}
	for i, r := range s.Allocation.Devices.Results {
		if r.AdminAccess != nil && *r.AdminAccess {
			return field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess")
		}
	}
	return nil
}

// guardAdmin refuses access for administrators in a namespace that is not labelled for it, or of which that is not known. at is nil
// where there is none.
func (s *Service) guardAdmin(ctx context.Context, p authz.Permit, at *field.Path) field.ErrorList {
	if at == nil {
		return nil
	}
	name := p.Info().Namespace
	labelled, err := s.hasLabel(ctx, name, resourcev1.DRAAdminNamespaceLabelKey, "true")
	switch {
	case err != nil:
		return field.ErrorList{field.InternalError(at, fmt.Errorf("could not retrieve namespace to verify admin access: %s", told(err)))}
	case !labelled:
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf(
			"admin access to devices requires the `%s: true` label on the containing namespace", resourcev1.DRAAdminNamespaceLabelKey))}
	}
	return nil
}

// hasLabel asks etcd about a label of a namespace, since a right hangs on it that may just have been taken away.
func (s *Service) hasLabel(ctx context.Context, namespace, key, value string) (bool, error) {
	t, ok := s.Table.Lookup("", "v1", "namespaces")
	if !ok {
		return false, api.PathNotFound()
	}
	now, err := s.current(ctx, t, s.key(t, "", namespace), namespace, true)
	if err != nil {
		return false, err
	}
	o, err := s.object(t, now.Item)
	if err != nil {
		return false, err
	}
	ns, ok := o.(*corev1.Namespace)
	return ok && ns.Labels[key] == value, nil
}

// guardBinding asks for the right to allocate devices and to reserve them, which is one to all claims of the cluster.
func (s *Service) guardBinding(ctx context.Context, p authz.Permit, now, before *resourcev1.ResourceClaimStatus) field.ErrorList {
	if apiequality.Semantic.DeepEqual(now.Allocation, before.Allocation) && apiequality.Semantic.DeepEqual(now.ReservedFor, before.ReservedFor) {
		return nil
	}
	info := p.Info()
	info.Subresource, info.Namespace, info.Name = resourcev1.SubresourceBinding, "", ""
	if err := s.further(ctx, p, info); err != nil {
		return field.ErrorList{field.Forbidden(field.NewPath("status", "allocation"), fmt.Sprintf(
			"changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=%q permission: %s", info.Verb, told(err)))}
	}
	return nil
}

// guardDrivers asks for the right to speak for each driver of which something about a device changes: on the node that the service account runs
// on, or on any.
func (s *Service) guardDrivers(ctx context.Context, p authz.Permit, now, before *resourcev1.ResourceClaimStatus) (errs field.ErrorList) {
	verbs := []string{resourcev1.VerbPrefixArbitraryNode + p.Info().Verb}
	if onNode(p.User(), allocatedNode(now.Allocation)) {
		verbs = []string{resourcev1.VerbPrefixAssociatedNode + p.Info().Verb, verbs[0]}
	}
	for _, driver := range changedDrivers(now, before) {
		var refused error
		for _, verb := range verbs {
			info := p.Info()
			info.Verb, info.Subresource, info.Name = verb, resourcev1.SubresourceDriver, driver
			err := s.further(ctx, p, info)
			if err == nil {
				refused = nil
				break
			}
			if refused == nil {
				refused = err
			}
		}
		if refused != nil {
			errs = append(errs, field.Forbidden(field.NewPath("status", "devices"), fmt.Sprintf(
				"changing status.devices requires resource=\"resourceclaims/driver\", verb=\"%s\" permission: %s", verbs, told(refused))))
		}
	}
	return errs
}

// told is what a client may read of an error.
func told(err error) string { return api.ToError(err).Status.Message }

// further asks for a right that the request needs besides the one it has been permitted by.
func (s *Service) further(ctx context.Context, p authz.Permit, info api.RequestInfo) error {
	if p.IsSystem() {
		return nil
	}
	if s.Authorizer == nil {
		return authz.Refusal(p.User(), info, "")
	}
	decision, reason, err := s.Authorizer.Authorize(ctx, p.User(), info)
	if err != nil || decision != authz.Allow {
		return authz.Refusal(p.User(), info, reason)
	}
	return nil
}

// changedDrivers are the drivers of devices about which something was added, changed or taken away, sorted.
func changedDrivers(now, before *resourcev1.ResourceClaimStatus) []string {
	type device struct{ driver, pool, device, share string }
	id := func(d *resourcev1.AllocatedDeviceStatus) device {
		id := device{d.Driver, d.Pool, d.Device, ""}
		if d.ShareID != nil {
			id.share = *d.ShareID
		}
		return id
	}
	gone := map[device]*resourcev1.AllocatedDeviceStatus{}
	for i := range before.Devices {
		gone[id(&before.Devices[i])] = &before.Devices[i]
	}
	drivers := map[string]bool{}
	for i := range now.Devices {
		d := &now.Devices[i]
		if was := gone[id(d)]; was == nil || !apiequality.Semantic.DeepEqual(was, d) {
			drivers[d.Driver] = true
		}
		delete(gone, id(d))
	}
	for key := range gone {
		drivers[key.driver] = true
	}
	return slices.Sorted(maps.Keys(drivers))
}

// allocatedNode is the one node that an allocation is bound to by name, or empty.
func allocatedNode(a *resourcev1.AllocationResult) string {
	if a == nil || a.NodeSelector == nil || len(a.NodeSelector.NodeSelectorTerms) != 1 {
		return ""
	}
	term := a.NodeSelector.NodeSelectorTerms[0]
	if len(term.MatchExpressions) != 0 || len(term.MatchFields) != 1 {
		return ""
	}
	f := term.MatchFields[0]
	if f.Key != "metadata.name" || f.Operator != corev1.NodeSelectorOpIn || len(f.Values) != 1 {
		return ""
	}
	return f.Values[0]
}

// onNode reports whether the user is a service account whose token is bound to the node.
func onNode(user api.User, node string) bool {
	account, ok := strings.CutPrefix(user.Name, api.ServiceAccountPrefix)
	if !ok || node == "" || strings.Count(account, ":") != 1 {
		return false
	}
	bound := user.Extra[extraNodeName]
	return len(bound) == 1 && bound[0] == node && len(validation.NameIsDNSSubdomain(node, false)) == 0
}
