package quota_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/quota"
	"github.com/gatehouse/gatehouse/api"
)

// machines are nodes with two processors and a gibibyte.
type machines struct{}

func (machines) Node(_ context.Context, name string) (*corev1.Node, bool, error) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Allocatable: room("2", "1Gi")}}
	switch name {
	case "unreadable":
		return nil, false, errors.New("etcd is gone")
	case "gone":
		return nil, false, nil
	case "unlabelled":
	case "able":
		node.Status.DeclaredFeatures = []string{"InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"}
	case "half":
		node.Status.DeclaredFeatures = []string{"InPlacePodLevelResourcesVerticalScaling"}
	default:
		node.Labels = map[string]string{corev1.LabelOSStable: name}
	}
	return node, true, nil
}

func room(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func TestPodResize(t *testing.T) {
	const refused = `pods "web" is forbidden: `
	always := corev1.ContainerRestartPolicyAlways
	container := func(cpu, memory string) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: room(cpu, memory)}}
	}
	for name, test := range map[string]struct {
		node    string
		change  func(*corev1.PodSpec)
		sub     string
		message string
		cause   metav1.CauseType
	}{
		"what fits exactly":         {change: func(s *corev1.PodSpec) { s.Containers[0] = container("2", "1Gi") }},
		"more of one than there is": {change: func(s *corev1.PodSpec) { s.Containers[0] = container("2001m", "1Gi") }, message: "node didn't have enough allocatable resources: cpu, requested: 2001, allocatable: 2000", cause: "NodeCapacity"},
		"more of both":              {change: func(s *corev1.PodSpec) { s.Containers[0] = container("3", "2Gi") }, message: "node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824", cause: "NodeCapacity"},
		"containers together": {change: func(s *corev1.PodSpec) {
			s.Containers = []corev1.Container{container("1", "1Mi"), container("1100m", "1Mi")}
		}, message: "node didn't have enough allocatable resources: cpu, requested: 2100, allocatable: 2000", cause: "NodeCapacity"},
		"an init container alone": {change: func(s *corev1.PodSpec) { s.InitContainers = []corev1.Container{container("2", "1Gi")} }},
		"a sidecar beside them": {change: func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{container("1500m", "1Mi")}
			s.InitContainers[0].RestartPolicy = &always
		}, message: "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000", cause: "NodeCapacity"},
		"the overhead counts":        {change: func(s *corev1.PodSpec) { s.Overhead = room("1500m", "1Mi") }, message: "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000", cause: "NodeCapacity"},
		"the pod as a whole decides": {change: func(s *corev1.PodSpec) { s.Resources = &corev1.ResourceRequirements{Requests: room("3", "1Mi")} }, message: "node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000", cause: "NodeCapacity"},
		"no change":                  {node: "gone"},
		"a node that is gone":        {node: "gone", change: func(s *corev1.PodSpec) { s.Containers[0] = container("2", "1Gi") }, message: `node "gone" not found`},
		"a node that cannot be read": {node: "unreadable", change: func(s *corev1.PodSpec) { s.Containers[0] = container("2", "1Gi") }, message: `failed to get node "unreadable"`},
		"a node of another system":   {node: "windows", change: func(s *corev1.PodSpec) { s.Containers[0] = container("2", "1Gi") }, message: `pod resize is only supported on linux nodes, node "windows" is "windows"`, cause: "UnsupportedPlatform"},
		"a node without the label":   {node: "unlabelled", change: func(s *corev1.PodSpec) { s.Containers[0] = container("2", "1Gi") }},
		"another write of the pod":   {node: "gone", sub: "none", change: func(s *corev1.PodSpec) { s.Containers[0] = container("9", "9Gi") }},
		"a pod without a node":       {node: "none", change: func(s *corev1.PodSpec) { s.NodeName = ""; s.Containers[0] = container("9", "9Gi") }},
	} {
		t.Run(name, func(t *testing.T) {
			node := "linux"
			if test.node != "" {
				node = test.node
			}
			old := &corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{container("1", "1Mi")}}}
			now := old.DeepCopy()
			if test.change != nil {
				test.change(&now.Spec)
			}
			a := &admission.Attributes{Operation: admission.Update, Namespace: "ns", Name: "web", Subresource: "resize", Object: now, OldObject: old}
			a.Resource.Resource = "pods"
			if test.sub != "" {
				a.Subresource = ""
			}
			err := quota.PodResize{Nodes: machines{}}.Validate(t.Context(), a)
			if test.message == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *api.Error
			if !errors.As(err, &e) || e.Code() != 403 || e.Status.Message != refused+test.message {
				t.Fatalf("got  %v\nwant %s", err, refused+test.message)
			}
			if causes := e.Status.Details.Causes; (len(causes) > 0) != (test.cause != "") || (len(causes) > 0 && causes[0].Type != test.cause) {
				t.Errorf("causes %v, want %s", causes, test.cause)
			}
		})
	}
}

