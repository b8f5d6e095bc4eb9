package envtest_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	project "github.com/gatehouse/gatehouse/e2e/envtest"
)

func site(ns, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{project.SiteLabel: name}},
		Data:       map[string]string{project.ImageKey: "example.org/site:1"},
	}
}

func deploymentOf(ns, name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

// goodbyes collects what a reconciler said.
type goodbyes struct {
	mu    sync.Mutex
	names []string
}

func (g *goodbyes) add(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = append(g.names, name)
}

func (g *goodbyes) any() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.names) > 0
}

// TestReconciler is the life of one site: made, changed, repaired and deleted.
func TestReconciler(t *testing.T) {
	ns, c, said := namespace(t), direct(t), &goodbyes{}
	mgr := manager(t, ctrl.Options{Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{ns: {}}}})
	sites := &project.Sites{Client: mgr.GetClient(), Events: mgr.GetEventRecorder("example.org/sites"), Goodbye: said.add}
	if err := sites.SetupWithManager(mgr, "sites"); err != nil {
		t.Fatal(err)
	}
	started(t, mgr)

	made := site(ns, "blog")
	if err := c.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	eventually(t, image(t, c, ns, "blog", "example.org/site:1"))
	eventually(t, event(t, c, ns, "made deployment blog"))

	patch := client.MergeFrom(made.DeepCopy())
	made.Data[project.ImageKey] = "example.org/site:2"
	if err := c.Patch(t.Context(), made, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, image(t, c, ns, "blog", "example.org/site:2"))

	if err := c.Delete(t.Context(), deploymentOf(ns, "blog")); err != nil {
		t.Fatal(err)
	}
	eventually(t, image(t, c, ns, "blog", "example.org/site:2"))

	if err := c.Delete(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(made), &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the site is still there: %v", err)
		}
		return nil
	})
	if !said.any() {
		t.Error("the finalizer was not waited for")
	}
}

// image wants the deployment to be the site's and to run an image.
func image(t *testing.T, c client.Client, ns, name, want string) func() error {
	return func() error {
		got := deploymentOf(ns, name)
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil {
			return err
		}
		if owner := metav1.GetControllerOf(got); owner == nil || owner.Kind != "ConfigMap" || owner.Name != name {
			return fmt.Errorf("owner is %v", owner)
		}
		if image := got.Spec.Template.Spec.Containers[0].Image; image != want {
			return fmt.Errorf("image is %s, want %s", image, want)
		}
		return nil
	}
}

func event(t *testing.T, c client.Client, ns, note string) func() error {
	return func() error {
		list := &eventsv1.EventList{}
		if err := c.List(t.Context(), list, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Note == note && e.ReportingController == "example.org/sites" {
				return nil
			}
		}
		return errors.New("no such event")
	}
}
