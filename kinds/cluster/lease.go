package cluster

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Lease are the rules of a Lease. Strategies of election are not acted on here, so a lease without one gets none.
func Lease() *rules.Kind {
	return rules.For(rules.Spec[coordinationv1.Lease]{
		Fields: []rules.Entry{
			rules.At("spec.leaseDurationSeconds", rules.Positive()),
			rules.At("spec.leaseTransitions", rules.NonNegative()),
			rules.At("spec.strategy", rules.Check(checkStrategy)),
			rules.At("spec", rules.Check(func(c *rules.Checker, v, _ *coordinationv1.LeaseSpec) {
				if v.PreferredHolder != nil && *v.PreferredHolder != "" && (v.Strategy == nil || *v.Strategy == "") {
					c.Add(field.Forbidden(c.At("preferredHolder"), "may only be specified if `strategy` is defined"))
				}
			})),
		},
		Create: func(o *coordinationv1.Lease) { o.Spec.Strategy, o.Spec.PreferredHolder = nil, nil },
		Update: func(o, old *coordinationv1.Lease) {
			if old.Spec.Strategy == nil {
				o.Spec.Strategy = nil
			}
			if old.Spec.PreferredHolder == nil {
				o.Spec.PreferredHolder = nil
			}
		},
	})
}

// checkStrategy allows the name that Kubernetes defines and qualified names of others. The path repeats the field's name, as the
// reference's does.
func checkStrategy(c *rules.Checker, v, _ *coordinationv1.CoordinatedLeaseStrategy) {
	if !strings.Contains(string(*v), "/") {
		if *v != coordinationv1.OldestEmulationVersion {
			c.Add(field.NotSupported(c.At("strategy"), *v, []coordinationv1.CoordinatedLeaseStrategy{coordinationv1.OldestEmulationVersion}))
		}
		return
	}
	for _, m := range utilvalidation.IsQualifiedName(string(*v)) {
		c.Add(field.Invalid(c.At("strategy"), *v, m))
	}
}
