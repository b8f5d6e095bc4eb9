package soak_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	informersPerKind = 20
	objectsPerKind   = 60
	startTimeout     = 2 * time.Minute
	// settleTimeout bounds how long informers may take to see the last change.
	settleTimeout = time.Minute
)

// churn is how long objects change. It is what the run is for, not a bound of it.
func churn(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("GATEHOUSE_SOAK")
	if text == "" {
		return 60 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestInformersEndWithWhatTheServerHas follows ten kinds with 200 informers while five writers per kind create, change, patch and
// delete objects. Afterwards every informer holds what a fresh list holds, byte for byte.
func TestInformersEndWithWhatTheServerHas(t *testing.T) {
	s := startGatehouse(t)
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var informers []follower
	for _, k := range kinds() {
		for range informersPerKind {
			informers = append(informers, follow(ctx, t, ownClient(t, s), k))
		}
	}
	var writers sync.WaitGroup
	ctxChurn, stop := context.WithTimeout(ctx, churn(t))
	defer stop()
	var writes writeCount
	for i, k := range kinds() {
		for w := range 5 {
			writers.Go(func() {
				if err := write(ctxChurn, client, k, rand.New(rand.NewPCG(uint64(i), uint64(w))), w, &writes); err != nil { //nolint:gosec // Which object is written needs no secrecy.
					t.Error(err)
				}
			})
		}
	}
	writers.Wait()
	t.Logf("%d informers, writes: %+v", len(informers), writes.counts())
	for _, k := range kinds() {
		compare(ctx, t, client, k, informers)
	}
	cancel()
	for _, f := range informers {
		<-f.done
	}
}

// compare waits until each informer of the kind has what a list has, and reports those that never do.
func compare(ctx context.Context, t *testing.T, client dynamic.Interface, k kind, informers []follower) {
	t.Helper()
	list, err := client.Resource(k.resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, o := range list.Items {
		want[o.GetNamespace()+"/"+o.GetName()] = encoded(t, &o)
	}
	if len(want) == 0 {
		t.Errorf("%s: nothing is left to compare", k.resource.Resource)
	}
	deadline := time.NewTimer(settleTimeout)
	defer deadline.Stop()
	for i, f := range informers {
		if f.resource != k.resource {
			continue
		}
		for {
			diff := cmp.Diff(want, f.contents(t))
			if diff == "" {
				break
			}
			select {
			case <-f.changed:
				continue
			case <-deadline.C:
				t.Errorf("informer %d of %s (-list +informer):\n%s", i, k.resource.Resource, diff[:min(len(diff), 2000)])
			}
			break
		}
	}
}

// follower is a running informer.
type follower struct {
	resource schema.GroupVersionResource
	store    cache.Store
	changed  chan struct{} // has a token after a change
	done     chan struct{} // closed when the informer has stopped
}

func follow(ctx context.Context, t *testing.T, client dynamic.Interface, k kind) follower {
	t.Helper()
	informer := dynamicinformer.NewFilteredDynamicInformer(client, k.resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	f := follower{resource: k.resource, store: informer.GetStore(), changed: make(chan struct{}, 1), done: make(chan struct{})}
	note := func() {
		select {
		case f.changed <- struct{}{}:
		default:
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
	}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.done)
		informer.Run(ctx.Done())
	}()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("an informer did not sync")
	}
	return f
}

func (f follower) contents(t *testing.T) map[string]string {
	t.Helper()
	have := map[string]string{}
	for _, item := range f.store.List() {
		o := item.(*unstructured.Unstructured)
		have[o.GetNamespace()+"/"+o.GetName()] = encoded(t, o)
	}
	return have
}

func encoded(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	b, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// writeCount counts what writers did.
type writeCount struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (c *writeCount) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[what]++
}

func (c *writeCount) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// write changes objects of a kind at random until ctx ends. Writers share the names, so they race on purpose.
func write(ctx context.Context, client dynamic.Interface, k kind, random *rand.Rand, writer int, count *writeCount) error {
	var api dynamic.ResourceInterface = client.Resource(k.resource)
	if k.namespaced {
		api = client.Resource(k.resource).Namespace("default")
	}
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("soak-%d", random.IntN(objectsPerKind))
		what, err := "create", error(nil)
		switch random.IntN(4) {
		case 0, 1:
			_, err = api.Create(ctx, k.object(name), metav1.CreateOptions{})
		case 2:
			what = "patch"
			patch := fmt.Sprintf(`{"metadata":{"annotations":{"soak/%d":"%d"}}}`, writer, n)
			_, err = api.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		case 3:
			what = "delete"
			zero := int64(0)
			err = api.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
		}
		switch {
		case err == nil:
			count.add(what)
		case ctx.Err() != nil, apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), apierrors.IsConflict(err):
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		default:
			return fmt.Errorf("%s %s %s: %w", what, k.resource.Resource, name, err)
		}
	}
	return nil
}

func startGatehouse(t *testing.T) *cluster.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	s, err := cluster.StartGatehouse(ctx, t.TempDir(), cluster.GatehouseOptions{DataDir: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ownClient makes a client with connections of its own.
func ownClient(t *testing.T, s *cluster.Server) dynamic.Interface {
	t.Helper()
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
