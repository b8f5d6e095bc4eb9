package storage

import (
	"fmt"
	"strings"
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// longestKey is how much errors show of the name of an attribute or capacity.
const longestKey = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength

// fillTaints sets since when devices have their taints.
func fillTaints(devices *[]resourcev1.Device) {
	for i := range *devices {
		for j := range (*devices)[i].Taints {
			if t := &(*devices)[i].Taints[j]; t.TimeAdded == nil {
				t.TimeAdded = &metav1.Time{Time: time.Now().Truncate(time.Second)}
			}
		}
	}
}

// device are the rules of a device that a slice offers.
func device() *rules.Set {
	consumption := rules.Of[resourcev1.DeviceCounterConsumption](
		rules.At("counterSet", rules.Required(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("counters", counters(resourcev1.ResourceSliceMaxCountersPerDeviceCounterConsumption)),
	)
	selector := strictly()
	return rules.Of[resourcev1.Device](
		rules.At("name", rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("", rules.Check(checkAttributeCount)),
		rules.At("attributes", rules.Check(func(c *rules.Checker, v, _ *map[resourcev1.QualifiedName]resourcev1.DeviceAttribute) {
			eachEntry(c, *v, longestKey, attributeName, checkAttribute)
		})),
		rules.At("", rules.Check(checkDeviceCapacity)),
		rules.At("taints", rules.Check(checkTaints())),
		rules.At("consumesCounters", boundedSet(resourcev1.ResourceSliceMaxDeviceCounterConsumptionsPerDevice,
			func(d *resourcev1.DeviceCounterConsumption) string { return d.CounterSet }, consumption)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.Device) { checkDeviceReach(c, v, selector) })),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *resourcev1.Device) {
			checkBinding(c, v.BindingConditions, v.BindingFailureConditions)
		})),
	)
}

func attributeName(name resourcev1.QualifiedName, p *field.Path) field.ErrorList {
	return qualifiedName(string(name), p)
}

// counterSet are the rules of counters that devices share.
func counterSet() *rules.Set {
	return rules.Of[resourcev1.CounterSet](
		rules.At("name", rules.Required(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("counters", counters(resourcev1.ResourceSliceMaxCountersPerCounterSet)),
	)
}

// counters asks for at least one and at most the given number of named counters, whose value can be any quantity.
func counters(most int) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *map[string]resourcev1.Counter) {
		switch {
		case len(*v) == 0:
			c.Add(field.Required(c.Path(), ""))
		case len(*v) > most:
			c.Add(field.TooMany(c.Path(), len(*v), most))
		default:
			eachEntry(c, *v, utilvalidation.DNS1123LabelMaxLength, counterName,
				func(*resourcev1.Counter, *field.Path) field.ErrorList { return nil })
		}
	})
}

func counterName(name string, p *field.Path) (errs field.ErrorList) {
	for _, m := range utilvalidation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(p, name, m))
	}
	return errs
}

// checkAttributeCount bounds the number of attributes and capacities, and of values, where each element of a list is one.
func checkAttributeCount(c *rules.Checker, v, _ *resourcev1.Device) {
	if n := len(v.Attributes) + len(v.Capacity); n > resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice {
		c.Add(field.Invalid(c.Path(), n, fmt.Sprintf("the total number of attributes and capacities must not exceed %d",
			resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice)))
	}
	values := 0
	for _, a := range v.Attributes {
		values += max(1, len(a.BoolValues)+len(a.IntValues)+len(a.StringValues)+len(a.VersionValues))
	}
	if values > resourcev1.ResourceSliceMaxAttributeValuesPerDevice {
		c.Add(field.Invalid(c.Path(), values, fmt.Sprintf("the total number of attribute values must not exceed %d",
			resourcev1.ResourceSliceMaxAttributeValuesPerDevice)))
	}
}

// checkTaints spares taints that an update leaves as they are.
func checkTaints() func(c *rules.Checker, v, old *[]resourcev1.DeviceTaint) {
	taint := rules.Of[resourcev1.DeviceTaint](
		rules.At("key", rules.FormatAt(func(p *field.Path, s string) field.ErrorList { return metav1validation.ValidateLabelName(s, p) })),
		rules.At("value", rules.Optional(), rules.Format(utilvalidation.IsValidLabelValue)),
		rules.At("effect", rules.Required(), rules.Enum(effects()...)),
	)
	return func(c *rules.Checker, v, old *[]resourcev1.DeviceTaint) {
		if old == nil || !apiequality.Semantic.DeepEqual(*old, *v) {
			askEach(c, *v, resourcev1.DeviceTaintsMaxLength, taint)
		}
	}
}

// checkDeviceReach asks each device on which nodes it is where the slice leaves that to them, and not otherwise.
func checkDeviceReach(c *rules.Checker, v *resourcev1.Device, selector *rules.Set) {
	slice, _ := rules.Within[resourcev1.ResourceSlice](c)
	if each := slice.Spec.PerDeviceNodeSelection; each == nil || !*each {
		if v.NodeName != nil || v.NodeSelector != nil || v.AllNodes != nil {
			c.Add(field.Invalid(c.Path(), nil, "`nodeName`, `nodeSelector` and `allNodes` can only be set if "+
				"`perDeviceNodeSelection` is set to true in the ResourceSlice spec"))
		}
		return
	}
	var set []string
	switch {
	case v.NodeName == nil:
	case *v.NodeName == "":
		c.Add(field.Invalid(c.At("nodeName"), "", "must not be empty"))
	default:
		set = append(set, "`nodeName`")
		c.Add(nodeName(c.At("nodeName"), *v.NodeName)...)
	}
	if v.NodeSelector != nil {
		set = append(set, "`nodeSelector`")
		rules.In(c, selector, v.NodeSelector, nil, "nodeSelector")
	}
	set = appendIfTrue(c, set, "allNodes", v.AllNodes)
	const one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the " +
		"ResourceSlice spec"
	switch len(set) {
	case 0:
		c.Add(field.Required(c.Path(), one))
	case 1:
	default:
		c.Add(field.Invalid(c.Path(), "{"+strings.Join(set, ", ")+"}", one))
	}
}
