package wholecluster_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"k8s.io/apimachinery/pkg/labels"
)

// writesAround is how many writes have to succeed before, between and after the restarts.
const writesAround = 20

// restarts ends the API server by force and by request while a deployment grows and a client writes. What was acknowledged must
// be there, controllers, scheduler and kubelets must carry on, and an informer that was open all the time must be right again.
func restarts(w *whole, t *testing.T) {
	client := w.client(t)
	pods := podInformer(t, client)
	writer := startWriter(t, client)
	w.run(t, "-n", shop, "scale", "deployment/web", "--replicas=20")

	writer.atLeast(t, writesAround)
	w.crash()
	w.startServer(t)
	w.run(t, "-n", shop, "scale", "deployment/web", "--replicas=30")
	writer.atLeast(t, writer.count.Load()+writesAround)
	w.terminate(t)
	w.startServer(t)
	w.run(t, "-n", shop, "scale", "deployment/web", "--replicas=40")
	writer.atLeast(t, writer.count.Load()+writesAround)

	w.rolledOut(t, shop, "deployment/web")
	w.podsOfWeb(t, 40, "registry.k8s.io/pause:3.9")
	for name, uid := range writer.stop() {
		got, err := client.CoreV1().ConfigMaps(shop).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || got.UID != uid {
			t.Errorf("%s was acknowledged with uid %s, and now: %s, %v", name, uid, got.UID, err)
		}
	}
	eventually(t, func() string { return unlike(t, client, pods) })
}

func (w *whole) client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	config, err := w.layout.Server(w.server).Config()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func podInformer(t *testing.T, client kubernetes.Interface) corelisters.PodLister {
	t.Helper()
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(shop))
	lister := factory.Core().V1().Pods().Lister()
	informer := factory.Core().V1().Pods().Informer()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	factory.Start(ctx.Done())
	if !waitFor(informer.HasSynced) {
		t.Fatal("the informer did not get its list")
	}
	return lister
}

func waitFor(done func() bool) bool { return waitAtMost(patience, done) }

func waitAtMost(limit time.Duration, done func() bool) bool {
	err := wait.PollUntilContextTimeout(context.Background(), pollEach, limit, true, func(context.Context) (bool, error) {
		return done(), nil
	})
	return err == nil
}

// unlike says how the informer's store differs from a fresh list.
func unlike(t *testing.T, client kubernetes.Interface, lister corelisters.PodLister) string {
	t.Helper()
	list, err := client.CoreV1().Pods(shop).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	known, err := lister.List(labels.Everything())
	if err != nil {
		t.Fatal(err)
	}
	if len(known) != len(list.Items) {
		return fmt.Sprintf("an informer with %d pods, it has %d", len(list.Items), len(known))
	}
	for _, pod := range list.Items {
		got, err := lister.Pods(shop).Get(pod.Name)
		if err != nil || got.ResourceVersion != pod.ResourceVersion {
			return fmt.Sprintf("an informer with %s at %s: %v, %v", pod.Name, pod.ResourceVersion, got, err)
		}
	}
	return ""
}

// writer creates ConfigMaps one after another, and keeps what was acknowledged.
type writer struct {
	count  atomic.Int64
	cancel context.CancelFunc
	done   chan map[string]types.UID
}

func startWriter(t *testing.T, client kubernetes.Interface) *writer {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{cancel: cancel, done: make(chan map[string]types.UID, 1)}
	go func() { w.done <- w.write(ctx, client) }()
	t.Cleanup(cancel)
	return w
}

func (w *writer) write(ctx context.Context, client kubernetes.Interface) map[string]types.UID {
	acknowledged := map[string]types.UID{}
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("written-%d", i)
		made, err := client.CoreV1().ConfigMaps(shop).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		switch {
		case err == nil:
			acknowledged[name] = made.UID
			w.count.Add(1)
		case !apierrors.IsAlreadyExists(err):
			// The server is away; the next name is tried when it may be back.
			select {
			case <-ctx.Done():
			case <-time.After(pollEach):
			}
		}
	}
	return acknowledged
}

// atLeast waits until so many writes have been acknowledged.
func (w *writer) atLeast(t *testing.T, n int64) {
	t.Helper()
	if !waitFor(func() bool { return w.count.Load() >= n }) {
		t.Fatalf("%d writes were acknowledged, want %d", w.count.Load(), n)
	}
}

// stop ends the writer and returns what was acknowledged, by name.
func (w *writer) stop() map[string]types.UID {
	w.cancel()
	return <-w.done
}
