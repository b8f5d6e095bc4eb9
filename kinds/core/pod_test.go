package core_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/kinds/core"
)

func readPod(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

func causesOf(errs field.ErrorList) (causes []string) {
	for _, e := range errs {
		causes = append(causes, e.Field+" "+string(e.Type)+": "+e.ErrorBody())
	}
	return causes
}

// TestNewPods asks about pods what the reference was asked, and expects its answers. What the reference finds in a map it reports in an order
// that changes, so causes are compared in a sorted order.
func TestNewPods(t *testing.T) {
	data, err := os.ReadFile("testdata/pods.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name     string
		Pod      corev1.Pod
		Causes   []string
		Warnings []string
	}
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	kind := core.Pod()
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			pod := &tc.Pod
			if pod.Name == "" {
				pod.Name = "p"
			}
			kind.Default(pod)
			filled := pod.DeepCopy()
			if kind.Default(filled); !cmp.Equal(filled, pod) {
				t.Errorf("defaults are not stable:\n%s", cmp.Diff(pod, filled))
			}
			kind.Create(pod)
			errs, warnings := kind.Check("", pod, nil)
			got := causesOf(errs)
			slices.Sort(got)
			slices.Sort(tc.Causes)
			if diff := cmp.Diff(tc.Causes, got); diff != "" {
				t.Errorf("causes (-reference +here):\n%s", diff)
			}
			if diff := cmp.Diff(tc.Warnings, warnings); diff != "" && len(errs) == 0 {
				t.Errorf("warnings (-reference +here):\n%s", diff)
			}
		})
	}
}

const runningPod = `
metadata: {name: p}
spec:
  nodeName: n
  activeDeadlineSeconds: 60
  tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]
  containers: [{name: c, image: a, resources: {requests: {cpu: 1}}}]
`

const gatedPod = `
metadata: {name: p}
spec:
  schedulingGates: [{name: g}, {name: h}]
  nodeSelector: {a: b}
  containers: [{name: c, image: a}]
`

// TestChangedPods guards what may change in a pod that has been admitted, through each of the ways to write one.
func TestChangedPods(t *testing.T) {
	for _, tc := range []struct {
		name, pod, subresource string
		change                 func(pod *corev1.Pod)
		want                   []string // fields of the causes
	}{
		{name: "nothing", pod: runningPod, change: func(*corev1.Pod) {}},
		{name: "an image", pod: runningPod, change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "b" }},
		{name: "a deadline that comes nearer", pod: runningPod, change: func(p *corev1.Pod) { *p.Spec.ActiveDeadlineSeconds = 5 }},
		{name: "a deadline that moves away", pod: runningPod, change: func(p *corev1.Pod) { *p.Spec.ActiveDeadlineSeconds = 90 }, want: []string{
			"spec.activeDeadlineSeconds",
		}},
		{name: "no deadline any more", pod: runningPod, change: func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = nil }, want: []string{
			"spec.activeDeadlineSeconds",
		}},
		{name: "one more toleration, and another duration", pod: runningPod, change: func(p *corev1.Pod) {
			*p.Spec.Tolerations[0].TolerationSeconds = 9
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "b", Operator: corev1.TolerationOpExists})
		}},
		{name: "a toleration less", pod: runningPod, change: func(p *corev1.Pod) { p.Spec.Tolerations = nil }, want: []string{"spec.tolerations"}},
		{name: "another node", pod: runningPod, change: func(p *corev1.Pod) { p.Spec.NodeName = "m" }, want: []string{"spec"}},
		{name: "more rights", pod: runningPod, change: func(p *corev1.Pod) { p.Spec.HostPID = true }, want: []string{"spec"}},
		{name: "a container more", pod: runningPod, change: func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, *p.Spec.Containers[0].DeepCopy())
			p.Spec.Containers[1].Name = "d"
		}, want: []string{"spec.containers"}},
		{name: "resources, but not this way", pod: runningPod, change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = nil
		}, want: []string{"spec"}},
		{name: "a gate less", pod: gatedPod, change: func(p *corev1.Pod) { p.Spec.SchedulingGates = p.Spec.SchedulingGates[:1] }},
		{name: "a gate more", pod: gatedPod, change: func(p *corev1.Pod) { p.Spec.SchedulingGates[0].Name = "x" }, want: []string{
			"spec.schedulingGates[0].name",
		}},
		{name: "fewer nodes while it is held", pod: gatedPod, change: func(p *corev1.Pod) { p.Spec.NodeSelector["c"] = "d" }},
		{name: "other nodes while it is held", pod: gatedPod, change: func(p *corev1.Pod) { p.Spec.NodeSelector["a"] = "d" }, want: []string{
			"spec.nodeSelector",
		}},
		{name: "ephemeral containers, but not this way", pod: runningPod, change: addEphemeral, want: []string{"spec"}},
		{name: "ephemeral containers", pod: runningPod, subresource: "ephemeralcontainers", change: addEphemeral},
		{name: "a size", pod: runningPod, subresource: "resize", change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = requests("cpu", "2")
			p.Spec.HostPID = true // is not taken over
		}},
		{name: "a size that changes the class", pod: runningPod, subresource: "resize", change: func(p *corev1.Pod) {
			r := requests("cpu", "2", "memory", "1Gi")
			r.Limits = r.Requests
			p.Spec.Containers[0].Resources = r
		}, want: []string{"spec"}},
		{name: "what is not a size", pod: runningPod, subresource: "resize", change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = requests("cpu", "1", "ephemeral-storage", "1Gi")
		}, want: []string{"spec"}},
		{name: "a size that is taken away", pod: runningPod, subresource: "resize", change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = requests("memory", "1Gi")
		}, want: []string{"spec.containers[0].resources.requests"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kind := core.Pod()
			old := readPod(t, tc.pod)
			kind.Default(old)
			kind.Create(old)
			pod := old.DeepCopy()
			tc.change(pod)
			kind.Default(pod)
			kind.Update(tc.subresource, pod, old)
			errs, _ := kind.Check(tc.subresource, pod, old)
			var got []string
			for _, e := range errs {
				got = append(got, e.Field)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, errs)
			}
			if tc.subresource != "" && pod.Spec.HostPID {
				t.Error("the subresource wrote more than its part")
			}
		})
	}
}

func addEphemeral(p *corev1.Pod) {
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers,
		corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", Image: "a"}})
}
