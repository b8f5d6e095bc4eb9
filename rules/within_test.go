package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// names are those of the volumes of a pod, and how often they were looked up from the pod.
type names struct {
	known map[string]bool
	made  int
}

func TestWhatIsFurtherOut(t *testing.T) {
	made := 0
	container := rules.Of[corev1.Container](rules.At("volumeMounts", rules.Check(func(c *rules.Checker, v, _ *[]corev1.VolumeMount) {
		facts := rules.Shared(c, func(spec, _ *corev1.PodSpec) *names {
			made++
			n := &names{known: map[string]bool{}, made: made}
			for _, volume := range spec.Volumes {
				n.known[volume.Name] = true
			}
			return n
		})
		if pod, _ := rules.Within[corev1.Pod](c); pod != nil {
			t.Error("found a pod around a template")
		}
		for i := range *v {
			if !facts.known[(*v)[i].Name] {
				c.Add(field.NotFound(c.Path().Index(i), (*v)[i].Name), field.Required(rules.Above[corev1.PodSpec](c, "volumes"), ""))
			}
		}
	})))
	kind := rules.For(rules.Spec[appsv1.Deployment]{Fields: []rules.Entry{
		rules.At("spec.template.spec", rules.Of[corev1.PodSpec](rules.At("containers", rules.Each(container)))),
	}})
	d := &appsv1.Deployment{}
	d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "a"}}
	d.Spec.Template.Spec.Containers = []corev1.Container{
		{VolumeMounts: []corev1.VolumeMount{{Name: "a"}}},
		{VolumeMounts: []corev1.VolumeMount{{Name: "a"}, {Name: "b"}}},
	}
	errs, _ := kind.Check("", d, nil)
	var got []string
	for _, e := range errs {
		got = append(got, e.Field)
	}
	if diff := cmp.Diff([]string{"spec.template.spec.containers[1].volumeMounts[1]", "spec.template.spec.volumes"}, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if made != 1 {
		t.Errorf("the facts were made %d times for one pod", made)
	}
}

func TestFillIn(t *testing.T) {
	port := corev1.ContainerPort{}
	rules.FillIn(rules.Of[corev1.ContainerPort](rules.At("protocol", rules.Default("TCP"))), &port)
	if port.Protocol != corev1.ProtocolTCP {
		t.Errorf("protocol %q", port.Protocol)
	}
}
