package envtest_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestCache reads from caches of one kind in three forms: typed with an index, as metadata and unstructured. A selector holds for all.
func TestCache(t *testing.T) {
	ns, c := namespace(t), direct(t)
	chosen := labels.SelectorFromSet(labels.Set{"cached": "yes"})
	mgr := manager(t, ctrl.Options{Cache: cache.Options{
		DefaultNamespaces: map[string]cache.Config{ns: {}},
		ByObject:          map[client.Object]cache.ByObject{&corev1.Secret{}: {Label: chosen}},
	}})
	byType := func(o client.Object) []string { return []string{string(o.(*corev1.Secret).Type)} }
	if err := mgr.GetFieldIndexer().IndexField(t.Context(), &corev1.Secret{}, "type", byType); err != nil {
		t.Fatal(err)
	}
	started(t, mgr)
	if !mgr.GetCache().WaitForCacheSync(t.Context()) {
		t.Fatal("no cache")
	}
	for i, kind := range []corev1.SecretType{"example.org/a", "example.org/a", "example.org/b"} {
		for _, cached := range []string{"yes", "no"} {
			name := fmt.Sprintf("secret-%d-%s", i, cached)
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"cached": cached}}, Type: kind}
			if err := c.Create(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
	}
	metadata, bare := &metav1.PartialObjectMetadataList{}, &unstructured.UnstructuredList{}
	kind := schema.GroupVersionKind{Version: "v1", Kind: "SecretList"}
	metadata.SetGroupVersionKind(kind)
	bare.SetGroupVersionKind(kind)
	for _, want := range []struct {
		n    int
		list client.ObjectList
		opts []client.ListOption
	}{
		{3, &corev1.SecretList{}, nil},
		{2, &corev1.SecretList{}, []client.ListOption{client.MatchingFields{"type": "example.org/a"}}},
		{3, metadata, nil},
		{3, bare, []client.ListOption{client.MatchingLabels{"cached": "yes"}}},
		{0, bare, []client.ListOption{client.MatchingLabels{"cached": "no"}}},
	} {
		eventually(t, func() error {
			if err := mgr.GetCache().List(t.Context(), want.list, want.opts...); err != nil {
				return err
			}
			if n := items(want.list); n != want.n {
				return fmt.Errorf("%T %v has %d items, want %d", want.list, want.opts, n, want.n)
			}
			return nil
		})
	}
}

func items(list client.ObjectList) int {
	switch list := list.(type) {
	case *corev1.SecretList:
		return len(list.Items)
	case *metav1.PartialObjectMetadataList:
		return len(list.Items)
	case *unstructured.UnstructuredList:
		return len(list.Items)
	}
	return -1
}
