package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// DefaultTolerationSeconds lets pods stay for a while on a node that is not ready or cannot be reached, unless they say themselves what
// they tolerate. It is a Mutator and does what the plugin of that name does in kube-apiserver.
type DefaultTolerationSeconds struct {
	// NotReady and Unreachable are how many seconds a pod stays after its node is; negative and 0 mean that it goes at once.
	NotReady, Unreachable int64
}

// Mutate adds the missing tolerations to pods. It refuses nothing.
func (d DefaultTolerationSeconds) Mutate(_ context.Context, a *Attributes) error {
	if !a.Concerns("", "pods") || !a.Writes() {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	had := pod.Spec.Tolerations
	for _, taint := range []struct {
		key     string
		seconds int64
	}{{corev1.TaintNodeNotReady, d.NotReady}, {corev1.TaintNodeUnreachable, d.Unreachable}} {
		if evictionDecided(had, taint.key) {
			continue
		}
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
			Key: taint.key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &taint.seconds,
		})
	}
	return nil
}

// evictionDecided reports whether one of the tolerations is about being evicted because of the taint.
func evictionDecided(tolerations []corev1.Toleration, key string) bool {
	for _, t := range tolerations {
		if (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return true
		}
	}
	return false
}

// TaintNodesByCondition keeps pods from new nodes until somebody has seen them ready. It is a Mutator and does what the plugin of
// that name does in kube-apiserver.
type TaintNodesByCondition struct{}

// Mutate adds the taint to new nodes that do not have it. It refuses nothing.
func (TaintNodesByCondition) Mutate(_ context.Context, a *Attributes) error {
	if !a.Concerns("", "nodes") || a.Operation != Create {
		return nil
	}
	node, ok := a.Object.(*corev1.Node)
	if !ok {
		return a.Undecoded()
	}
	for _, t := range node.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady && t.Effect == corev1.TaintEffectNoSchedule {
			return nil
		}
	}
	node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})
	return nil
}
