package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/policies"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

// startResources runs the resources of a server with all of its plugins but those named, on an etcd of its own.
func startResources(t *testing.T, off ...string) *parts {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	logger := slog.New(slog.DiscardHandler)
	p := &parts{wiring: wiring{options: &flags.Options{AdmissionOff: off}, logger: logger}, index: rbac.New()}
	if p.engine, err = policies.New(policies.Options{NoDefaults: true, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	p.mirror = store.NewMirror(store.NewEtcd(etcd.Client(), "/registry"), logger)
	find := &finder{}
	if err := p.makePluginSettings(t.Context()); err != nil {
		t.Fatal(err)
	}
	chain, err := p.makeAdmission(find)
	if err != nil {
		t.Fatal(err)
	}
	p.resources = resource.NewService(resource.Config{Table: table, Mirror: p.mirror, Admission: chain, Authorizer: p.chain})
	find.service = p.resources
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.mirror.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Mirror.Run: %v", err)
		}
	})
	<-p.mirror.Ready()
	return p
}

// make creates an object and returns it as it is stored.
func (p *parts) make(t *testing.T, plural, namespace, body string) (resource.Object, error) {
	t.Helper()
	info := api.RequestInfo{IsResource: true, Version: "v1", Resource: plural, Namespace: namespace, Verb: "create"}
	result, err := p.resources.Create(t.Context(), authz.System("test", info), resource.Body{Data: []byte(body)}, resource.Write{})
	if err != nil {
		return nil, err
	}
	return result.Type.Decode(result.Item)
}

