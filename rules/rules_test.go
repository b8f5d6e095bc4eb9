package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func deployment() *rules.Kind {
	container := rules.Of[corev1.Container](
		rules.At("name", rules.Required(), rules.Format(utilvalidation.IsDNS1123Label)),
		rules.At("imagePullPolicy", rules.Default("IfNotPresent"), rules.Enum(corev1.PullAlways, corev1.PullNever, corev1.PullIfNotPresent)),
		rules.At("resources.limits", rules.EachKey(rules.Format(utilvalidation.IsQualifiedName))),
	)
	template := rules.Of[corev1.PodTemplateSpec](
		rules.At("spec.containers", rules.Required(), rules.Each(container),
			rules.Unique(func(c *corev1.Container) string { return c.Name }, "name")),
		rules.At("spec.terminationGracePeriodSeconds", rules.Default(30), rules.NonNegative()),
	)
	return rules.For(rules.Spec[appsv1.Deployment]{
		Fields: []rules.Entry{
			rules.At("spec.replicas", rules.Default(1), rules.NonNegative()),
			rules.At("spec.selector", rules.Required(), rules.Immutable()),
			rules.At("spec.template", template),
			rules.At("spec.strategy.rollingUpdate.maxSurge", rules.Required()),
			rules.At("spec", rules.Check(func(c *rules.Checker, v, _ *appsv1.DeploymentSpec) {
				if v.Paused {
					c.Warn("paused")
				}
				if v.MinReadySeconds > 5 {
					c.Add(field.Forbidden(c.At("minReadySeconds"), "too long"))
				}
			})),
		},
		Parts: map[string]rules.Part[appsv1.Deployment]{
			"status": {Fields: []rules.Entry{rules.At("status.replicas", rules.NonNegative())}},
		},
	})
}

func valid() *appsv1.Deployment {
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
	}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a"}}
	return d
}

func TestDefaultsReachEveryLevel(t *testing.T) {
	d := valid()
	deployment().Default(d)
	if d.Spec.Replicas == nil || *d.Spec.Replicas != 1 {
		t.Errorf("replicas = %v, want 1", d.Spec.Replicas)
	}
	if g := d.Spec.Template.Spec.TerminationGracePeriodSeconds; g == nil || *g != 30 {
		t.Errorf("grace period = %v, want 30", g)
	}
	if got := d.Spec.Template.Spec.Containers[0].ImagePullPolicy; got != corev1.PullIfNotPresent {
		t.Errorf("pull policy = %q", got)
	}
	before := d.DeepCopy()
	if deployment().Default(d); !cmp.Equal(before, d) {
		t.Error("defaults are not stable:", cmp.Diff(before, d))
	}
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name        string
		change      func(d *appsv1.Deployment)
		old         bool
		subresource string
		want        []string
	}{
		{name: "nothing wrong", change: func(*appsv1.Deployment) {}},
		{name: "in lists, the index is told", change: func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "A"}, corev1.Container{Name: "a"})
			d.Spec.Template.Spec.Containers[1].ImagePullPolicy = "x"
			d.Spec.Template.Spec.Containers[2].ImagePullPolicy = "Never"
		}, want: []string{
			"spec.template.spec.containers[1].name FieldValueInvalid", "spec.template.spec.containers[1].imagePullPolicy FieldValueNotSupported",
			"spec.template.spec.containers[2].name FieldValueDuplicate",
		}},
		{name: "a missing value ends its entry only", change: func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Name = ""
			d.Spec.Selector = nil
		}, want: []string{"spec.selector FieldValueRequired", "spec.template.spec.containers[0].name FieldValueRequired"}},
		{name: "keys of maps", change: func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"no way": {}}
		}, want: []string{"spec.template.spec.containers[0].resources.limits[no way] FieldValueInvalid"}},
		{name: "immutable on update", old: true, change: func(d *appsv1.Deployment) { d.Spec.Selector.MatchLabels["a"] = "c" }, want: []string{
			"spec.selector FieldValueInvalid",
		}},
		{name: "a pointer on the way that is nil asks nothing, one that is set does", change: func(d *appsv1.Deployment) {
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}, want: []string{"spec.strategy.rollingUpdate.maxSurge FieldValueRequired"}},
		{name: "functions", change: func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 6 }, want: []string{"spec.minReadySeconds FieldValueForbidden"}},
		{name: "the status has rules of its own", old: true, subresource: "status", change: func(d *appsv1.Deployment) {
			d.Status.Replicas, d.Spec.MinReadySeconds = -1, 6
		}, want: []string{"status.replicas FieldValueInvalid"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := deployment()
			d := valid()
			k.Default(d)
			var old any
			if tc.old {
				old = d.DeepCopy()
			}
			tc.change(d)
			errs, _ := k.Check(tc.subresource, d, old)
			var got []string
			for _, e := range errs {
				got = append(got, e.Field+" "+string(e.Type))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMistakeInATablePanics(t *testing.T) {
	for name, table := range map[string]func(){
		"unknown field": func() { rules.Of[corev1.PodSpec](rules.At("no.such")) },
		"wrong function": func() {
			rules.Of[corev1.PodSpec](rules.At("nodeName", rules.Check(func(*rules.Checker, *int, *int) {})))
		},
		"wrong default":   func() { rules.Of[corev1.PodSpec](rules.At("nodeName", rules.Default(1))) },
		"wrong number":    func() { rules.Of[corev1.PodSpec](rules.At("nodeName", rules.Min(1))) },
		"table elsewhere": func() { rules.Of[corev1.PodSpec](rules.At("nodeName", rules.Of[corev1.Pod]())) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			table()
		})
	}
}
