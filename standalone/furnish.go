package standalone

import (
	"context"
	"errors"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// What every namespace has: a service account for pods that name none, and the certificates by which its pods know the server.

const (
	accountName = "default"
	rootCAName  = "kube-root-ca.crt"
	rootCAKey   = "ca.crt"

	describes      = "kubernetes.io/description"
	rootCADescribe = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service " +
		"IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)

// furnish gives a namespace what it lacks.
func (w *work) furnish(ctx context.Context, namespace string) error {
	if err := w.graph.sync(ctx); err != nil {
		return err
	}
	if ns := w.node("namespaces", "", namespace); ns == nil || ns.deleting {
		return nil
	}
	err := errors.Join(w.giveAccount(ctx, namespace), w.giveRootCA(ctx, namespace))
	if w.terminates(namespace) {
		return nil // Its end began meanwhile.
	}
	return err
}

// core is the feed of a core resource.
func (w *work) core(plural string) *resource.Feed {
	i := slices.IndexFunc(w.feeds, func(f *resource.Feed) bool { return f.Type.Group == "" && f.Type.Resource == plural })
	return w.feeds[i]
}

// node finds an object of a core resource in the graph; nil where there is none.
func (w *work) node(plural, namespace, name string) *node {
	key := w.core(plural).Key(namespace, name)
	w.graph.mu.Lock()
	defer w.graph.mu.Unlock()
	return w.graph.byKey[key]
}

func (w *work) terminates(namespace string) bool {
	ns := w.node("namespaces", "", namespace)
	return ns == nil || ns.deleting
}

func (w *work) giveAccount(ctx context.Context, namespace string) error {
	if w.node("serviceaccounts", namespace, accountName) != nil {
		return nil
	}
	return w.give(ctx, "default service account", "serviceaccounts", &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: accountName, Namespace: namespace},
	})
}

// giveRootCA makes the ConfigMap, or corrects one that says something else.
func (w *work) giveRootCA(ctx context.Context, namespace string) error {
	certificates := w.RootCA()
	if len(certificates) == 0 {
		return nil
	}
	const why = "root certificates"
	data := map[string]string{rootCAKey: string(certificates)}
	n := w.node("configmaps", namespace, rootCAName)
	if n == nil {
		return w.give(ctx, why, "configmaps", &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: rootCAName, Namespace: namespace, Annotations: map[string]string{describes: rootCADescribe}}, Data: data,
		})
	}
	have, found, err := decode[*corev1.ConfigMap](n)
	if err != nil || !found || (maps.Equal(have.Data, data) && have.Annotations[describes] != "") {
		return err
	}
	have.Data = data
	if have.Annotations == nil {
		have.Annotations = map[string]string{}
	}
	have.Annotations[describes] = rootCADescribe
	return orGone(w.send(ctx, why, infoOf(n.feed.Type, "update", namespace, rootCAName), have))
}

// give creates an object of a core resource. That there is one already is no error.
func (w *work) give(ctx context.Context, why, plural string, o resource.Object) error {
	err := w.send(ctx, why, infoOf(w.core(plural).Type, "create", o.GetNamespace(), ""), o)
	if api.IsReason(err, metav1.StatusReasonAlreadyExists) {
		return nil
	}
	return err
}

// furnishAll looks after all namespaces, as the certificates may have changed.
func (w *work) furnishAll() {
	w.graph.mu.Lock()
	defer w.graph.mu.Unlock()
	for _, n := range w.graph.byKey {
		if n.isNamespace() && !n.deleting {
			w.queue.add(job{taskFurnish, n.name}, 0)
		}
	}
}
