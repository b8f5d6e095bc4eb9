package quota_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
)

func ptr[T any](v T) *T { return &v }

func service(kind corev1.ServiceType, allocate *bool, ports ...int32) *corev1.Service {
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, AllocateLoadBalancerNodePorts: allocate}}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{NodePort: p})
	}
	return s
}

func claim(class, size string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		Resources: corev1.VolumeResourceRequirements{Requests: list("storage", size)},
	}}
	if class != "" {
		c.Spec.StorageClassName = &class
	}
	return c
}

func devices(class string, n int64, more ...resourcev1.DeviceSubRequest) *resourcev1.ResourceClaim {
	r := resourcev1.DeviceRequest{Name: "r", FirstAvailable: more}
	if len(more) == 0 {
		r.Exactly = &resourcev1.ExactDeviceRequest{DeviceClassName: class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: n}
	}
	return &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns"},
		Spec:       resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{r}}},
	}
}

func changedPod(change func(*corev1.Pod), containers ...corev1.Container) *admission.Attributes {
	p := pod(containers...)
	change(p)
	return creation("Pod", "pods", p)
}

// TestCharges checks what is charged for an object, as the used amounts of a quota that limits a lot.
func TestCharges(t *testing.T) {
	sidecar := container("s", "cpu", "2")
	sidecar.RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
	gpus := things{classes: []*resourcev1.DeviceClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}, Spec: resourcev1.DeviceClassSpec{ExtendedResourceName: ptr("example.com/gpu")}},
	}}
	for name, test := range map[string]struct {
		a      *admission.Attributes
		limits string // the names that the quota limits
		want   string // name=amount of those that are used
	}{
		"a pod counts twice":          {podCreation(container("c")), "pods count/pods", "count/pods=1 pods=1"},
		"requests have two names":     {podCreation(container("c", "cpu", "1", "memory", "1Gi", "limits", "cpu", "2", "memory", "1Gi")), "cpu requests.cpu limits.cpu memory limits.memory", "cpu=1 limits.cpu=2 limits.memory=1Gi memory=1Gi requests.cpu=1"},
		"containers add up":           {podCreation(container("a", "cpu", "100m"), container("b", "cpu", "200m")), "requests.cpu", "requests.cpu=300m"},
		"ephemeral storage":           {podCreation(container("a", "ephemeral-storage", "1Gi", "limits", "ephemeral-storage", "2Gi")), "ephemeral-storage requests.ephemeral-storage limits.ephemeral-storage", "ephemeral-storage=1Gi limits.ephemeral-storage=2Gi requests.ephemeral-storage=1Gi"},
		"extended, by requests alone": {podCreation(container("a", "example.com/x", "3")), "requests.example.com/x", "requests.example.com/x=3"},
		"huge pages have two names":   {podCreation(container("a", "hugepages-2Mi", "4Mi")), "hugepages-2Mi requests.hugepages-2Mi", "hugepages-2Mi=4Mi requests.hugepages-2Mi=4Mi"},
		"an init container counts if it is more": {changedPod(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{container("i", "cpu", "3")}
		}, container("a", "cpu", "1")), "cpu", "cpu=3"},
		"sidecars run beside all that follows": {changedPod(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{sidecar, container("i", "cpu", "3")}
		}, container("a", "cpu", "1")), "cpu", "cpu=5"},
		"overhead, in limits where there are some": {changedPod(func(p *corev1.Pod) {
			p.Spec.Overhead = list("cpu", "1", "memory", "1Mi")
		}, container("a", "cpu", "1", "memory", "1Mi", "limits", "cpu", "1")), "cpu limits.cpu memory", "cpu=2 limits.cpu=2 memory=2Mi"},
		"what is said for the pod as a whole": {changedPod(func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: list("cpu", "4")}
		}, container("a")), "cpu", "cpu=4"},
		"a finished pod is counted only": {changedPod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, container("a", "cpu", "1")), "cpu pods count/pods", "count/pods=1"},
		"a lost pod is counted only": {changedPod(func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: now.Add(-time.Minute)}, ptr(int64(30))
		}, container("a")), "pods count/pods", "count/pods=1"},
		"cluster service":        {creation("Service", "services", service(corev1.ServiceTypeClusterIP, nil, 0)), "services services.nodeports services.loadbalancers count/services", "count/services=1 services=1"},
		"node ports":             {creation("Service", "services", service(corev1.ServiceTypeNodePort, nil, 0, 0)), "services.nodeports services.loadbalancers", "services.nodeports=2"},
		"load balancer":          {creation("Service", "services", service(corev1.ServiceTypeLoadBalancer, nil, 0, 0)), "services.nodeports services.loadbalancers", "services.loadbalancers=1 services.nodeports=2"},
		"without node ports":     {creation("Service", "services", service(corev1.ServiceTypeLoadBalancer, ptr(false), 0, 30000)), "services.nodeports services.loadbalancers", "services.loadbalancers=1 services.nodeports=1"},
		"claim":                  {creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("", "1500m")), "requests.storage persistentvolumeclaims gold.storageclass.storage.k8s.io/persistentvolumeclaims", "persistentvolumeclaims=1 requests.storage=2"},
		"claim of a class":       {creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("gold", "1Gi")), "gold.storageclass.storage.k8s.io/requests.storage gold.storageclass.storage.k8s.io/persistentvolumeclaims", "gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/requests.storage=1Gi"},
		"secret, by both names":  {creation("Secret", "secrets", &corev1.Secret{}), "secrets count/secrets", "count/secrets=1 secrets=1"},
		"anything, by its count": {creation("Deployment", "deployments", &appsv1.Deployment{}), "count/deployments.apps", "count/deployments.apps=1"},
		"devices, and as extended resources": {
			creation("ResourceClaim", "resourceclaims", devices("gpu", 2)),
			"count/resourceclaims.resource.k8s.io gpu.deviceclass.resource.k8s.io/devices requests.example.com/gpu requests.deviceclass.resource.kubernetes.io/gpu",
			"count/resourceclaims.resource.k8s.io=1 gpu.deviceclass.resource.k8s.io/devices=2 requests.deviceclass.resource.kubernetes.io/gpu=2 requests.example.com/gpu=2",
		},
		"the largest alternative": {
			creation("ResourceClaim", "resourceclaims", devices("", 0,
				resourcev1.DeviceSubRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 2},
				resourcev1.DeviceSubRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 3})),
			"gpu.deviceclass.resource.k8s.io/devices", "gpu.deviceclass.resource.k8s.io/devices=3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pairs []string
			for _, l := range strings.Fields(test.limits) {
				pairs = append(pairs, l, "1000Gi")
			}
			b := &books{quotas: []*corev1.ResourceQuota{limit("q", pairs...)}}
			if err := plugin(b, gpus).Validate(t.Context(), test.a); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, used(b.quotas[0])); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// used writes what is used at all.
