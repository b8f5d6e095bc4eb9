package quota_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/quota"
	"github.com/gatehouse/gatehouse/api"
)

// books holds the quotas of one namespace, and refuses a charge that was computed from an earlier state.
type books struct {
	mu     sync.Mutex // guards the fields below
	quotas []*corev1.ResourceQuota
	writes int
	broken error                       // of every charge
	before func(*corev1.ResourceQuota) // is called ahead of a charge
}

func (b *books) Quotas(_ context.Context, _ string, _ bool) ([]*corev1.ResourceQuota, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.quotas), nil
}

func (b *books) Charge(_ context.Context, q *corev1.ResourceQuota) (*corev1.ResourceQuota, error) {
	if b.before != nil {
		b.before(q)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, b.broken
	}
	for i, had := range b.quotas {
		if had.Name != q.Name {
			continue
		}
		if had.ResourceVersion != q.ResourceVersion {
			return nil, api.Conflict(schema.GroupResource{Resource: "resourcequotas"}, q.Name, errors.New("modified"))
		}
		next := q.DeepCopy()
		n, _ := strconv.Atoi(had.ResourceVersion)
		next.ResourceVersion = strconv.Itoa(n + 1)
		b.quotas[i] = next
		b.writes++
		return next, nil
	}
	return nil, api.NotFound(schema.GroupResource{Resource: "resourcequotas"}, q.Name)
}

// limit is a quota of which nothing is used: name, amount, name, amount.
func limit(name string, pairs ...string) *corev1.ResourceQuota {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", ResourceVersion: "1"}}
	q.Status.Hard, q.Status.Used = list(pairs...), corev1.ResourceList{}
	for key := range q.Status.Hard {
		q.Status.Used[key] = resource.MustParse("0")
	}
	return q
}

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

// things are the objects that the charges for devices depend on.
type things struct {
	classes []*resourcev1.DeviceClass
	claims  []*resourcev1.ResourceClaim
	pods    []*corev1.Pod
	err     error
}

func (t things) DeviceClasses(context.Context) ([]*resourcev1.DeviceClass, error) {
	return t.classes, t.err
}

func (t things) ResourceClaims(context.Context, string) ([]*resourcev1.ResourceClaim, error) {
	return t.claims, t.err
}

func (t things) Pod(_ context.Context, _, name string) (*corev1.Pod, bool, error) {
	for _, p := range t.pods {
		if p.Name == name {
			return p, true, t.err
		}
	}
	return nil, false, t.err
}

var now = time.Unix(2e9, 0)

func plugin(b *books, t things) *quota.ResourceQuota {
	return quota.NewResourceQuota(b, t, func() time.Time { return now })
}

// container asks for amounts, and is limited to those after "limits".
func container(name string, pairs ...string) corev1.Container {
	requests, limits := pairs, []string(nil)
	if i := slices.Index(pairs, "limits"); i >= 0 {
		requests, limits = pairs[:i], pairs[i+1:]
	}
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: list(requests...), Limits: list(limits...)}}
}

func pod(containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}, Spec: corev1.PodSpec{Containers: containers}}
}

// creation is the attributes of a create.
func creation(kind, plural string, o runtime.Object) *admission.Attributes {
	group := ""
	switch plural {
	case "resourceclaims":
		group = resourcev1.GroupName
	case "deployments":
		group = "apps"
	}
	return &admission.Attributes{
		Operation: admission.Create, Kind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind},
		Resource:  schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural},
		Namespace: "ns", Name: "p", Object: o,
	}
}

func podCreation(containers ...corev1.Container) *admission.Attributes {
	return creation("Pod", "pods", pod(containers...))
}

// updateOf is the attributes of an update of what was created.
func updateOf(a *admission.Attributes, old runtime.Object, subresource string) *admission.Attributes {
	a.Operation, a.OldObject, a.Subresource = admission.Update, old, subresource
	old.(metav1.Object).SetResourceVersion("7")
	return a
}

// refusal is the code and the message; 0 for none.
func refusal(t *testing.T, err error) (int, string) {
	t.Helper()
	if err == nil {
		return 0, ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not an *api.Error: %v", err, err)
	}
	return e.Code(), e.Status.Message
}
