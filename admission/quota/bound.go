package quota

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// bound is what a limit range says about one resource.
type bound struct {
	name  corev1.ResourceName
	value resource.Quantity
}

// small reports whether all can be told in thousandths. What cannot is compared in whole units, rounded up.
func small(list ...resource.Quantity) bool {
	for _, q := range list {
		if q.Value() > resource.MaxMilliValue {
			return false
		}
	}
	return true
}

// less compares two quantities of which one is the bound.
func (b bound) less(x, y resource.Quantity, others ...resource.Quantity) bool {
	if small(append(others, x, y, b.value)...) {
		return x.MilliValue() < y.MilliValue()
	}
	return x.Value() < y.Value()
}

func (b bound) min(per corev1.LimitType, requests, limits amounts) error {
	request, asked := requests[b.name]
	limit, bounded := limits[b.name]
	if !asked {
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", b.name, per, b.value.String())
	}
	if b.less(request, b.value, limit) {
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", b.name, per, b.value.String(), request.String())
	}
	if bounded && b.less(limit, b.value, request) {
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", b.name, per, b.value.String(), limit.String())
	}
	return nil
}

func (b bound) max(per corev1.LimitType, requests, limits amounts) error {
	request, asked := requests[b.name]
	limit, bounded := limits[b.name]
	if !bounded {
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", b.name, per, b.value.String())
	}
	if b.less(b.value, limit, request) {
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", b.name, per, b.value.String(), limit.String())
	}
	if asked && b.less(b.value, request, limit) {
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", b.name, per, b.value.String(), request.String())
	}
	return nil
}

// ratio bounds by how much a limit is more than its request.
func (b bound) ratio(per corev1.LimitType, requests, limits amounts) error {
	request, asked := requests[b.name]
	limit, bounded := limits[b.name]
	over, under := float64(limit.Value()), float64(request.Value())
	if small(request, limit, b.value) {
		over, under = float64(limit.MilliValue()), float64(request.MilliValue())
	}
	if !asked || under == 0 {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no request is specified or request is 0", b.name, per, b.value.String())
	}
	if !bounded || over == 0 {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", b.name, per, b.value.String())
	}
	observed, allowed, scaled := over/under, float64(b.value.Value()), over/under
	if b.value.Value() <= resource.MaxMilliValue {
		scaled, allowed = observed*1000, float64(b.value.MilliValue())
	}
	if scaled > allowed {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but provided ratio is %f", b.name, per, b.value.String(), observed)
	}
	return nil
}