func used(q *corev1.ResourceQuota) string {
	var parts []string
	for name, n := range q.Status.Used {
		if !n.IsZero() {
			parts = append(parts, string(name)+"="+n.String())
		}
	}
	return strings.Join(slices.Sorted(slices.Values(parts)), " ")
}

func TestRefusals(t *testing.T) {
	full := limit("full", "pods", "2", "requests.cpu", "1")
	full.Status.Used = list("pods", "1", "requests.cpu", "900m")
	unknown := limit("unknown", "pods", "2", "cpu", "1")
	unknown.Status.Used = nil
	negative := podCreation(container("a", "cpu", "-1"))
	const pods = `pods "p" is forbidden: `
	for name, test := range map[string]struct {
		quotas  []*corev1.ResourceQuota
		a       *admission.Attributes
		code    int
		message string
	}{
		"it fits":      {[]*corev1.ResourceQuota{full}, podCreation(container("a", "cpu", "100m")), 0, ""},
		"too much":     {[]*corev1.ResourceQuota{full}, podCreation(container("a", "cpu", "200m")), 403, pods + "exceeded quota: full, requested: requests.cpu=200m, used: requests.cpu=900m, limited: requests.cpu=1"},
		"left open":    {[]*corev1.ResourceQuota{limit("q", "limits.cpu", "1", "cpu", "1")}, podCreation(container("b"), container("a"), container("c", "cpu", "1", "limits", "cpu", "1")), 403, pods + "failed quota: q: must specify cpu for: a,b; limits.cpu for: a,b"},
		"not counted":  {[]*corev1.ResourceQuota{unknown}, podCreation(container("a", "cpu", "1")), 403, pods + "status unknown for quota: unknown, resources: cpu,pods"},
		"less than 0":  {[]*corev1.ResourceQuota{limit("q", "cpu", "1")}, negative, 403, pods + "quota usage is negative for resource(s): cpu,requests.cpu"},
		"no status":    {[]*corev1.ResourceQuota{{ObjectMeta: metav1.ObjectMeta{Name: "new"}}}, podCreation(container("a")), 0, ""},
		"not about it": {[]*corev1.ResourceQuota{limit("q", "services", "0")}, podCreation(container("a")), 0, ""},
		"another object than its resource has": {
			[]*corev1.ResourceQuota{limit("q", "pods", "0")},
			creation("Pod", "pods", &corev1.Secret{}), 500,
			"Internal error occurred: the server could not complete the request",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, message := refusal(t, plugin(&books{quotas: test.quotas}, things{}).Validate(t.Context(), test.a))
			if code != test.code || message != test.message {
				t.Errorf("got  %d %s\nwant %d %s", code, message, test.code, test.message)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	terms := []corev1.PodAffinityTerm{{Namespaces: []string{"x"}}}
	for name, test := range map[string]struct {
		scope  corev1.ResourceQuotaScope
		op     corev1.ScopeSelectorOperator
		values []string
		change func(*corev1.Pod)
		in     bool
	}{
		"terminating":                {"Terminating", "Exists", nil, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr(int64(0)) }, true},
		"not terminating":            {"Terminating", "Exists", nil, func(*corev1.Pod) {}, false},
		"in not terminating":         {"NotTerminating", "Exists", nil, func(*corev1.Pod) {}, true},
		"best effort":                {"BestEffort", "Exists", nil, func(p *corev1.Pod) { p.Status.QOSClass = corev1.PodQOSBestEffort }, true},
		"burstable":                  {"BestEffort", "Exists", nil, func(p *corev1.Pod) { p.Status.QOSClass = corev1.PodQOSBurstable }, false},
		"not best effort":            {"NotBestEffort", "Exists", nil, func(p *corev1.Pod) { p.Status.QOSClass = corev1.PodQOSBurstable }, true},
		"any priority class":         {"PriorityClass", "Exists", nil, func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }, true},
		"no priority class":          {"PriorityClass", "Exists", nil, func(*corev1.Pod) {}, false},
		"one of the classes":         {"PriorityClass", "In", []string{"high"}, func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }, true},
		"none of the classes":        {"PriorityClass", "NotIn", []string{"high"}, func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }, false},
		"no class, which is not one": {"PriorityClass", "NotIn", []string{"high"}, func(*corev1.Pod) {}, true},
		"looks elsewhere": {"CrossNamespacePodAffinity", "Exists", nil, func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}}
		}, true},
		"looks at home":            {"CrossNamespacePodAffinity", "Exists", nil, func(p *corev1.Pod) { p.Spec.Affinity = &corev1.Affinity{} }, false},
		"a scope for other things": {"VolumeAttributesClass", "Exists", nil, func(*corev1.Pod) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := limit("q", "pods", "0")
			q.Spec.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
				{ScopeName: test.scope, Operator: test.op, Values: test.values},
			}}
			b := &books{quotas: []*corev1.ResourceQuota{q}}
			code, _ := refusal(t, plugin(b, things{}).Validate(t.Context(), changedPod(test.change, container("a"))))
			if (code == 403) != test.in {
				t.Errorf("code %d", code)
			}
		})
	}
}

