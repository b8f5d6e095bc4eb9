package cluster

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Namespace are the rules of namespaces. A namespace is active until it is deleted, and gone when its finalizers are; only
// the finalize subresource changes those.
func Namespace() *rules.Kind {
	return rules.For(rules.Spec[corev1.Namespace]{
		Create: func(n *corev1.Namespace) {
			if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
				n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
			}
			n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			labelWithName(n)
		},
		Update: func(n, old *corev1.Namespace) {
			n.Spec.Finalizers = old.Spec.Finalizers
			labelWithName(n)
		},
		Fields: []rules.Entry{
			rules.At("", rules.Fill(labelWithName)),
			rules.At("status.phase", rules.Default(corev1.NamespaceActive)),
			rules.At("spec.finalizers", rules.Check(func(c *rules.Checker, names, _ *[]corev1.FinalizerName) {
				for _, name := range *names {
					checkFinalizer(c, name, func() *field.Path { return c.Path() })
				}
			})),
		},
		Parts: map[string]rules.Part[corev1.Namespace]{
			"status": {
				Update: func(n, _ *corev1.Namespace) { labelWithName(n) },
				Fields: []rules.Entry{rules.At("", rules.Check(checkPhase))},
			},
			"finalize": {
				Update: func(n, old *corev1.Namespace) {
					n.Status = old.Status
					labelWithName(n)
				},
				Fields: []rules.Entry{rules.At("spec.finalizers", rules.Check(checkFinalizers))},
			},
		},
	})
}

func checkFinalizers(c *rules.Checker, names, _ *[]corev1.FinalizerName) {
	for i, name := range *names {
		checkFinalizer(c, name, func() *field.Path { return c.Path().Index(i) })
	}
}

// checkFinalizer asks for a qualified name, with a domain unless it is one of the reference's own.
func checkFinalizer(c *rules.Checker, name corev1.FinalizerName, path func() *field.Path) {
	s := string(name)
	if errs := apivalidation.ValidateFinalizerName(s, nil); len(errs) > 0 {
		c.Add(apivalidation.ValidateFinalizerName(s, path())...)
	}
	checkStandardFinalizer(c, s, path)
}

func checkPhase(c *rules.Checker, n, _ *corev1.Namespace) {
	switch deleted := !n.DeletionTimestamp.IsZero(); {
	case !deleted && n.Status.Phase != corev1.NamespaceActive:
		c.Add(field.Invalid(c.At("status", "Phase"), n.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty"))
	case deleted && n.Status.Phase != corev1.NamespaceTerminating:
		c.Add(field.Invalid(c.At("status", "Phase"), n.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
}

// labelWithName forces the label by which selectors find a namespace by name.
func labelWithName(n *corev1.Namespace) {
	if n.Labels[corev1.LabelMetadataName] == n.Name {
		return
	}
	labels := maps.Clone(n.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = n.Name
	n.Labels = labels
}
