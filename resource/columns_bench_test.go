package resource_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/resource"
)

func BenchmarkPodCells(b *testing.B) {
	table, err := resource.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	ty, _ := table.Lookup("", "v1", "pods")
	cells := resource.CellsFunc(ty)
	pod := &corev1.Pod{
		Spec: corev1.PodSpec{Containers: make([]corev1.Container, 2)},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Ready: true, RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}
	pod.CreationTimestamp.Time = time.Unix(1e9, 0)
	b.ReportAllocs()
	for b.Loop() {
		cells(pod)
	}
}