func TestNodeFeatures(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	whole := func(s *corev1.PodSpec) { s.Resources = &corev1.ResourceRequirements{Requests: room("1", "1Mi")} }
	initial := func(s *corev1.PodSpec) { s.InitContainers[0].Resources.Requests = room("1", "1Mi") }
	everything := func(s *corev1.PodSpec) { whole(s); initial(s) }
	const lacks = `pods "web" is forbidden: pod update requires features `
	for name, test := range map[string]struct {
		node, sub string
		change    func(*corev1.PodSpec)
		message   string
	}{
		"a container":                {"plain", "resize", func(s *corev1.PodSpec) { s.Containers[0].Resources.Requests = room("1", "1Mi") }, ""},
		"a sidecar":                  {"plain", "resize", func(s *corev1.PodSpec) { s.InitContainers[1].Resources.Requests = room("1", "1Mi") }, ""},
		"the pod as a whole":         {"plain", "resize", whole, lacks + `InPlacePodLevelResourcesVerticalScaling which are not available on node "plain"`},
		"an init container":          {"plain", "", initial, lacks + `InPlacePodVerticalScalingInitContainers which are not available on node "plain"`},
		"both":                       {"plain", "resize", everything, lacks + `InPlacePodLevelResourcesVerticalScaling, InPlacePodVerticalScalingInitContainers which are not available on node "plain"`},
		"both on a node with one":    {"half", "resize", everything, lacks + `InPlacePodVerticalScalingInitContainers which are not available on node "half"`},
		"both on a node with both":   {"able", "resize", everything, ""},
		"a node that is gone":        {"gone", "resize", whole, `pods "web" is forbidden: node "gone" not found`},
		"a node that cannot be read": {"unreadable", "resize", whole, `pods "web" is forbidden: failed to get node "unreadable"`},
		"a pod without a node":       {"", "resize", whole, ""},
		"no change":                  {"gone", "", func(*corev1.PodSpec) {}, ""},
		"the status":                 {"gone", "status", whole, ""},
	} {
		t.Run(name, func(t *testing.T) {
			old := &corev1.Pod{Spec: corev1.PodSpec{
				NodeName: test.node, Containers: []corev1.Container{{}}, InitContainers: []corev1.Container{{}, {RestartPolicy: &always}},
			}}
			now := old.DeepCopy()
			test.change(&now.Spec)
			a := &admission.Attributes{Operation: admission.Update, Namespace: "ns", Name: "web", Subresource: test.sub, Object: now, OldObject: old}
			a.Resource.Resource = "pods"
			var got string
			var e *api.Error
			if err := (quota.NodeFeatures{Nodes: machines{}}).Validate(t.Context(), a); errors.As(err, &e) {
				got = e.Status.Message
			} else if err != nil {
				t.Fatal(err)
			}
			if got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
		})
	}
}