// TestUpdatesAreChargedForTheDifference guards against charging what has been charged before, and against charging what is not used.
func TestUpdatesAreChargedForTheDifference(t *testing.T) {
	for name, test := range map[string]struct {
		a    *admission.Attributes
		want string
		code int
	}{
		"a claim that grows":     {updateOf(creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("", "3Gi")), claim("", "1Gi"), ""), "requests.storage=2Gi", 0},
		"a claim that shrinks":   {updateOf(creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("", "1Gi")), claim("", "3Gi"), ""), "", 0},
		"a claim that grows out": {updateOf(creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("", "9Gi")), claim("", "1Gi"), ""), "", 403},
		"a service that opens up": {updateOf(creation("Service", "services", service(corev1.ServiceTypeNodePort, nil, 1)),
			service(corev1.ServiceTypeClusterIP, nil, 1), ""), "services.nodeports=1", 0},
		"a resize":                    {updateOf(podCreation(container("a", "cpu", "2")), pod(container("a", "cpu", "1")), "resize"), "requests.cpu=1", 0},
		"an update of a pod":          {updateOf(podCreation(container("a", "cpu", "2")), pod(container("a", "cpu", "1")), ""), "", 0},
		"the status of a pod":         {updateOf(podCreation(container("a", "cpu", "2")), pod(container("a", "cpu", "1")), "status"), "", 0},
		"a status is charged for all": {updateOf(creation("PersistentVolumeClaim", "persistentvolumeclaims", claim("", "9Gi")), claim("", "1Gi"), "status"), "requests.storage=8Gi", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := &books{quotas: []*corev1.ResourceQuota{limit("q", "requests.storage", "4Gi", "services.nodeports", "1", "requests.cpu", "1", "persistentvolumeclaims", "0")}}
			if code, message := refusal(t, plugin(b, things{}).Validate(t.Context(), test.a)); code != test.code {
				t.Errorf("%d %s", code, message)
			}
			if diff := cmp.Diff(test.want, used(b.quotas[0])); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDryRunIsJudgedAndNotCharged(t *testing.T) {
	b := &books{quotas: []*corev1.ResourceQuota{limit("q", "pods", "1")}}
	a := podCreation(container("a"))
	a.DryRun = true
	if err := plugin(b, things{}).Validate(t.Context(), a); err != nil || b.writes != 0 {
		t.Errorf("%v, %d writes", err, b.writes)
	}
	b.quotas[0].Status.Used = list("pods", "1")
	if code, _ := refusal(t, plugin(b, things{}).Validate(t.Context(), a)); code != 403 {
		t.Errorf("code %d", code)
	}
}

// TestNoOvershoot lets two servers admit at once against two quotas, of which another writer changes one as well.
func TestNoOvershoot(t *testing.T) {
	b := &books{quotas: []*corev1.ResourceQuota{limit("a", "pods", "10"), limit("b", "count/pods", "12")}}
	servers := []interface {
		Validate(context.Context, *admission.Attributes) error
	}{plugin(b, things{}), plugin(b, things{})}
	var group sync.WaitGroup
	var admitted atomic.Int32
	for i := range 50 {
		group.Go(func() {
			a := podCreation(container("c"))
			a.Name = fmt.Sprintf("p%d", i)
			if err := servers[i%2].Validate(t.Context(), a); err == nil {
				admitted.Add(1)
			} else if code, message := refusal(t, err); code != 403 {
				t.Errorf("%d %s", code, message)
			}
		})
	}
	group.Wait()
	if n := admitted.Load(); n != 10 {
		t.Errorf("%d were admitted", n)
	}
	if n := b.quotas[0].Status.Used["pods"]; n.Value() != 10 {
		t.Errorf("%s are charged", n.String())
	}
}

// TestWaitingRequestsAreChargedTogether guards against a write for each of many requests at once.
func TestWaitingRequestsAreChargedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &books{quotas: []*corev1.ResourceQuota{limit("q", "pods", "100")}}
		writing, hold := make(chan struct{}), make(chan struct{})
		var once sync.Once
		b.before = func(*corev1.ResourceQuota) { once.Do(func() { close(writing); <-hold }) }
		p := plugin(b, things{})
		var group sync.WaitGroup
		for i := range 20 {
			if i == 1 {
				<-writing
			}
			group.Go(func() {
				if err := p.Validate(t.Context(), podCreation(container("c"))); err != nil {
					t.Error(err)
				}
			})
		}
		// One that gives up while it waits is not charged.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Validate(gone, podCreation(container("c"))); err == nil {
			t.Error("a request that was given up is admitted")
		}
		synctest.Wait()
		close(hold)
		group.Wait()
		if n := b.quotas[0].Status.Used["pods"]; n.Value() != 20 || b.writes != 2 {
			t.Errorf("%s charged in %d writes", n.String(), b.writes)
		}
	})
}

