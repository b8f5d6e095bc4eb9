package workload

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// ReplicaSet are the rules of apps/v1 ReplicaSets.
func ReplicaSet() *rules.Kind {
	return rules.For(rules.Spec[appsv1.ReplicaSet]{
		Create: func(r *appsv1.ReplicaSet) { dropGated(&r.Spec.Template, nil) },
		Update: func(r, old *appsv1.ReplicaSet) { dropGated(&r.Spec.Template, &old.Spec.Template) },
		Fields: []rules.Entry{
			rules.At("metadata", rules.Check(warnName)),
			rules.At("spec.replicas", rules.Default(1), rules.NonNegative()),
			rules.At("spec.minReadySeconds", rules.NonNegative()),
			rules.At("spec.template", rules.Fill(defaultTemplate)),
			rules.At("spec", rules.Check(checkReplicaSetTemplate)),
			rules.At("spec.selector", rules.Immutable()),
			rules.At("", warnOfTemplate(func(r *appsv1.ReplicaSet) *podTemplate { return &r.Spec.Template }, "spec", "template")),
		},
		Parts: map[string]rules.Part[appsv1.ReplicaSet]{"status": {Fields: []rules.Entry{
			rules.At("status.replicas", rules.NonNegative()),
			rules.At("status.fullyLabeledReplicas", rules.NonNegative()),
			rules.At("status.readyReplicas", rules.NonNegative()),
			rules.At("status.availableReplicas", rules.NonNegative()),
			rules.At("status.observedGeneration", rules.NonNegative()),
			rules.At("status.terminatingReplicas", rules.NonNegative()),
			rules.At("status", rules.Check(func(c *rules.Checker, s, _ *appsv1.ReplicaSetStatus) {
				checkParts(c, atMost{"fullyLabeledReplicas", s.FullyLabeledReplicas, s.Replicas, moreThanReplicas},
					atMost{"readyReplicas", s.ReadyReplicas, s.Replicas, moreThanReplicas},
					atMost{"availableReplicas", s.AvailableReplicas, s.Replicas, moreThanReplicas},
					atMost{"availableReplicas", s.AvailableReplicas, s.ReadyReplicas, moreThanReady})
			})),
		}}},
	})
}

// checkReplicaSetTemplate speaks of deployments where a selector is empty, as the reference does.
func checkReplicaSetTemplate(c *rules.Checker, s, old *appsv1.ReplicaSetSpec) {
	if selector, ok := selectorOf(c, s.Selector, "deployment", "invalid label selector"); ok {
		templateOf(c, selector, &s.Template, below(old, func(o *appsv1.ReplicaSetSpec) *podTemplate { return &o.Template }), "ReplicaSet")
	}
}
