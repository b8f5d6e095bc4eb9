package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/store"
)

// lister reads the objects of one resource from the cache for admission plugins, which ask at every write and mostly find the same. It
// keeps what it decoded until the object changes.
type lister struct {
	finder          *finder
	group, resource string

	mu      sync.Mutex // guards decoded
	decoded map[string]decoded
}

// decoded is an object as of a revision.
type decoded struct {
	revision int64
	object   resource.Object
}

func newLister(f *finder, group, plural string) *lister {
	return &lister{finder: f, group: group, resource: plural, decoded: map[string]decoded{}}
}

// list returns the objects in the namespace, or all cluster-scoped ones where it is empty, ordered by name. Nobody may change them. An
// object that cannot be decoded is an error: what it says is not known, and admission refuses what it does not know.
func (l *lister) list(namespace string) ([]resource.Object, error) {
	t, ok := l.finder.service.Table.Lookup(l.group, "v1", l.resource)
	if !ok {
		return nil, fmt.Errorf("%s is not served", l.resource)
	}
	cache := l.finder.service.Cache(t)
	if cache.Len() == 0 {
		return nil, nil
	}
	prefix := cache.Prefix()
	if namespace != "" {
		prefix += namespace + "/"
	}
	var items []*store.Item
	cache.Snapshot().Ascend(prefix, prefix, func(i *store.Item) bool {
		items = append(items, i)
		return true
	})
	return l.decode(t, items, 2*cache.Len())
}

// decode keeps at most the given number of objects and those asked for.
func (l *lister) decode(t *resource.Type, items []*store.Item, keep int) ([]resource.Object, error) {
	if len(items) == 0 {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.decoded) > keep {
		clear(l.decoded)
	}
	list := make([]resource.Object, len(items))
	for i, item := range items {
		d, ok := l.decoded[item.Key]
		if !ok || d.revision != item.Revision {
			o, err := t.Decode(item)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", l.resource, item.Key, err)
			}
			d = decoded{item.Revision, o}
			l.decoded[item.Key] = d
		}
		list[i] = d.object
	}
	return list, nil
}

// listOf is the list as what it holds.
func listOf[T resource.Object](l *lister, namespace string) ([]T, error) {
	objects, err := l.list(namespace)
	if err != nil || len(objects) == 0 {
		return nil, err
	}
	list := make([]T, len(objects))
	for i, o := range objects {
		list[i] = o.(T)
	}
	return list, nil
}

// one reads an object by name: from the cache, and live if the cache has none.
func one[T resource.Object](ctx context.Context, f *finder, group, plural, namespace, name string) (T, bool, error) {
	return as[T](f.get(ctx, "admission", api.RequestInfo{Group: group, Resource: plural, Namespace: namespace, Name: name}, "0", ""))
}

// priorityClasses implements admission.PriorityClasses.
type priorityClasses struct {
	finder *finder
	all    *lister
}

// PriorityClass implements admission.PriorityClasses.
func (c *priorityClasses) PriorityClass(ctx context.Context, name string) (*schedulingv1.PriorityClass, bool, error) {
	return one[*schedulingv1.PriorityClass](ctx, c.finder, schedulingv1.GroupName, "priorityclasses", "", name)
}

// PriorityClasses implements admission.PriorityClasses.
func (c *priorityClasses) PriorityClasses(context.Context) ([]*schedulingv1.PriorityClass, error) {
	return listOf[*schedulingv1.PriorityClass](c.all, "")
}

// namespaced implements what the plugins of package quota read, apart from the quotas.
type namespaced struct {
	finder                 *finder
	ranges, claims, device *lister
}

// LimitRanges implements quota.LimitRanges.
func (n *namespaced) LimitRanges(_ context.Context, namespace string) ([]*corev1.LimitRange, error) {
	return listOf[*corev1.LimitRange](n.ranges, namespace)
}

// DeviceClasses implements quota.Objects.
func (n *namespaced) DeviceClasses(context.Context) ([]*resourcev1.DeviceClass, error) {
	return listOf[*resourcev1.DeviceClass](n.device, "")
}

// ResourceClaims implements quota.Objects.
func (n *namespaced) ResourceClaims(_ context.Context, namespace string) ([]*resourcev1.ResourceClaim, error) {
	return listOf[*resourcev1.ResourceClaim](n.claims, namespace)
}

// Pod implements quota.Objects.
func (n *namespaced) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, bool, error) {
	return one[*corev1.Pod](ctx, n.finder, "", "pods", namespace, name)
}

// classes implements admission.Classes and what other plugins look up by name.
type classes struct {
	finder           *finder
	storage, ingress *lister
}

// StorageClasses implements admission.Classes.
func (c *classes) StorageClasses(context.Context) ([]*storagev1.StorageClass, error) {
	return listOf[*storagev1.StorageClass](c.storage, "")
}

// IngressClasses implements admission.Classes.
func (c *classes) IngressClasses(context.Context) ([]*networkingv1.IngressClass, error) {
	return listOf[*networkingv1.IngressClass](c.ingress, "")
}

// RuntimeClass implements admission.RuntimeClasses.
func (c *classes) RuntimeClass(ctx context.Context, name string) (*nodev1.RuntimeClass, bool, error) {
	return one[*nodev1.RuntimeClass](ctx, c.finder, nodev1.GroupName, "runtimeclasses", "", name)
}

// Node implements placement.Nodes and quota.Nodes.
func (c *classes) Node(ctx context.Context, name string) (*corev1.Node, bool, error) {
	return one[*corev1.Node](ctx, c.finder, "", "nodes", "", name)
}

// podsOf implements podsecurity.Pods. What it decodes is not kept: labels of namespaces rarely change.
type podsOf struct{ finder *finder }

// Pods implements podsecurity.Pods.
func (p podsOf) Pods(ctx context.Context, namespace string, limit int) (pods []*corev1.Pod, total int, err error) {
	t, ok := p.finder.service.Table.Lookup("", "v1", "pods")
	if !ok {
		return nil, 0, errors.New("pods are not served")
	}
	cache := p.finder.service.Cache(t)
	prefix := cache.Prefix() + namespace + "/"
	cache.Snapshot().Ascend(prefix, prefix, func(i *store.Item) bool {
		total++
		if len(pods) == limit || ctx.Err() != nil {
			return true
		}
		var o resource.Object
		if o, err = t.Decode(i); err == nil {
			pods = append(pods, o.(*corev1.Pod))
		}
		return err == nil
	})
	if err != nil {
		return nil, 0, err
	}
	return pods, total, nil
}

// ServiceAccount implements admission.ServiceAccounts.
func (c *classes) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, bool, error) {
	return one[*corev1.ServiceAccount](ctx, c.finder, "", "serviceaccounts", namespace, name)
}
