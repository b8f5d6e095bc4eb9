package storage

import (
	"fmt"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// maxChoices bounds the amounts among which a claim can choose.
const maxChoices = 10

// checkDeviceCapacity asks that only devices which can be allocated several times say how much of a capacity can be asked for.
func checkDeviceCapacity(c *rules.Checker, v, _ *resourcev1.Device) {
	several := v.AllowMultipleAllocations != nil && *v.AllowMultipleAllocations
	rules.In(c, capacityTable(several), &v.Capacity, nil, "capacity")
}

func capacityTable(several bool) *rules.Set {
	type capacities = map[resourcev1.QualifiedName]resourcev1.DeviceCapacity
	return rules.Of[capacities](rules.At("", rules.Check(func(c *rules.Checker, v, _ *capacities) {
		eachEntry(c, *v, longestKey, attributeName, func(v *resourcev1.DeviceCapacity, p *field.Path) field.ErrorList {
			switch {
			case v.RequestPolicy == nil:
				return nil
			case !several:
				return field.ErrorList{field.Forbidden(p.Child("requestPolicy"), "allowMultipleAllocations must be true")}
			}
			return requestPolicy(v.Value, v.RequestPolicy, p.Child("requestPolicy"))
		})
	})))
}

// requestPolicy checks what amounts of a capacity can be asked for: some that are listed, or a range.
func requestPolicy(capacity resource.Quantity, v *resourcev1.CapacityRequestPolicy, p *field.Path) field.ErrorList {
	name := ""
	switch listed := len(v.ValidValues) > 0; {
	case listed && v.ValidRange != nil:
		return field.ErrorList{field.Forbidden(p,
			`exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)}
	case listed:
		name = "validValues"
	case v.ValidRange != nil:
		name = "validRange"
	default:
		return nil
	}
	switch {
	case v.Default == nil:
		return field.ErrorList{field.Required(p.Child("default"), "required when "+name+" is defined")}
	case v.ValidRange != nil:
		return requestRange(*v.Default, capacity, v.ValidRange, p.Child(name))
	}
	return requestValues(*v.Default, capacity, v.ValidValues, p.Child(name))
}

func requestValues(standard, capacity resource.Quantity, values []resource.Quantity, p *field.Path) (errs field.ErrorList) {
	for i := 1; i < len(values); i++ {
		if values[i-1].Cmp(values[i]) > 0 {
			errs = append(errs, field.Invalid(p.Index(i), values[i].String(), "values must be sorted in ascending order"))
		}
	}
	found := false
	if len(values) > maxChoices {
		errs = append(errs, field.TooMany(p, len(values), maxChoices))
	} else {
		for i, q := range values {
			if q.Cmp(capacity) > 0 {
				errs = append(errs, field.Invalid(p.Index(i), q.String(), "option is larger than capacity value: "+capacity.String()))
			}
			found = found || q.Cmp(standard) == 0
		}
		errs = append(errs, sameValues(values, p)...)
	}
	if !found {
		errs = append(errs, field.Invalid(p, standard.String(), "default value is not valid according to the requestPolicy"))
	}
	return errs
}

// sameValues tells of amounts that are the same once they are rounded up to whole numbers.
func sameValues(values []resource.Quantity, p *field.Path) (errs field.ErrorList) {
	seen := map[int64]bool{}
	for i, q := range values {
		if seen[q.Value()] {
			errs = append(errs, field.Duplicate(p.Index(i), fmt.Sprint(q.Value())))
		}
		seen[q.Value()] = true
	}
	return errs
}

func requestRange(standard, capacity resource.Quantity, v *resourcev1.CapacityRequestPolicyRange, p *field.Path) (errs field.ErrorList) {
	if v.Min == nil {
		return field.ErrorList{field.Required(p.Child("min"), "required when validRange is defined")}
	}
	unless := func(fine bool, name string, q resource.Quantity, detail string, other resource.Quantity) {
		if !fine {
			errs = append(errs, field.Invalid(p.Child(name), q.String(), detail+other.String()))
		}
	}
	unless(v.Min.Cmp(capacity) <= 0, "min", *v.Min, "min is larger than capacity value: ", capacity)
	unless(standard.Cmp(*v.Min) >= 0, "min", standard, "default is less than min: ", *v.Min)
	if v.Max != nil {
		unless(v.Min.Cmp(*v.Max) <= 0, "max", *v.Min, "min is larger than max: ", *v.Max)
		unless(v.Max.Cmp(capacity) <= 0, "max", *v.Max, "max is larger than capacity value: ", capacity)
		unless(standard.Cmp(*v.Max) <= 0, "max", standard, "default is more than max: ", *v.Max)
	}
	if v.Step == nil {
		return errs
	}
	next := v.Min.DeepCopy()
	next.Add(*v.Step)
	if next.Cmp(capacity) > 0 {
		errs = append(errs, field.Invalid(p.Child("step"), v.Step.String(),
			fmt.Sprintf("one step %s is larger than capacity value: %s", next.String(), capacity.String())))
	}
	errs = append(errs, onStep(standard, *v.Min, *v.Step, p.Child("step"))...)
	if v.Max != nil {
		errs = append(errs, onStep(*v.Max, *v.Min, *v.Step, p.Child("step"))...)
	}
	return errs
}

// onStep asks that an amount can be reached from the least by whole steps. A step of nothing reaches nothing but the least; the reference
// divides by it, which ends the request.
func onStep(q, least, step resource.Quantity, p *field.Path) field.ErrorList {
	rest := q.Value() - least.Value()
	if s := step.Value(); s == 0 && rest == 0 || s != 0 && rest%s == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(p, q.String(),
		fmt.Sprintf("value is not a multiple of a given step (%s) from (%s)", step.String(), least.String()))}
}
