package fieldmanager_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/fieldmanager"
)

func managerOf[T any, P interface {
	*T
	fieldmanager.Object
}](group, version, kind, subresource string, reset ...string) *fieldmanager.Manager {
	gvk := schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
	return fieldmanager.New(fieldmanager.Config{
		Schema: fieldmanager.NewSchema(), Kind: gvk, New: func() fieldmanager.Object { return P(new(T)) }, Subresource: subresource,
		Reset: map[string][]string{gvk.GroupVersion().String(): reset},
	})
}

// BenchmarkUpdate measures what recording the owners of a write costs: create of a pod of 5 KB, a kubelet's write of its status, and a new
// label on a deployment, on the short way and by the library alone.
func BenchmarkUpdate(b *testing.B) {
	pods, status := managerOf[corev1.Pod]("", "v1", "Pod", "", "status"), managerOf[corev1.Pod]("", "v1", "Pod", "status", "spec")
	deployments := managerOf[appsv1.Deployment]("apps", "v1", "Deployment", "", "status")
	pod := bigPod(b)
	live := pod.DeepCopy()
	now := time.Unix(1_700_000_000, 0)
	if err := pods.Update(&corev1.Pod{}, live, "kubectl-create", now); err != nil {
		b.Fatal(err)
	}
	live.UID = "u"
	running := live.DeepCopy()
	running.Status = podStatus(now)
	if err := status.Update(live, running, "kubelet", now); err != nil {
		b.Fatal(err)
	}
	ready := running.DeepCopy()
	ready.Status.Conditions[0].Status, ready.Status.ContainerStatuses[0].RestartCount = corev1.ConditionFalse, 7
	deployment := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: pod.Spec}}}
	if err := deployments.Update(&appsv1.Deployment{}, deployment, "kubectl", now); err != nil {
		b.Fatal(err)
	}
	deployment.UID = "u"
	labelled := deployment.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	for _, c := range []struct {
		name       string
		m          *fieldmanager.Manager
		live, next fieldmanager.Object
	}{
		{"create", pods, &corev1.Pod{}, pod},
		{"status", status, running, ready},
		{"label", deployments, deployment, labelled},
	} {
		record := c.next.GetManagedFields()
		b.Run(c.name+"/short", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.next.SetManagedFields(record)
				if !c.m.UpdateShort(c.live, c.next, "tester", now) {
					b.Fatal("not taken")
				}
			}
		})
		b.Run(c.name+"/library", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.next.SetManagedFields(record)
				if err := c.m.UpdateByLibrary(c.live, c.next, "tester", now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSchema measures what the first write pays once.
func BenchmarkSchema(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m := managerOf[corev1.Pod]("", "v1", "Pod", "")
		if err := m.Update(&corev1.Pod{}, &corev1.Pod{}, "a", time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}

func podStatus(now time.Time) corev1.PodStatus {
	s := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, HostIP: "10.1.1.1"}
	for _, t := range []corev1.PodConditionType{corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue})
	}
	for _, name := range []string{"main", "side", "log"} {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{Name: name, Ready: true, Image: "i", ImageID: "sha256:0"})
	}
	return s
}

func bigPod(b *testing.B) *corev1.Pod {
	b.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(podText), pod); err != nil {
		b.Fatal(err)
	}
	container := pod.Spec.Containers[0]
	for _, name := range []string{"side", "log"} {
		c := container.DeepCopy()
		c.Name = name
		pod.Spec.Containers = append(pod.Spec.Containers, *c)
	}
	return pod
}

const podText = `
metadata:
  name: web
  namespace: default
  labels: {app: web, tier: front, release: r1, team: a}
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080", checksum/config: 0f343b0931126a20f133d67c2b018a3b}
spec:
  restartPolicy: Always
  dnsPolicy: ClusterFirst
  serviceAccountName: web
  serviceAccount: web
  schedulerName: default-scheduler
  terminationGracePeriodSeconds: 30
  enableServiceLinks: true
  securityContext: {runAsNonRoot: true, fsGroup: 2000}
  nodeSelector: {kubernetes.io/os: linux}
  tolerations:
  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
  containers:
  - name: main
    image: registry.example.com/team/web:v1.2.3
    imagePullPolicy: IfNotPresent
    args: [--listen=:8080, --log=json]
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports:
    - {name: http, containerPort: 8080, protocol: TCP}
    - {name: metrics, containerPort: 9090, protocol: TCP}
    env:
    - {name: A, value: "1"}
    - {name: B, value: "2"}
    - {name: POD_IP, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    livenessProbe: {httpGet: {path: /healthz, port: http, scheme: HTTP}, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {httpGet: {path: /readyz, port: http, scheme: HTTP}, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts:
    - {name: config, mountPath: /etc/web, readOnly: true}
    - {name: tmp, mountPath: /tmp}
  volumes:
  - {name: config, configMap: {name: web, defaultMode: 420}}
  - {name: tmp, emptyDir: {}}
`
