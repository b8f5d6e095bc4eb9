package main

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	benchNamespace = "bench"
	createSpace    = "bench-create"
	podsPath       = "/api/v1/namespaces/" + benchNamespace + "/pods"
	createPath     = "/api/v1/namespaces/" + createSpace + "/pods"

	podsPerLabel = 50
	podsPerNode  = 100
)

func podName(i int) string    { return fmt.Sprintf("pod-%05d", i) }
func groupName(i int) string  { return fmt.Sprintf("group-%03d", i/podsPerLabel) }
func nodeName(i int) string   { return fmt.Sprintf("node-%03d", i/podsPerNode) }
func podPath(i int) string    { return podsPath + "/" + podName(i) }
func podAddress(i int) string { return fmt.Sprintf("10.%d.%d.%d", 1+i>>16, i>>8&255, i&255) }

// newPod makes pod i: about 5 KB as a server stores it, like one that a
// deployment's pod template and a kubelet have filled in.
func newPod(i int) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: podName(i),
			Labels: map[string]string{
				"app.kubernetes.io/name":     "shop",
				"app.kubernetes.io/instance": "shop-" + groupName(i),
				"group":                      groupName(i),
				"pod-template-hash":          fmt.Sprintf("%08x", i*2654435761&0xffffffff),
			},
			Annotations: map[string]string{
				"example.com/revision": fmt.Sprint(i % 7),
				"example.com/config":   strings.Repeat(fmt.Sprintf("setting-%d=on;", i), 20),
			},
		},
		Spec: corev1.PodSpec{
			NodeName:           nodeName(i),
			ServiceAccountName: "default",
			Containers:         []corev1.Container{newContainer("web", 8080)},
			Volumes: []corev1.Volume{{
				Name:         "scratch",
				VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
			}},
		},
	}
	return pod
}

func newContainer(name string, port int32) corev1.Container {
	probe := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(port)}}
	env := make([]corev1.EnvVar, 3)
	for i := range env {
		env[i] = corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: fmt.Sprintf("value-%d-of-%s", i, name)}
	}
	return corev1.Container{
		Name:  name,
		Image: "registry.example.com/shop/" + name + ":1.2.3",
		Ports: []corev1.ContainerPort{{Name: name, ContainerPort: port}},
		Env:   env,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("100m"),
				corev1.ResourceMemory: resource.MustParse("128Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
		ReadinessProbe: &corev1.Probe{ProbeHandler: probe},
		VolumeMounts:   []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
	}
}

// newStatus is what a kubelet reports for a running pod i.
func newStatus(i int) corev1.PodStatus {
	started := metav1.Unix(1_760_000_000+int64(i), 0)
	status := corev1.PodStatus{
		Phase:     corev1.PodRunning,
		HostIP:    "10.0.0.1",
		PodIP:     podAddress(i),
		PodIPs:    []corev1.PodIP{{IP: podAddress(i)}},
		StartTime: &started,
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.PodReady} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: started,
		})
	}
	status.ContainerStatuses = []corev1.ContainerStatus{{
		Name:    "web",
		Ready:   true,
		Image:   "registry.example.com/shop/web:1.2.3",
		ImageID: "registry.example.com/shop/web@sha256:" + strings.Repeat("0123456789abcdef", 4),
		State:   corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
	}}
	return status
}

// createBody is the pod of the CREATE row: pod i under a name of its own, not yet
// on a node so that deleting it needs no kubelet.
func createBody(round, i int) ([]byte, error) {
	pod := newPod(i)
	pod.Name = fmt.Sprintf("create-%d-%05d", round, i)
	pod.Spec.NodeName = ""
	return json.Marshal(pod)
}