// TestAdmissionSeesWhatWasWritten: a client that has made a LimitRange gets its defaults in the very next pod, though the caches learn of it
// from etcd.
func TestAdmissionSeesWhatWasWritten(t *testing.T) {
	p := startResources(t, "ServiceAccount")
	for i := range 40 {
		ns := fmt.Sprintf("ns%d", i)
		if _, err := p.make(t, "namespaces", "", `{"metadata":{"name":"`+ns+`"}}`); err != nil {
			t.Fatal(err)
		}
		if _, err := p.make(t, "limitranges", ns, `{"metadata":{"name":"l"},"spec":{"limits":[{"type":"Container","default":{"cpu":"1"}}]}}`); err != nil {
			t.Fatal(err)
		}
		o, err := p.make(t, "pods", ns, `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
		if err != nil {
			t.Fatal(err)
		}
		if cpu := o.(*corev1.Pod).Spec.Containers[0].Resources.Limits.Cpu(); cpu.String() != "1" {
			t.Fatalf("pod %d has the limit %v, want 1", i, cpu)
		}
	}
}

// TestQuotaIsNotOvershot creates 50 pods at once in a namespace that has room for 10.
func TestQuotaIsNotOvershot(t *testing.T) {
	p := startResources(t, "ServiceAccount")
	if _, err := p.make(t, "namespaces", "", `{"metadata":{"name":"ns"}}`); err != nil {
		t.Fatal(err)
	}
	o, err := p.make(t, "resourcequotas", "ns", `{"metadata":{"name":"q"},"spec":{"hard":{"pods":"10"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	q := o.(*corev1.ResourceQuota)
	q.Status.Hard = q.Spec.Hard
	q.Status.Used = corev1.ResourceList{"pods": *q.Spec.Hard.Pods()}
	n := q.Status.Used["pods"]
	n.Set(0)
	q.Status.Used["pods"] = n
	charged := &quotas{parts: p, all: newLister(&finder{p.resources}, "", "resourcequotas")}
	if _, err := charged.Charge(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	var admitted atomic.Int32
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			_, err := p.make(t, "pods", "ns", fmt.Sprintf(
				`{"metadata":{"name":"p%d"},"spec":{"containers":[{"name":"c","image":"i"}]}}`, i))
			switch {
			case err == nil:
				admitted.Add(1)
			case !api.IsReason(err, metav1.StatusReasonForbidden):
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := charged.Quotas(t.Context(), "ns", true)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d quotas: %v", len(list), err)
	}
	if n := list[0].Status.Used["pods"]; n.Value() != 10 || admitted.Load() != 10 {
		t.Errorf("%d were admitted, %s are charged", admitted.Load(), n.String())
	}
}

// TestPluginsAreFoundByTheirNames guards against a plugin that a flag promises to turn on or off and does not, and against another order than kube-apiserver's.
func TestPluginsAreFoundByTheirNames(t *testing.T) {
	p := &parts{wiring: wiring{options: &flags.Options{}}, settings: &pluginSettings{}}
	all, err := p.plugins(&finder{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, plugin := range all {
		if plugin.name != "" {
			names = append(names, plugin.name)
		}
	}
	if diff := cmp.Diff(flags.Plugins(), names); diff != "" {
		t.Errorf("plugins (-want +got):\n%s", diff)
	}
	chain, err := p.makeAdmission(&finder{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range chain.Validators {
		if _, deny := v.(admission.AlwaysDeny); deny {
			t.Error("what is off in kube-apiserver is on without being asked for")
		}
	}
	p.options.AdmissionOff = flags.Plugins()
	chain, err = p.makeAdmission(&finder{})
	if err != nil {
		t.Fatal(err)
	}
	if len(chain.Mutators) != 1 {
		t.Errorf("%d mutators are left, want the policies'", len(chain.Mutators))
	}
}

// TestListerSeesChanges guards against an object that is remembered beyond its revision.
func TestListerSeesChanges(t *testing.T) {
	p := startResources(t)
	l := newLister(&finder{p.resources}, "scheduling.k8s.io", "priorityclasses")
	create := func(name string) {
		info := api.RequestInfo{IsResource: true, Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses", Verb: "create"}
		body := resource.Body{Data: []byte(`{"metadata":{"name":"` + name + `"},"value":1}`)}
		if _, err := p.resources.Create(t.Context(), authz.System("test", info), body, resource.Write{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := p.mirror.Fresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"a", "b", "c"} {
		create(name)
		for range 2 {
			if list, err := l.list(""); err != nil || len(list) != i+1 {
				t.Errorf("%d objects, want %d: %v", len(list), i+1, err)
			}
		}
	}
}

// TestMakeNamespace makes one and finds it there: two requests may want the same namespace at once.
func TestMakeNamespace(t *testing.T) {
	find := &finder{startResources(t).resources}
	for range 2 {
		if err := find.MakeNamespace(t.Context(), "wanted"); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := find.Namespace(t.Context(), "wanted"); err != nil || !found {
		t.Errorf("found %v: %v", found, err)
	}
	if err := find.MakeNamespace(t.Context(), "No Name"); err == nil {
		t.Error("a namespace that cannot exist was made")
	}
}

// TestPodsAreReadWithinBounds guards the check of pods that exist against a namespace that is full of them.
func TestPodsAreReadWithinBounds(t *testing.T) {
	p := startResources(t, "ServiceAccount")
	for _, namespace := range []string{"ns", "ns2"} {
		if _, err := p.make(t, "namespaces", "", `{"metadata":{"name":"`+namespace+`"}}`); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"b", "a", "c"} {
			if _, err := p.make(t, "pods", namespace, `{"metadata":{"name":"`+name+`"},"spec":{"containers":[{"name":"c","image":"i"}]}}`); err != nil {
				t.Fatal(err)
			}
		}
	}
	pods := podsOf{&finder{p.resources}}
	list, total, err := pods.Pods(t.Context(), "ns", 2)
	if err != nil || total != 3 || len(list) != 2 || list[0].Name != "a" || list[1].Name != "b" {
		t.Errorf("got %d of %d: %v", len(list), total, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if list, total, err := pods.Pods(ended, "ns", 2); err != nil || total != 3 || len(list) != 0 {
		t.Errorf("after the end of its time: got %d of %d: %v", len(list), total, err)
	}
}
