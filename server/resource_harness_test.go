package server_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/server"
	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

// objects is a real service on an etcd of its own.
type objects struct{ *resource.Service }

// Namespace implements admission.Namespaces.
func (o *objects) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	r, err := o.Get(ctx, authz.System("test", api.RequestInfo{
		IsResource: true, Verb: "get", Version: "v1", Resource: "namespaces", Namespace: name, Name: name,
	}), "")
	if api.IsReason(err, metav1.StatusReasonNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	ns, err := r.Type.Decode(r.Item)
	if err != nil {
		return nil, false, err
	}
	return ns.(*corev1.Namespace), true, nil
}

// newObjects starts the service, with the namespace default in it.
func newObjects(t testing.TB) *objects {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // so that revision 1 is before what the caches know
		if _, err := etcd.Client().Put(t.Context(), "/elsewhere", "x"); err != nil {
			t.Fatal(err)
		}
	}
	o := &objects{}
	mirror := store.NewMirror(store.NewEtcd(etcd.Client(), "/registry"), slog.New(slog.DiscardHandler))
	o.Service = resource.NewService(resource.Config{
		Table: table, Mirror: mirror, Authorizer: authz.Chain{Allowers: []authz.Authorizer{everything{}}},
		Admission: &admission.Chain{Validators: []admission.Validator{admission.NamespaceLifecycle{Namespaces: o}}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mirror.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Mirror.Run: %v", err)
		}
	})
	<-mirror.Ready()
	p := authz.System("test", api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: "namespaces"})
	if _, err := o.Create(ctx, p, resource.Body{Data: []byte(`{"metadata":{"name":"default"}}`)}, resource.Write{}); err != nil {
		t.Fatal(err)
	}
	return o
}

// runObjects is run with a server that serves real objects.
func runObjects(t *testing.T, f func(t *testing.T, h *host)) {
	t.Helper()
	run(t, func(t *testing.T, h *host, _ *stages) { f(t, h) }, func(cfg *server.Config) {
		o := newObjects(t)
		// Two answers that are compared must not differ by a second in the ages they show.
		now := time.Now()
		o.Now = func() time.Time { return now }
		cfg.Resources = server.NewREST(o.Service)
	})
}

// send is do with a body; it expects the code.
func (h *host) send(t *testing.T, code int, method, path, body string, headers ...string) answer {
	t.Helper()
	a := h.do(t, method, path, strings.NewReader(body), headers...)
	if a.StatusCode != code {
		t.Fatalf("%s %s: %d, want %d: %s", method, path, a.StatusCode, code, a.body)
	}
	return a
}

const configMaps = "/api/v1/namespaces/default/configmaps"
