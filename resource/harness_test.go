package resource_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a service on an etcd of its own, with the namespaces default, other and kube-system.
type cluster struct {
	*resource.Service
	client *clientv3.Client
	table  *resource.Table
	chain  authz.Chain
	freeze func() // ends the mirror: the caches stay as they are
}

// start runs a cluster until the test ends. change may set parts of the configuration.
func start(t testing.TB, change ...func(*resource.Config, *cluster)) *cluster {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	c := serve(t, etcd.Client(), change...)
	for _, name := range []string{"default", "other", "kube-system"} {
		c.must(t, "create", "/api/v1/namespaces", `{"metadata":{"name":"`+name+`"}}`)
	}
	return c
}

// serve runs a service on an etcd that another one may use as well.
func serve(t testing.TB, client *clientv3.Client, change ...func(*resource.Config, *cluster)) *cluster {
	t.Helper()
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{client: client, table: table, chain: authz.Chain{Allowers: []authz.Authorizer{everything{}}}}
	cfg := resource.Config{
		Table: table, Mirror: store.NewMirror(store.NewEtcd(client, "/registry"), slog.New(slog.DiscardHandler)),
		Admission: &admission.Chain{Validators: []admission.Validator{admission.NamespaceLifecycle{Namespaces: c}}},
	}
	for _, f := range change {
		f(&cfg, c)
	}
	cfg.Authorizer = c.chain
	c.Service = resource.NewService(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cfg.Mirror.Run(ctx) }()
	c.freeze = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Mirror.Run: %v", err)
		}
	})
	t.Cleanup(c.freeze)
	<-cfg.Mirror.Ready()
	return c
}

// Namespace implements admission.Namespaces on the cluster itself.
func (c *cluster) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	return c.namespace(ctx, name, "")
}

func (c *cluster) namespace(ctx context.Context, name, version string) (*corev1.Namespace, bool, error) {
	r, err := c.Get(ctx, authz.System("test", api.RequestInfo{
		IsResource: true, Verb: "get", Version: "v1", Resource: "namespaces", Namespace: name, Name: name,
	}), version)
	if api.IsReason(err, metav1.StatusReasonNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	o, err := r.Type.Decode(r.Item)
	if err != nil {
		return nil, false, err
	}
	return o.(*corev1.Namespace), true, nil
}

// everything allows whatever is asked.
type everything struct{}

func (everything) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "", nil
}

// alice makes the requests of the tests.
var alice = api.User{Name: "alice", UID: "1", Groups: []string{"devs", api.GroupAuthenticated}, Extra: map[string][]string{"team": {"a"}}}

// target is the request info of a verb on a path like those of the API.
func target(verb, path string) api.RequestInfo {
	path, selector, _ := strings.Cut(path, "?fieldSelector=")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	info := api.RequestInfo{IsResource: true, Path: path, Verb: verb, FieldSelector: selector}
	if parts[0] == "api" {
		info.Version, parts = parts[1], parts[2:]
	} else {
		info.Group, info.Version, parts = parts[1], parts[2], parts[3:]
	}
	if parts[0] == "namespaces" && len(parts) > 1 {
		info.Namespace = parts[1]
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts = parts[2:]
		}
	}
	info.Resource = parts[0]
	if len(parts) > 1 {
		info.Name = parts[1]
	}
	if len(parts) > 2 {
		info.Subresource = parts[2]
	}
	return info
}

// permit lets alice do what the path and the verb say.
func (c *cluster) permit(t testing.TB, verb, path string) authz.Permit {
	t.Helper()
	p, err := c.chain.Permit(t.Context(), alice, target(verb, path))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request is what a verb is called with besides its target.
type request struct {
	verb, path  string
	contentType string
	body        string
	write       resource.Write
	delete      metav1.DeleteOptions
	version     string // of a get
}

// do calls the verb.
func (c *cluster) do(t testing.TB, r request) (resource.Result, error) {
	t.Helper()
	p := c.permit(t, r.verb, r.path)
	body := resource.Body{ContentType: r.contentType, Data: []byte(r.body)}
	switch r.verb {
	case "get":
		return c.Get(t.Context(), p, r.version)
	case "create":
		return c.Create(t.Context(), p, body, r.write)
	case "update":
		return c.Update(t.Context(), p, body, r.write)
	case "patch":
		return c.Patch(t.Context(), p, body, r.write)
	case "delete":
		return c.Delete(t.Context(), p, r.delete, r.write)
	}
	t.Fatalf("no verb %q", r.verb)
	return resource.Result{}, nil
}

// must calls the verb and returns the JSON of the answer. The body of a patch without a type is a merge patch.
func (c *cluster) must(t testing.TB, verb, path, body string) string {
	t.Helper()
	r, err := c.do(t, request{verb: verb, path: path, body: body, contentType: defaultType(verb)})
	if err != nil {
		t.Fatalf("%s %s: %v", verb, path, err)
	}
	return answer(t, r)
}

func defaultType(verb string) string {
	if verb == "patch" {
		return "application/merge-patch+json"
	}
	return ""
}

// answer is the JSON of a result.
func answer(t testing.TB, r resource.Result) string {
	t.Helper()
	if r.Item != nil {
		return string(r.Type.AppendObject(nil, r.Item))
	}
	b, err := json.Marshal(r.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// list lists a collection.
func (c *cluster) list(t testing.TB, path string, o resource.ListOptions) *resource.List {
	t.Helper()
	l, err := c.List(t.Context(), c.permit(t, "list", path), o)
	if err != nil {
		t.Fatalf("list %s: %v", path, err)
	}
	return l
}

func names(l *resource.List) []string {
	got := []string{}
	for _, i := range l.Items {
		got = append(got, i.Name)
	}
	return got
}

// at reads a value out of JSON by a path like metadata.name; a missing one is nil.
func at(t testing.TB, text, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// code is the HTTP status of an error, 0 for none.
func code(err error) int {
	if err == nil {
		return 0
	}
	return api.ToError(err).Code()
}

// within bounds a wait for something that is expected to come.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// rules answers rules reviews with one rule.
type rules struct{}

func (rules) RulesFor(api.User, string) ([]rbacv1.PolicyRule, error) {
	return []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}, errors.New("some are missing")
}