// TestDeletedQuotaLimitsNothing guards against a refusal because of a quota that is gone.
func TestDeletedQuotaLimitsNothing(t *testing.T) {
	b := &books{quotas: []*corev1.ResourceQuota{limit("q", "pods", "1")}}
	b.before = func(*corev1.ResourceQuota) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.quotas = nil
	}
	if err := plugin(b, things{}).Validate(t.Context(), podCreation(container("c"))); err != nil {
		t.Error(err)
	}
}

func TestChargeThatFailsRefuses(t *testing.T) {
	b := &books{quotas: []*corev1.ResourceQuota{limit("q", "pods", "1")}, broken: errors.New("etcd is gone")}
	if code, _ := refusal(t, plugin(b, things{}).Validate(t.Context(), podCreation(container("c")))); code != 500 {
		t.Errorf("code %d", code)
	}
}

// TestPanicRefuses guards the process, and the line behind: charging is done outside of the requests, where a panic would end all of them.
func TestPanicRefuses(t *testing.T) {
	b := &books{quotas: []*corev1.ResourceQuota{limit("q", "pods", "2")}}
	b.before = func(*corev1.ResourceQuota) { panic("a bug") }
	p := plugin(b, things{})
	if code, message := refusal(t, p.Validate(t.Context(), podCreation(container("c")))); code != 500 || strings.Contains(message, "a bug") {
		t.Errorf("%d %s", code, message)
	}
	b.before = nil
	if err := p.Validate(t.Context(), podCreation(container("c"))); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
