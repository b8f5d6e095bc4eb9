package standalone_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/standalone"
	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a server's resources on an etcd, without the loops.
type cluster struct {
	*resource.Service
	client *clientv3.Client
	refuse atomic.Bool // admission refuses to delete anything
}

// Validate implements admission.Validator.
func (c *cluster) Validate(_ context.Context, a *admission.Attributes) error {
	if a.Operation == admission.Delete && c.refuse.Load() {
		return a.Forbidden(errors.New("nothing is deleted today"))
	}
	return nil
}

// start runs a cluster with the namespaces kube-system and ns.
func start(t *testing.T) *cluster {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	c := serve(t, etcd.Client())
	for _, name := range []string{"kube-system", "ns"} {
		c.must(t, "create", "v1/namespaces", `{"metadata":{"name":"`+name+`"}}`)
	}
	return c
}

// serve runs one of several servers on an etcd.
func serve(t *testing.T, client *clientv3.Client) *cluster {
	t.Helper()
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{client: client}
	mirror := store.NewMirror(store.NewEtcd(client, "/registry"), slog.New(slog.DiscardHandler))
	lifecycle := admission.NamespaceLifecycle{Namespaces: c}
	c.Service = resource.NewService(resource.Config{Table: table, Mirror: mirror, Admission: &admission.Chain{
		Mutators:   []admission.Mutator{lifecycle, admission.StorageObjectInUseProtection{}},
		Validators: []admission.Validator{lifecycle, c},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mirror.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	<-mirror.Ready()
	return c
}

// Namespace implements admission.Namespaces.
func (c *cluster) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	r, err := c.Get(ctx, authz.System("test", info("get", "v1/namespaces/"+name)), "")
	if err != nil {
		if api.IsReason(err, metav1.StatusReasonNotFound) {
			err = nil
		}
		return nil, false, err
	}
	o, err := r.Type.Decode(r.Item)
	if err != nil {
		return nil, false, err
	}
	return o.(*corev1.Namespace), true, nil
}

// info reads "group/version/plural/name" or "group/version/ns:plural/name", where the group of the core is left out; a
// subresource follows the name.
func info(verb, path string) api.RequestInfo {
	parts := strings.Split(path, "/")
	i := api.RequestInfo{IsResource: true, Verb: verb}
	if parts[0] != "v1" {
		i.Group, parts = parts[0], parts[1:]
	}
	i.Version, i.Resource = parts[0], parts[1]
	if namespace, plural, ok := strings.Cut(parts[1], ":"); ok {
		i.Namespace, i.Resource = namespace, plural
	}
	if len(parts) > 2 {
		i.Name = parts[2]
	}
	if len(parts) > 3 {
		i.Subresource = parts[3]
	}
	return i
}

// object is the JSON of an object.
type object struct {
	Metadata struct {
		metav1.ObjectMeta
	} `json:"metadata"`
	Data   map[string]string `json:"data"`
	Status struct {
		Conditions []corev1.NamespaceCondition `json:"conditions"`
	} `json:"status"`
}

func (c *cluster) try(t *testing.T, verb, path, body string, o ...metav1.DeleteOptions) (object, error) {
	t.Helper()
	var r resource.Result
	var err error
	p, b := authz.System("test", info(verb, path)), resource.Body{Data: []byte(body)}
	switch verb {
	case "get":
		r, err = c.Get(t.Context(), p, "")
	case "create":
		r, err = c.Create(t.Context(), p, b, resource.Write{})
	case "update":
		r, err = c.Update(t.Context(), p, b, resource.Write{})
	case "patch":
		b.ContentType = "application/merge-patch+json"
		r, err = c.Patch(t.Context(), p, b, resource.Write{})
	case "delete":
		r, err = c.Delete(t.Context(), p, append(o, metav1.DeleteOptions{})[0], resource.Write{})
	}
	var out object
	if err == nil && r.Item != nil {
		err = json.Unmarshal(r.Item.JSON, &out)
	}
	return out, err
}

func (c *cluster) must(t *testing.T, verb, path, body string, o ...metav1.DeleteOptions) object {
	t.Helper()
	out, err := c.try(t, verb, path, body, o...)
	if err != nil {
		t.Fatalf("%s %s: %v", verb, path, err)
	}
	return out
}

// exists reads an object.
func (c *cluster) exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := c.try(t, "get", path, "")
	if err != nil && !api.IsReason(err, metav1.StatusReasonNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// until waits for a condition, looking again after each change.
func (c *cluster) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		seen := c.Mirror.Observed()
		if holds() {
			return
		}
		if err := c.Mirror.WaitFor(ctx, seen+1); err != nil && ctx.Err() != nil {
			t.Fatalf("it never came that %s", what)
		}
	}
}

func (c *cluster) untilGone(t *testing.T, path string) {
	t.Helper()
	c.until(t, path+" is gone", func() bool { return !c.exists(t, path) })
}

// recorder keeps what the loops say that they do.
type recorder struct {
	mu   sync.Mutex
	done []string
	fail error
}

func (r *recorder) audited(_ context.Context, why string, i api.RequestInfo, do func(resource.Write) error) error {
	r.mu.Lock()
	fail := r.fail
	if !strings.Contains(why, "election") {
		r.done = append(r.done, fmt.Sprintf("%s: %s %s %s/%s", why, i.Verb, i.ResourceWithSub(), i.Namespace, i.Name))
	}
	r.mu.Unlock()
	if fail != nil {
		return fail
	}
	return do(resource.Write{})
}

// loops makes loops that have not begun, called name.
func (c *cluster) loops(t *testing.T, name string) (*standalone.Loops, *recorder) {
	t.Helper()
	r := &recorder{}
	return standalone.New(standalone.Config{
		Resources: c.Service, Audited: r.audited, RootCA: func() []byte { return []byte("certificates") }, Holder: name,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Pace:   standalone.Pace{Look: 10 * time.Millisecond, Settle: time.Millisecond},
	}), r
}

// did is what the loops have said.
func (r *recorder) did() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.done)
}

