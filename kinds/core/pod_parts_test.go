package core_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse/gatehouse/kinds/core"
)

// requests are resources from pairs of name and amount.
func requests(pairs ...string) corev1.ResourceRequirements {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return corev1.ResourceRequirements{Requests: list}
}

// TestClass guards the class that a node goes by when it runs out of memory.
func TestClass(t *testing.T) {
	for name, tc := range map[string]struct {
		spec string
		want corev1.PodQOSClass
	}{
		"nothing asked for":        {"spec: {containers: [{name: c, image: a}]}", corev1.PodQOSBestEffort},
		"something else asked for": {"spec: {containers: [{name: c, image: a, resources: {requests: {ephemeral-storage: 1}}}]}", corev1.PodQOSBestEffort},
		"a request":                {"spec: {containers: [{name: c, image: a, resources: {requests: {cpu: 1}}}]}", corev1.PodQOSBurstable},
		"limits become requests":   {"spec: {containers: [{name: c, image: a, resources: {limits: {cpu: 1, memory: 1}}}]}", corev1.PodQOSGuaranteed},
		"one container without": {
			"spec: {containers: [{name: c, image: a, resources: {limits: {cpu: 1, memory: 1}}}, {name: d, image: a}]}", corev1.PodQOSBurstable,
		},
		"an init container without": {
			"spec: {initContainers: [{name: i, image: a}], containers: [{name: c, image: a, resources: {limits: {cpu: 1, memory: 1}}}]}",
			corev1.PodQOSBurstable,
		},
		"the pod's own count instead":    {"spec: {resources: {limits: {cpu: 1, memory: 1}}, containers: [{name: c, image: a}]}", corev1.PodQOSGuaranteed},
		"the pod's own, not all limited": {"spec: {resources: {limits: {cpu: 1}}, containers: [{name: c, image: a}]}", corev1.PodQOSBurstable},
	} {
		t.Run(name, func(t *testing.T) {
			kind := core.Pod()
			pod := readPod(t, tc.spec)
			kind.Default(pod)
			if kind.Create(pod); pod.Status.QOSClass != tc.want {
				t.Errorf("class %s, want %s", pod.Status.QOSClass, tc.want)
			}
		})
	}
}

// TestPullPolicy guards that an image whose name may stand for another one tomorrow is looked up again.
func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"a":                        corev1.PullAlways,
		"a:latest":                 corev1.PullAlways,
		"example.com:5000/a/b":     corev1.PullAlways,
		"a:1":                      corev1.PullIfNotPresent,
		"example.com:5000/a/b:1":   corev1.PullIfNotPresent,
		"localhost/a":              corev1.PullAlways,
		"A":                        corev1.PullIfNotPresent, // no name at all
		" ":                        corev1.PullIfNotPresent,
		"[::1]:5000/a":             corev1.PullAlways,
		"a@sha256:0123":            corev1.PullIfNotPresent,
		"a__b/c-d.e":               corev1.PullAlways,
		"a/../b":                   corev1.PullIfNotPresent,
		"a:latest@md5:0123":        corev1.PullIfNotPresent,
		"index.docker.io/a:latest": corev1.PullAlways,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
		core.Pod().Default(pod)
		if got := pod.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%q: %s, want %s", image, got, want)
		}
	}
}

// TestPodStatus guards what a kubelet may report.
func TestPodStatus(t *testing.T) {
	ended := corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}
	for _, tc := range []struct {
		name   string
		spec   string
		change func(s *corev1.PodStatus)
		want   []string
	}{
		{name: "addresses of both families", change: func(s *corev1.PodStatus) { s.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}} }},
		{name: "two of one family", change: func(s *corev1.PodStatus) { s.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "10.0.0.2"}} }, want: []string{
			`status.podIPs FieldValueInvalid: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}]: may specify no more than one IP for each IP family`,
		}},
		{name: "another class", change: func(s *corev1.PodStatus) { s.QOSClass = corev1.PodQOSGuaranteed }, want: []string{
			`status.qosClass FieldValueInvalid: Invalid value: "Guaranteed": field is immutable`,
		}},
		{name: "no class means the one it has", change: func(s *corev1.PodStatus) { s.QOSClass = "" }},
		{name: "restarted", change: func(s *corev1.PodStatus) { s.ContainerStatuses = []corev1.ContainerStatus{{Name: "c"}} }},
		{name: "alive again though it is not restarted", spec: "spec: {restartPolicy: Never, containers: [{name: c, image: a}]}", change: func(s *corev1.PodStatus) {
			s.ContainerStatuses = []corev1.ContainerStatus{{Name: "c"}}
		}, want: []string{"status.containerStatuses[0].state FieldValueForbidden: Forbidden: may not be transitioned to non-terminated state"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kind := core.Pod()
			if tc.spec == "" {
				tc.spec = "spec: {containers: [{name: c, image: a}]}"
			}
			old := readPod(t, tc.spec)
			kind.Default(old)
			kind.Create(old)
			old.Status.ContainerStatuses = []corev1.ContainerStatus{ended}
			pod := old.DeepCopy()
			tc.change(&pod.Status)
			kind.Default(pod)
			kind.Update("status", pod, old)
			errs, _ := kind.Check("status", pod, old)
			if diff := cmp.Diff(tc.want, causesOf(errs)); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
}
