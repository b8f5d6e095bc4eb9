package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// TestBeforeIsTheStoredObject guards rules that spare an element of a list for what stood anywhere in the stored object.
func TestBeforeIsTheStoredObject(t *testing.T) {
	kind := rules.For(rules.Spec[corev1.Pod]{Fields: []rules.Entry{
		rules.At("spec.containers", rules.Each(rules.Check(func(c *rules.Checker, v, _ *corev1.Container) {
			if was, ok := c.Before().(*corev1.Pod); !ok || was.Spec.NodeName != v.Name {
				c.Add(field.Invalid(c.At("name"), v.Name, "is new"))
			}
		}))),
	}})
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}
	old := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"}}
	if errs, _ := kind.Check("", pod, nil); len(errs) != 1 {
		t.Errorf("on create: %v, want one error", errs)
	}
	if errs, _ := kind.Check("", pod, old); len(errs) != 0 {
		t.Errorf("on update: %v, want none", errs)
	}
}

// TestNullIfEmpty guards answers that show an empty list which the next reader finds missing.
func TestNullIfEmpty(t *testing.T) {
	for name, tc := range map[string]struct{ given, want []rbacv1.PolicyRule }{
		"none":     {},
		"empty":    {given: []rbacv1.PolicyRule{}},
		"not none": {given: []rbacv1.PolicyRule{{}}, want: []rbacv1.PolicyRule{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			if rules.NullIfEmpty(&tc.given); !cmp.Equal(tc.want, tc.given) {
				t.Error(cmp.Diff(tc.want, tc.given))
			}
		})
	}
}
