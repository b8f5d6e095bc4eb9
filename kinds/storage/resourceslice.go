package storage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// ResourceSlice are the defaults and rules of a ResourceSlice. The driver, pool and node that it is about stay.
func ResourceSlice() *rules.Kind {
	pool := rules.Of[resourcev1.ResourcePool](
		rules.At("name", poolName()),
		rules.At("resourceSliceCount", rules.Check(func(c *rules.Checker, v, _ *int64) {
			if *v <= 0 {
				c.Add(field.Invalid(c.Path(), *v, "must be greater than zero"))
			}
		})),
		rules.At("generation", rules.Check(func(c *rules.Checker, v, _ *int64) {
			if *v < 0 {
				c.Add(field.Invalid(c.Path(), *v, "must be greater than or equal to zero"))
			}
		})),
	)
	selector := strictly()
	return rules.For(rules.Spec[resourcev1.ResourceSlice]{
		Fields: []rules.Entry{
			rules.At("spec.devices", rules.Fill(fillTaints)),
			rules.At("spec.driver", driverName()...),
			rules.At("spec.pool", pool),
			rules.At("spec.pool.name", rules.Immutable()),
			rules.At("spec.driver", rules.Immutable()),
			rules.At("spec.nodeName", rules.Immutable()),
			rules.At("spec", rules.Check(func(c *rules.Checker, v, _ *resourcev1.ResourceSliceSpec) { checkReach(c, v, selector) })),
			rules.At("spec", rules.Check(checkDevices(device()))),
			rules.At("spec.sharedCounters", boundedSet(resourcev1.ResourceSliceMaxCounterSets,
				func(s *resourcev1.CounterSet) string { return s.Name }, counterSet())),
			rules.At("spec.driver", rules.Check(func(c *rules.Checker, v, _ *string) {
				if *v != strings.ToLower(*v) {
					c.Warn("spec.driver: driver names should be lowercase; \"" + *v + "\" contains uppercase characters")
				}
			})),
		},
		Create: func(o *resourcev1.ResourceSlice) { dropUnserved(o, nil) },
		Update: dropUnserved,
	})
}

// dropUnserved removes the fields that this release does not offer yet, unless the stored object has them.
func dropUnserved(o, old *resourcev1.ResourceSlice) {
	keepMappings, keepLists := false, false
	if old != nil {
		for _, d := range old.Spec.Devices {
			keepMappings = keepMappings || len(d.NodeAllocatableResourceMappings) > 0
			keepLists = keepLists || hasLists(&d)
		}
	}
	for i := range o.Spec.Devices {
		d := &o.Spec.Devices[i]
		if !keepMappings {
			d.NodeAllocatableResourceMappings = nil
		}
		if keepLists || !hasLists(d) {
			continue
		}
		for name, a := range d.Attributes {
			a.BoolValues, a.IntValues, a.StringValues, a.VersionValues = nil, nil, nil, nil
			d.Attributes[name] = a
		}
	}
}

func hasLists(d *resourcev1.Device) bool {
	for _, a := range d.Attributes {
		if a.BoolValues != nil || a.IntValues != nil || a.StringValues != nil || a.VersionValues != nil {
			return true
		}
	}
	return false
}

// strictly asks the rules of a selector as if it was new.
func strictly() *rules.Set { return rules.Of[corev1.NodeSelector](rules.At("", core.NodeSelector())) }

// checkReach asks for one way to say on which nodes the devices are, and for either devices or the counters that they share.
func checkReach(c *rules.Checker, v *resourcev1.ResourceSliceSpec, selector *rules.Set) {
	var set []string
	switch {
	case v.NodeName == nil:
	case *v.NodeName == "":
		c.Add(field.Invalid(c.At("nodeName"), "", "must be either unset or set to a non-empty string"))
	default:
		set = append(set, "`nodeName`")
		c.Add(nodeName(c.At("nodeName"), *v.NodeName)...)
	}
	if v.NodeSelector != nil {
		set = append(set, "`nodeSelector`")
		rules.In(c, selector, v.NodeSelector, nil, "nodeSelector")
		if terms := v.NodeSelector.NodeSelectorTerms; len(terms) != 1 {
			c.Add(field.Invalid(c.At("nodeSelector", "nodeSelectorTerms"), rules.Shown(terms), "must have exactly one node selector term"))
		}
	}
	set = appendIfTrue(c, set, "allNodes", v.AllNodes)
	set = appendIfTrue(c, set, "perDeviceNodeSelection", v.PerDeviceNodeSelection)
	const one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	switch len(set) {
	case 0:
		c.Add(field.Required(c.Path(), one))
	case 1:
	default:
		c.Add(field.Invalid(c.Path(), "{"+strings.Join(set, ", ")+"}", one+", but multiple fields are set"))
	}
	if v.SharedCounters != nil && v.Devices != nil {
		c.Add(field.Invalid(c.Path(), "", "only one of `sharedCounters` or `devices` is allowed"))
	}
}

func nodeName(at *field.Path, name string) (errs field.ErrorList) {
	for _, m := range validation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(at, name, m))
	}
	return errs
}

// appendIfTrue adds the name of a field that may be true or not be there.
func appendIfTrue(c *rules.Checker, set []string, name string, v *bool) []string {
	switch {
	case v == nil:
		return set
	case !*v:
		c.Add(field.Invalid(c.At(name), false, "must be either unset or set to true"))
		return set
	}
	return append(set, "`"+name+"`")
}

// checkDevices asks the rules of each device, of which there may be fewer where they are described at length.
func checkDevices(device *rules.Set) func(c *rules.Checker, v, old *resourcev1.ResourceSliceSpec) {
	return func(c *rules.Checker, v, old *resourcev1.ResourceSliceSpec) {
		most := resourcev1.ResourceSliceMaxDevices
		if slices.ContainsFunc(v.Devices, isAdvanced) {
			most = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
		}
		if len(v.Devices) > most {
			c.Add(field.TooMany(c.At("devices"), len(v.Devices), most))
			return
		}
		before := map[string]*resourcev1.Device{}
		if old != nil {
			for i := range slices.Backward(old.Devices) { // Of two with a name, the first one counts.
				before[old.Devices[i].Name] = &old.Devices[i]
			}
		}
		seen := map[string]bool{}
		for i := range v.Devices {
			rules.InIndex(c, device, &v.Devices[i], before[v.Devices[i].Name], i, "devices")
		}
		for i := range v.Devices {
			if name := v.Devices[i].Name; seen[name] {
				c.Add(field.Duplicate(c.At("devices").Index(i), name))
			}
			seen[v.Devices[i].Name] = true
		}
	}
}

func isAdvanced(d resourcev1.Device) bool {
	return len(d.Taints) > 0 || len(d.ConsumesCounters) > 0 || hasLists(&d)
}
