package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// Bounds of a class. Terms that are there many times would have as many errors as there are pairs of them.
const (
	maxParameters     = 512
	maxParameterBytes = 256 << 10 // of all keys and values
	maxTermRepeats    = 1000      // errors that tell of one term more than once, of all terms
)

// StorageClass are the defaults and rules of a StorageClass. Only its topologies, mount options and whether volumes may grow can change.
func StorageClass() *rules.Kind {
	return rules.For(rules.Spec[storagev1.StorageClass]{Fields: []rules.Entry{
		rules.At("provisioner", driverIdentifier()...),
		rules.At("parameters", rules.Check(checkParameters)),
		rules.At("reclaimPolicy", rules.Default(corev1.PersistentVolumeReclaimDelete), rules.If(
			func(p *corev1.PersistentVolumeReclaimPolicy) bool { return *p != "" },
			rules.Enum(corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain),
		)),
		rules.At("volumeBindingMode", rules.Default(storagev1.VolumeBindingImmediate),
			rules.Enum(storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)),
		rules.At("allowedTopologies", rules.Check(checkTopologies), rules.Check(warnTopologies)),
		rules.At("parameters", rules.Immutable()),
		rules.At("provisioner", rules.Immutable()),
		rules.At("reclaimPolicy", rules.Immutable()),
		rules.At("volumeBindingMode", rules.Immutable()),
	}})
}

// VolumeAttributesClass are the rules of a VolumeAttributesClass, of which nothing may change.
func VolumeAttributesClass() *rules.Kind {
	return rules.For(rules.Spec[storagev1.VolumeAttributesClass]{Fields: []rules.Entry{
		rules.At("driverName", forbidChange("updates to driverName are forbidden.")),
		rules.At("parameters", rules.Check(func(c *rules.Checker, v, old *map[string]string) {
			if old != nil && !maps.Equal(*v, *old) {
				c.Add(field.Forbidden(c.Path(), "updates to parameters are forbidden."))
			}
		})),
		rules.At("driverName", driverIdentifier()...),
		rules.At("parameters", rules.Check(checkParameters), rules.Check(func(c *rules.Checker, v, _ *map[string]string) {
			if len(*v) == 0 {
				c.Add(field.Required(c.Path(), "must contain at least one key/value pair"))
			}
		})),
	}})
}

func forbidChange(detail string) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, old *string) {
		if old != nil && *v != *old {
			c.Add(field.Forbidden(c.Path(), detail))
		}
	})
}

// driverIdentifier asks for the name of a provisioner or driver, of whose letters the case does not matter. Its errors show it in lower case.
func driverIdentifier() []rules.Rule {
	return []rules.Rule{rules.Required(), rules.Check(func(c *rules.Checker, v, _ *string) {
		name := strings.ToLower(*v)
		for _, m := range utilvalidation.IsQualifiedName(name) {
			c.Add(field.Invalid(c.Path(), name, m))
		}
	})}
}

func checkParameters(c *rules.Checker, v, _ *map[string]string) {
	if len(*v) > maxParameters {
		c.Add(field.TooLong(c.Path(), "", maxParameters))
		return
	}
	total := 0
	for name, value := range *v {
		if name == "" {
			c.Add(field.Invalid(c.Path(), name, "field can not be empty."))
		}
		total += len(name) + len(value)
	}
	if total > maxParameterBytes {
		c.Add(field.TooLong(c.Path(), "", maxParameterBytes))
	}
}

// checkTopologies checks each term and that no two are the same. A term is reported once for each earlier one that is the same, and the
// reference compares it with as many empty ones as there are terms as well. Beyond maxTermRepeats it is reported once.
func checkTopologies(c *rules.Checker, v, _ *[]corev1.TopologySelectorTerm) {
	if len(*v) == 0 {
		return
	}
	// Quoted and in the order of the keys, as fmt writes maps, two terms have the same text if they are the same.
	text := func(values map[string][]string) string { return fmt.Sprintf("%q", values) }
	seen := map[string]int{text(nil): len(*v)}
	repeats := maxTermRepeats
	for i := range *v {
		at := c.Path().Index(i).Child("matchLabelExpressions")
		term := text(checkTopology(c, at, (*v)[i].MatchLabelExpressions))
		if n := min(seen[term], repeats+1); n > 0 {
			for range n {
				c.Add(field.Duplicate(at, ""))
			}
			repeats -= n - 1
		}
		seen[term]++
	}
}

// checkTopology returns the values of each key, in order.
func checkTopology(c *rules.Checker, at *field.Path, expressions []corev1.TopologySelectorLabelRequirement) map[string][]string {
	byKey := make(map[string][]string, len(expressions))
	for i, e := range expressions {
		if len(e.Values) == 0 {
			c.Add(field.Required(at.Index(i).Child("values"), ""))
		}
		seen := make(map[string]bool, len(e.Values))
		for j, value := range e.Values {
			if seen[value] {
				c.Add(field.Duplicate(at.Index(i).Child("values").Index(j), value))
			}
			seen[value] = true
		}
		c.Add(metav1validation.ValidateLabelName(e.Key, at.Index(i).Child("key"))...)
		if _, twice := byKey[e.Key]; twice {
			c.Add(field.Duplicate(at.Index(i).Child("key"), e.Key))
		}
		byKey[e.Key] = slices.Compact(slices.Sorted(slices.Values(e.Values)))
	}
	return byKey
}

func warnTopologies(c *rules.Checker, v, _ *[]corev1.TopologySelectorTerm) {
	for i, term := range *v {
		for j, e := range term.MatchLabelExpressions {
			if text := core.DeprecatedNodeLabel(e.Key); text != "" {
				c.Warn(c.Path().Index(i).Child("matchLabelExpressions").Index(j).Child("key").String() + ": " + text)
			}
		}
	}
}
