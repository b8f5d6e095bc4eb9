package cluster

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const (
	systemPriorityPrefix = "system-"
	maxUserPriority      = 1_000_000_000
	systemPriority       = 2 * maxUserPriority
	nodePriority         = systemPriority + 1000
)

// PriorityClass are the defaults and rules of a PriorityClass. Names of the system stand for what the server itself makes.
func PriorityClass() *rules.Kind {
	return rules.For(rules.Spec[schedulingv1.PriorityClass]{
		Fields: []rules.Entry{
			rules.At("", rules.Check(checkPriority)),
			rules.At("preemptionPolicy", rules.Default(corev1.PreemptLowerPriority), rules.Check(checkPreemption), rules.Immutable()),
		},
		Create: func(o *schedulingv1.PriorityClass) { o.Generation = 1 }, // It stays 1, whatever changes.
	})
}

func checkPriority(c *rules.Checker, v, old *schedulingv1.PriorityClass) {
	switch {
	case old != nil:
		if v.Value != old.Value {
			c.Add(field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
		}
	case strings.HasPrefix(v.Name, systemPriorityPrefix):
		if wrong := wrongForSystem(v); wrong != "" {
			c.Add(field.Forbidden(field.NewPath("metadata", "name"),
				"priority class names with '"+systemPriorityPrefix+"' prefix are reserved for system use only. error: "+wrong))
		}
	case v.Value > maxUserPriority:
		c.Add(field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", maxUserPriority)))
	}
}

// wrongForSystem says how a class with a name of the system differs from the one that the name stands for; empty if it does not.
func wrongForSystem(v *schedulingv1.PriorityClass) string {
	var value int32
	switch v.Name {
	case "system-node-critical":
		value = nodePriority
	case "system-cluster-critical":
		value = systemPriority
	default:
		return v.Name + " is not a known system priority class"
	}
	switch {
	case v.Value != value:
		return fmt.Sprintf("value of %s PriorityClass must be %d", v.Name, value)
	case v.GlobalDefault:
		return fmt.Sprintf("globalDefault of %s PriorityClass must be false", v.Name)
	}
	return ""
}

func checkPreemption(c *rules.Checker, v, _ *corev1.PreemptionPolicy) {
	switch {
	case c.Updating(): // It cannot change, so what it is has been checked.
	case *v == "":
		c.Add(field.Required(c.Path(), ""))
	case *v != corev1.PreemptLowerPriority && *v != corev1.PreemptNever:
		c.Add(field.NotSupported(c.Path(), *v, []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever}))
	}
}
