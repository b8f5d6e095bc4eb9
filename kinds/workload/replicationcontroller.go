package workload

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// PodTemplate are the rules of PodTemplates.
func PodTemplate() *rules.Kind {
	return rules.For(rules.Spec[corev1.PodTemplate]{
		Create: func(t *corev1.PodTemplate) { dropGated(&t.Template, nil) },
		Update: func(t, old *corev1.PodTemplate) { dropGated(&t.Template, &old.Template) },
		Fields: []rules.Entry{
			rules.At("template", core.PodTemplate()),
			rules.At("", warnOfTemplate(func(t *corev1.PodTemplate) *podTemplate { return &t.Template }, "template")),
		},
	})
}

// ReplicationController are the rules of ReplicationControllers.
func ReplicationController() *rules.Kind {
	return rules.For(rules.Spec[corev1.ReplicationController]{
		Create: func(rc *corev1.ReplicationController) { dropGated(rc.Spec.Template, nil) },
		Update: func(rc, old *corev1.ReplicationController) { dropGated(rc.Spec.Template, old.Spec.Template) },
		Fields: []rules.Entry{
			rules.At("", rules.Fill(labelController)),
			rules.At("metadata", rules.Check(warnName)),
			rules.At("spec.minReadySeconds", rules.NonNegative()),
			rules.At("spec.selector", rules.Required()),
			rules.At("spec.replicas", rules.Default(1), rules.NonNegative()),
			rules.At("spec.template", rules.Fill(defaultTemplate)),
			rules.At("spec", rules.Check(checkControllerTemplate)),
			rules.At("", rules.Check(warnOfController)),
		},
		Parts: map[string]rules.Part[corev1.ReplicationController]{"status": {Fields: []rules.Entry{
			rules.At("status.replicas", rules.NonNegative()),
			rules.At("status.fullyLabeledReplicas", rules.NonNegative()),
			rules.At("status.readyReplicas", rules.NonNegative()),
			rules.At("status.availableReplicas", rules.NonNegative()),
			rules.At("status.observedGeneration", rules.NonNegative()),
			rules.At("status", rules.Check(func(c *rules.Checker, s, _ *corev1.ReplicationControllerStatus) {
				checkParts(c, atMost{"fullyLabeledReplicas", s.FullyLabeledReplicas, s.Replicas, moreThanReplicas},
					atMost{"readyReplicas", s.ReadyReplicas, s.Replicas, moreThanReplicas},
					atMost{"availableReplicas", s.AvailableReplicas, s.Replicas, moreThanReplicas},
					atMost{"availableReplicas", s.AvailableReplicas, s.ReadyReplicas, moreThanReady})
			})),
		}}},
	})
}

// labelController gives a controller without selector or labels those of its pods.
func labelController(rc *corev1.ReplicationController) {
	if rc.Spec.Template == nil || rc.Spec.Template.Labels == nil {
		return
	}
	if len(rc.Spec.Selector) == 0 {
		rc.Spec.Selector = rc.Spec.Template.Labels
	}
	if len(rc.Labels) == 0 {
		rc.Labels = rc.Spec.Template.Labels
	}
}

// warnOfController tells on update about the template that is replaced, as the reference does.
func warnOfController(c *rules.Checker, rc, old *corev1.ReplicationController) {
	switch {
	case old == nil:
		warnOf(c, rc.Spec.Template, "spec", "template")
	case old.Generation != rc.Generation:
		warnOf(c, old.Spec.Template, "spec", "template")
	}
}

func checkControllerTemplate(c *rules.Checker, s, old *corev1.ReplicationControllerSpec) {
	if s.Template == nil {
		c.Add(field.Required(c.At("template"), ""))
		return
	}
	before := below(old, func(o *corev1.ReplicationControllerSpec) *podTemplate { return o.Template })
	templateOf(c, labels.Set(s.Selector).AsSelector(), s.Template, before, "ReplicationController")
}