// breaks makes every write fail for want of a record; nil ends that.
func (r *recorder) breaks(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// run runs loops until the returned function is called, or the test ends.
func (c *cluster) run(t *testing.T, name string, pace ...standalone.Pace) (stop func(), r *recorder) {
	t.Helper()
	l, r := c.loops(t, name)
	if len(pace) > 0 {
		l.Pace = pace[0]
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop, r
}

// once makes loops that do one job when told to.
func (c *cluster) once(t *testing.T) (standalone.Once, *recorder) {
	t.Helper()
	l, r := c.loops(t, "once")
	o, err := l.Once()
	if err != nil {
		t.Fatal(err)
	}
	return o, r
}

// owned is a ConfigMap's metadata with owner references given as "apiVersion kind name uid" and a mark ! for one that blocks.
func owned(name string, owners ...string) string {
	var refs []string
	for _, o := range owners {
		f := strings.Fields(strings.TrimPrefix(o, "!"))
		refs = append(refs, fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"blockOwnerDeletion":%v}`, f[0], f[1], f[2], f[3], o[0] == '!'))
	}
	return fmt.Sprintf(`{"metadata":{"name":%q,"ownerReferences":[%s]}}`, name, strings.Join(refs, ","))
}

// inNamespace reports whether an etcd key is of an object in the namespace.
func inNamespace(key, namespace string) bool { return strings.Contains(key, "/"+namespace+"/") }

// lease reads the Lease of the loops.
func (c *cluster) lease(t *testing.T) (*coordinationv1.Lease, bool, error) {
	t.Helper()
	r, err := c.Get(t.Context(), authz.System("test", info("get", ownLease)), "")
	if err != nil {
		if api.IsReason(err, metav1.StatusReasonNotFound) {
			err = nil
		}
		return nil, false, err
	}
	o, err := r.Type.Decode(r.Item)
	if err != nil {
		return nil, false, err
	}
	return o.(*coordinationv1.Lease), true, nil
}
