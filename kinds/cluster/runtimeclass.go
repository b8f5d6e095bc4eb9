package cluster

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// RuntimeClass are the rules of a RuntimeClass. The handler, which nodes know it by, stays.
func RuntimeClass() *rules.Kind {
	return rules.For(rules.Spec[nodev1.RuntimeClass]{Fields: []rules.Entry{
		rules.At("handler", rules.Required(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("overhead", rules.Check(func(c *rules.Checker, v, _ *nodev1.Overhead) { core.CheckOverhead(c, v.PodFixed) })),
		rules.At("scheduling.nodeSelector", rules.Optional(), rules.Check(func(c *rules.Checker, v, _ *map[string]string) {
			c.Add(metav1validation.ValidateLabels(*v, c.Path())...)
			for _, name := range slices.Sorted(maps.Keys(*v)) {
				if text := core.DeprecatedNodeLabel(name); text != "" {
					c.Warn(c.Path().String() + ": " + text)
				}
			}
		})),
		rules.At("scheduling.tolerations", rules.Optional(), core.Tolerations(), rules.Check(checkTolerationsDiffer)),
		rules.At("handler", rules.Immutable()),
	}})
}

// checkTolerationsDiffer tells tolerations apart by all but how long they last.
func checkTolerationsDiffer(c *rules.Checker, v, _ *[]corev1.Toleration) {
	seen := map[corev1.Toleration]bool{}
	for i, t := range *v {
		key := t
		key.TolerationSeconds = nil
		if seen[key] {
			c.Add(field.Duplicate(c.Path().Index(i), rules.Shown(t)))
		}
		seen[key] = true
	}
}
