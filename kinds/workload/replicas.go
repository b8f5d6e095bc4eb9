package workload

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// atMost is a part of a status that cannot be larger than another one.
type atMost struct {
	name     string
	part     int32
	whole    int32
	refusing string
}

const (
	moreThanReplicas = "cannot be greater than status.replicas"
	moreThanReady    = "cannot be greater than readyReplicas"
)

// checkParts reports the parts of a status that are larger than they can be. The caller stands at the status.
func checkParts(c *rules.Checker, parts ...atMost) {
	for _, p := range parts {
		if p.part > p.whole {
			c.Add(field.Invalid(c.At(p.name), p.part, p.refusing))
		}
	}
}

// neverLess refuses a collision count below the stored one: names that collided would be tried again.
func neverLess(c *rules.Checker, v, old **int32) {
	if old == nil || *old == nil || *v != nil && **v >= **old {
		return
	}
	now := int32(0)
	if *v != nil {
		now = **v
	}
	c.Add(field.Invalid(c.Path(), now, "cannot be decremented"))
}
