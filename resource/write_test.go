package resource_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	clusterkinds "github.com/gatehouse/gatehouse/kinds/cluster"
	"github.com/gatehouse/gatehouse/resource"
)

// TestNoLostUpdate lets writers increment a counter, each by the way of its own kind: a PUT of what was read, which is tried
// again on a conflict, or a JSON patch with a test.
func TestNoLostUpdate(t *testing.T) {
	const writers, each = 16, 5
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"n"},"data":{"n":"0"}}`)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for done := 0; done < each && t.Context().Err() == nil; {
				text := c.must(t, "get", maps+"/n", "")
				var n int
				if _, err := fmt.Sscan(at(t, text, "data.n").(string), &n); err != nil {
					t.Error(err)
					return
				}
				r := request{verb: "update", path: maps + "/n", body: strings.Replace(text, fmt.Sprintf(`"n":"%d"`, n), fmt.Sprintf(`"n":"%d"`, n+1), 1)}
				if w%2 == 1 {
					r = request{verb: "patch", path: maps + "/n", contentType: "application/json-patch+json", body: fmt.Sprintf(
						`[{"op":"test","path":"/data/n","value":"%d"},{"op":"replace","path":"/data/n","value":"%d"}]`, n, n+1)}
				}
				switch _, err := c.do(t, r); code(err) {
				case 0:
					done++
				case 409, 422: // another one was first
				default:
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := at(t, c.must(t, "get", maps+"/n", ""), "data.n"); got != fmt.Sprint(writers*each) {
		t.Errorf("the counter is %v after %d increments", got, writers*each)
	}
}

// TestConcurrentPatches expects every patch without a revision to be applied, whoever is first.
func TestConcurrentPatches(t *testing.T) {
	const writers = 16
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"n"}}`)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			if _, err := c.do(t, request{verb: "patch", path: maps + "/n", contentType: merge, body: fmt.Sprintf(`{"data":{"w%d":""}}`, w)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if data, _ := at(t, c.must(t, "get", maps+"/n", ""), "data").(map[string]any); len(data) != writers {
		t.Errorf("%d of %d patches are there", len(data), writers)
	}
}

// TestStaleCache checks that nothing is decided on a cache that lags behind: it freezes the caches of one server and writes
// through another.
func TestStaleCache(t *testing.T) {
	// The lifecycle plugin would wait for the namespace to be fresh.
	c := start(t, func(cfg *resource.Config, _ *cluster) { cfg.Admission = &admission.Chain{} })
	ahead := serve(t, c.client)
	c.must(t, "create", maps, `{"metadata":{"name":"left","labels":{"old":"yes"}}}`)
	c.must(t, "create", maps, `{"metadata":{"name":"goes","labels":{"old":"yes"}}}`)
	for _, name := range []string{"noop", "patch", "conflict", "dry", "gone", "finalizer", "uid", "grace"} {
		c.must(t, "create", maps, `{"metadata":{"name":"`+name+`","finalizers":["a.b/c"]},"data":{"a":"old"}}`)
	}
	stale := map[string]string{}
	for _, i := range c.list(t, maps, resource.ListOptions{}).Items {
		stale[i.Name] = string(i.JSON)
	}
	if _, err := ahead.Mirror.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.freeze()
	for name := range stale {
		ahead.must(t, "patch", maps+"/"+name, `{"metadata":{"finalizers":null},"data":{"a":"new"}}`)
	}
	ahead.must(t, "delete", maps+"/gone", "")
	ahead.must(t, "delete", maps+"/uid", "")
	ahead.must(t, "create", maps, `{"metadata":{"name":"uid"}}`)

	c.must(t, "update", maps+"/noop", `{"metadata":{"name":"noop","finalizers":["a.b/c"]},"data":{"a":"old"}}`)
	if got := ahead.must(t, "get", maps+"/noop", ""); at(t, got, "data.a") != "old" {
		t.Errorf("an update to what the stale cache holds was dropped: %s", got)
	}
	got := c.must(t, "patch", maps+"/patch", `{"data":{"b":"mine"}}`)
	if at(t, got, "data.a") != "new" || at(t, got, "data.b") != "mine" {
		t.Errorf("a patch was applied to the stale state: %s", got)
	}
	fresh := ahead.must(t, "get", maps+"/conflict", "")
	c.must(t, "update", maps+"/conflict", strings.Replace(fresh, `"new"`, `"newer"`, 1))
	if _, err := c.do(t, request{verb: "update", path: maps + "/conflict", body: stale["conflict"]}); code(err) != 409 {
		t.Errorf("an update of the stale state: %v, want 409", err)
	}
	dry := request{verb: "patch", path: maps + "/dry", contentType: merge, body: `{"data":{"b":"mine"}}`}
	dry.write.Options.DryRun = true
	r, err := c.do(t, dry)
	if err != nil || at(t, answer(t, r), "data.a") != "new" {
		t.Errorf("a dry run on the stale state: %v", err)
	}
	if _, err := c.do(t, request{verb: "patch", path: maps + "/gone", contentType: merge, body: `{}`}); code(err) != 404 {
		t.Errorf("a patch of what is gone: %v, want 404", err)
	}
	if got := c.must(t, "delete", maps+"/finalizer", ""); at(t, got, "status") != "Success" {
		t.Errorf("a delete obeyed a finalizer that is gone: %s", got)
	}
	ahead.must(t, "patch", maps+"/left", `{"metadata":{"labels":null}}`)
	p := c.permit(t, "deletecollection", maps)
	old := resource.ListOptions{ResourceVersion: "0", Labels: selector(t, "old=yes")}
	if _, err := c.DeleteCollection(t.Context(), p, old, metav1.DeleteOptions{}, resource.Write{}); err != nil {
		t.Error(err)
	}
	if l := ahead.list(t, maps, resource.ListOptions{Fields: fieldSelector(t, "metadata.name!=uid"), Labels: selector(t, "!x")}); !strings.Contains(fmt.Sprint(names(l)), "left") || strings.Contains(fmt.Sprint(names(l)), "goes") {
		t.Errorf("deletecollection took what no longer matched, or left what did: %v", names(l))
	}
	uid := metav1.NewUIDPreconditions(at(t, `{"kind":"",`+stale["uid"][1:], "metadata.uid").(string)).UID
	if _, err := c.do(t, request{verb: "delete", path: maps + "/uid", delete: metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: uid}}}); code(err) != 409 {
		t.Errorf("a delete took the object that came after: %v, want 409", err)
	}
	ahead.must(t, "get", maps+"/uid", "")
}

// TestDryRun expects each verb to answer as it would and to leave no trace.
func TestDryRun(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m","finalizers":["a.b/c"]},"data":{"a":"b"}}`)
	c.must(t, "create", maps, `{"metadata":{"name":"free"}}`)
	c.must(t, "create", deps, body(typeOf(t, c, "apps", "v1", "deployments"), "d"))
	before, err := c.client.Get(t.Context(), "/registry")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{metav1.DryRunAll}
	for name, tc := range map[string]struct {
		r    request
		code int
	}{
		"create":       {request{verb: "create", path: maps, body: `{"metadata":{"name":"new"}}`}, 0},
		"generate":     {request{verb: "create", path: maps, body: `{"metadata":{"generateName":"new"}}`}, 0},
		"create taken": {request{verb: "create", path: maps, body: `{"metadata":{"name":"m"}}`}, 409},
		"create event": {request{verb: "create", path: "/apis/events.k8s.io/v1/namespaces/default/events", body: `{"metadata":{"name":"e"}` + minimal["events.k8s.io/Event"] + `}`}, 0},
		"update":       {request{verb: "update", path: maps + "/m", body: `{"metadata":{"name":"m"}}`}, 0},
		"by update":    {request{verb: "update", path: "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", body: `{"metadata":{"name":"l"}}`}, 0},
		"patch":        {request{verb: "patch", path: maps + "/m", contentType: merge, body: `{"data":{"c":"d"}}`}, 0},
		"last patch":   {request{verb: "patch", path: maps + "/m", contentType: merge, body: `{"metadata":{"finalizers":null}}`}, 0},
		"scale":        {request{verb: "update", path: deps + "/d/scale", body: `{"metadata":{"name":"d"},"spec":{"replicas":9}}`}, 0},
		"mark":         {request{verb: "delete", path: maps + "/m", delete: metav1.DeleteOptions{DryRun: all}}, 0},
		"delete":       {request{verb: "delete", path: maps + "/free", delete: metav1.DeleteOptions{DryRun: all}}, 0},
	} {
		tc.r.write.Options.DryRun = true
		r, err := c.do(t, tc.r)
		if code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
		if err == nil && r.Code == 201 && strings.Contains(answer(t, r), `"resourceVersion"`) {
			t.Errorf("%s: the answer has a revision: %s", name, answer(t, r))
		}
		if err == nil && r.Item != nil {
			wire, err := r.Type.AppendProtobuf(nil, r.Item)
			o := r.Type.New()
			if err != nil || o.Unmarshal(envelope(t, wire, r.Type.GroupVersion(), r.Type.Kind)) != nil || (r.Code == 201) != (o.GetResourceVersion() == "") {
				t.Errorf("%s: the protobuf answer is at revision %q, %v", name, o.GetResourceVersion(), err)
			}
		}
	}
	p := c.permit(t, "deletecollection", maps)
	if l, err := c.DeleteCollection(t.Context(), p, resource.ListOptions{}, metav1.DeleteOptions{DryRun: all}, resource.Write{}); err != nil || len(l.Items) != 2 {
		t.Errorf("deletecollection: %v", err)
	}
	after, err := c.client.Get(t.Context(), "/registry")
	if err != nil || after.Header.Revision != before.Header.Revision {
		t.Errorf("dry runs moved the store from revision %d to %d, %v", before.Header.Revision, after.Header.Revision, err)
	}
}

// TestPermits checks that a verb does nothing without its own permit.
func TestPermits(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	body := resource.Body{Data: []byte(`{"metadata":{"name":"n"}}`)}
	patch := resource.Body{Data: []byte(`{"data":{"a":"b"}}`), ContentType: merge}
	before, err := c.client.Get(t.Context(), "/registry")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(context.Context, authz.Permit) error{
		"get": func(ctx context.Context, p authz.Permit) error { _, err := c.Get(ctx, p, ""); return err },
		"list": func(ctx context.Context, p authz.Permit) error {
			_, err := c.List(ctx, p, resource.ListOptions{})
			return err
		},
		"watch": func(ctx context.Context, p authz.Permit) error {
			_, err := c.Watch(ctx, p, resource.ListOptions{})
			return err
		},
		"create": func(ctx context.Context, p authz.Permit) error {
			_, err := c.Create(ctx, p, body, resource.Write{})
			return err
		},
		"update": func(ctx context.Context, p authz.Permit) error {
			_, err := c.Update(ctx, p, body, resource.Write{})
			return err
		},
		"patch": func(ctx context.Context, p authz.Permit) error {
			_, err := c.Patch(ctx, p, patch, resource.Write{})
			return err
		},
		"delete": func(ctx context.Context, p authz.Permit) error {
			_, err := c.Delete(ctx, p, metav1.DeleteOptions{}, resource.Write{})
			return err
		},
		"deletecollection": func(ctx context.Context, p authz.Permit) error {
			_, err := c.DeleteCollection(ctx, p, resource.ListOptions{}, metav1.DeleteOptions{}, resource.Write{})
			return err
		},
	}
	for verb, call := range calls {
		if err := call(t.Context(), authz.Permit{}); code(err) != 500 {
			t.Errorf("%s without a permit: %v, want 500", verb, err)
		}
		for other := range calls {
			if other == verb {
				continue
			}
			if err := call(t.Context(), c.permit(t, other, maps+"/m")); code(err) != 500 {
				t.Errorf("%s with a permit to %s: %v, want 500", verb, other, err)
			}
		}
	}
	if after, err := c.client.Get(t.Context(), "/registry"); err != nil || after.Header.Revision != before.Header.Revision {
		t.Errorf("something was stored: %v", err)
	}
}

// TestScopes checks that a path names what it is allowed to name and nothing else.
func TestScopes(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	c.must(t, "create", "/api/v1/nodes", `{"metadata":{"name":"n"}}`)
	for name, tc := range map[string]struct {
		verb, path string
		code       int
	}{
		"node in a namespace":          {"get", "/api/v1/namespaces/default/nodes/n", 404},
		"delete node in a namespace":   {"delete", "/api/v1/namespaces/default/nodes/n", 404},
		"create node in a namespace":   {"create", "/api/v1/namespaces/default/nodes", 404},
		"config map without namespace": {"get", "/api/v1/configmaps/m", 404},
		"delete without namespace":     {"delete", "/api/v1/configmaps/m", 404},
		"update without namespace":     {"update", "/api/v1/configmaps/m", 404},
		"create without namespace":     {"create", "/api/v1/configmaps", 405},
		"create on an object":          {"create", maps + "/m", 405},
		"create a review on a name":    {"create", "/apis/authorization.k8s.io/v1/subjectaccessreviews/x", 405},
		"review in a namespace":        {"create", "/apis/authorization.k8s.io/v1/namespaces/default/subjectaccessreviews", 404},
		"update of a collection":       {"update", maps, 405},
		"patch of a collection":        {"patch", maps, 405},
		"get of a review":              {"get", "/apis/authentication.k8s.io/v1/tokenreviews/x", 405},
		"unknown resource":             {"get", "/api/v1/namespaces/default/nosuch/x", 404},
		"unknown version":              {"get", "/api/v2/namespaces/default/pods/x", 404},
		"unknown subresource":          {"get", maps + "/m/nosuch", 404},
		"verb of a subresource":        {"delete", "/api/v1/namespaces/default/pods/m/status", 405},
		"below a subresource":          {"get", "/api/v1/namespaces/default/pods/m/status/x", 404},
	} {
		r := request{verb: tc.verb, path: tc.path, body: `{"metadata":{"name":"other"}}`, contentType: defaultType(tc.verb)}
		info := target(tc.verb, tc.path)
		if strings.HasSuffix(tc.path, "/status/x") {
			info.Tail = []string{"x"}
		}
		var err error
		if info.Tail != nil {
			_, err = c.Get(t.Context(), authz.System("test", info), "")
		} else {
			_, err = c.do(t, r)
		}
		if code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	p := c.permit(t, "deletecollection", "/api/v1/configmaps")
	if _, err := c.DeleteCollection(t.Context(), p, resource.ListOptions{}, metav1.DeleteOptions{}, resource.Write{}); code(err) != 405 {
		t.Errorf("deletecollection across namespaces: %v", err)
	}
}

// guard is an admission plugin that notes what it sees and refuses objects annotated so.
type guard struct {
	mu   sync.Mutex // guards seen
	seen []admission.Attributes
	move string // namespace that Mutate moves objects to
}

func (g *guard) Mutate(_ context.Context, a *admission.Attributes) error {
	if o, ok := a.Object.(metav1.Object); ok && g.move != "" {
		o.SetNamespace(g.move)
	}
	return nil
}

func (g *guard) Validate(_ context.Context, a *admission.Attributes) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, *a)
	if o, ok := a.Object.(metav1.Object); ok && o.GetAnnotations()["refuse"] != "" {
		return api.Forbidden(a.Resource.GroupResource(), a.Name, errors.New("refused"))
	}
	return nil
}

// TestAdmissionSeesEveryPath sends the same refused annotation along every way of writing, and compares the old object with the stored one.
func TestAdmissionSeesEveryPath(t *testing.T) {
	g := &guard{}
	c := start(t, func(cfg *resource.Config, _ *cluster) {
		cfg.Admission = &admission.Chain{Mutators: []admission.Mutator{g}, Validators: []admission.Validator{g}}
	})
	c.must(t, "create", deps, body(typeOf(t, c, "apps", "v1", "deployments"), "d"))
	c.must(t, "create", pods, body(typeOf(t, c, "", "v1", "pods"), "p"))
	c.must(t, "create", "/apis/certificates.k8s.io/v1/certificatesigningrequests", `{"metadata":{"name":"c"}`+certificateRequest(t)+`}`)
	stored := c.must(t, "get", deps+"/d", "")
	refused := func(metadata string) string {
		return `{"metadata":{` + metadata + `,"annotations":{"refuse":"x"}}` + minimal["Deployment"] + `}`
	}
	requests := []request{
		{verb: "create", path: deps, body: refused(`"name":"e"`)},
		{verb: "create", path: deps, body: refused(`"generateName":"e"`)},
		{verb: "update", path: "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", body: `{"metadata":{"name":"l","annotations":{"refuse":"x"}}}`},
		{verb: "create", path: pods + "/p/binding", body: `{"metadata":{"name":"p","annotations":{"refuse":"x"}},"target":{"name":"n"}}`},
		{verb: "update", path: "/apis/certificates.k8s.io/v1/certificatesigningrequests/c/status", body: `{"metadata":{"name":"c","annotations":{"refuse":"x"}}}`},
		{verb: "update", path: "/apis/certificates.k8s.io/v1/certificatesigningrequests/c/approval", body: `{"metadata":{"name":"c","annotations":{"refuse":"x"}}}`},
		{verb: "create", path: pods + "/p/eviction", body: `{"metadata":{"name":"p","annotations":{"refuse":"x"}}}`},
		{verb: "update", path: "/api/v1/namespaces/other/finalize", body: `{"metadata":{"name":"other","annotations":{"refuse":"x"}}}`},
		{
			verb: "patch", path: deps + "/d", contentType: "application/apply-patch+yaml", write: resource.Write{Options: resource.WriteOptions{FieldManager: "m"}},
			body: `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","annotations":{"refuse":"x"}}}`,
		},
	}
	for _, sub := range []string{"", "/status"} {
		requests = append(requests, request{verb: "update", path: deps + "/d" + sub, body: refused(`"name":"d"`)})
		for contentType, patch := range patches("/metadata/annotations", `{"refuse":"x"}`) {
			requests = append(requests, request{verb: "patch", path: deps + "/d" + sub, contentType: contentType, body: patch})
		}
	}
	for _, r := range requests {
		g.seen = nil
		if _, err := c.do(t, r); code(err) != 403 {
			t.Errorf("%s %s %s: %v, want 403", r.verb, r.path, r.contentType, err)
			continue
		}
		a := g.seen[len(g.seen)-1]
		if _, ok := a.OldObject.(*corev1.Pod); ok || !strings.HasPrefix(r.path, deps+"/d") {
			continue
		}
		old, err := json.Marshal(a.OldObject)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(object(t, []byte(strings.Replace(stored, `"kind":"Deployment","apiVersion":"apps/v1",`, "", 1))), object(t, old)); diff != "" {
			t.Errorf("%s %s: the old object is not the stored one:\n%s", r.verb, r.path, diff)
		}
	}
	for _, r := range []request{
		// The status cannot change labels and leaves the object as it is: admission is asked all the same.
		{verb: "patch", path: deps + "/d/status", contentType: merge, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{verb: "patch", path: deps + "/d", contentType: merge, body: `{}`},
		{verb: "patch", path: pods + "/p/ephemeralcontainers", contentType: merge, body: `{}`},
		{verb: "patch", path: pods + "/p/resize", contentType: merge, body: `{}`},
		{verb: "update", path: deps + "/d/scale", body: `{"metadata":{"name":"d"},"spec":{"replicas":7}}`},
		{verb: "delete", path: deps + "/d"},
	} {
		g.seen = nil
		if _, err := c.do(t, r); err != nil || len(g.seen) == 0 || g.seen[0].OldObject == nil || !strings.Contains(r.path+"/", "s/"+g.seen[0].Name+"/") || g.seen[0].Namespace != "default" {
			t.Errorf("%s %s passed admission as %+v, %v", r.verb, r.path, g.seen, err)
		}
	}
	g.move = "other"
	for _, r := range []request{
		{verb: "create", path: maps, body: `{"metadata":{"name":"m"}}`},
		{verb: "patch", path: pods + "/p", contentType: merge, body: `{"metadata":{"labels":{"a":"b"}}}`},
	} {
		if _, err := c.do(t, r); err == nil {
			t.Errorf("%s: a mutation took the object to another namespace", r.verb)
		}
	}
}

// namer names what has no name yet.
type namer struct{ seen, name string }

func (n *namer) Mutate(_ context.Context, a *admission.Attributes) error {
	o := a.Object.(resource.Object)
	if n.seen = a.Name + o.GetName(); n.name != "" {
		o.SetName(n.name)
	}
	return nil
}

// Names are generated after mutating admission, which may choose one; validating admission sees it.
func TestNamesAreGeneratedLate(t *testing.T) {
	n, g := &namer{}, &guard{}
	c := start(t, func(cfg *resource.Config, _ *cluster) {
		cfg.Admission = &admission.Chain{Mutators: []admission.Mutator{n}, Validators: []admission.Validator{g}}
	})
	generated := at(t, c.must(t, "create", maps, `{"metadata":{"generateName":"g-"}}`), "metadata.name")
	if last := g.seen[len(g.seen)-1]; n.seen != "" || last.Name != generated || last.Object.(resource.Object).GetName() != generated {
		t.Errorf("mutators saw %q, validators %q of %v", n.seen, last.Name, generated)
	}
	n.name = "chosen"
	if got := at(t, c.must(t, "create", maps, `{"metadata":{"generateName":"g-"}}`), "metadata.name"); got != "chosen" {
		t.Errorf("the name that a mutation chose became %v", got)
	}
	if _, err := c.do(t, request{verb: "create", path: maps, body: `{"metadata":{"name":"given"}}`}); code(err) != 400 {
		t.Errorf("a mutation renamed an object: %v", err)
	}
}

// Who meets a name that is taken is told whether waiting helps.
func TestTakenNames(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	c.must(t, "create", maps, `{"metadata":{"name":"going","finalizers":["a.b/c"]}}`)
	c.must(t, "delete", maps+"/going", "")
	for body, want := range map[string]string{
		`{"name":"m"}`:                       `configmaps "m" already exists`,
		`{"name":"m","generateName":"x"}`:    `configmaps "m" already exists, the server was not able to generate a unique name for the object`,
		`{"name":"going"}`:                   `object is being deleted: configmaps "going" already exists`,
		`{"name":"going","labels":{"a":""}}`: `object is being deleted: configmaps "going" already exists`,
	} {
		_, err := c.do(t, request{verb: "create", path: maps, body: `{"metadata":` + body + `}`})
		if code(err) != 409 || api.ToError(err).Status.Message != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// TestEventTTL checks that events, of both groups, leave etcd by themselves and other objects do not.
func TestEventTTL(t *testing.T) {
	c := start(t, func(cfg *resource.Config, _ *cluster) { cfg.EventTTL = time.Hour })
	c.must(t, "create", "/api/v1/namespaces/default/events", `{"metadata":{"name":"core"}}`)
	c.must(t, "create", "/apis/events.k8s.io/v1/namespaces/default/events", `{"metadata":{"name":"new"}`+minimal["events.k8s.io/Event"]+`}`)
	c.must(t, "patch", "/apis/events.k8s.io/v1/namespaces/default/events/new", `{"series":{"count":2,"lastObservedTime":"2026-01-01T00:00:00.000000Z"}}`)
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	for key, want := range map[string]bool{"events/default/core": true, "events/default/new": true, "configmaps/default/m": false} {
		r, err := c.client.Get(t.Context(), "/registry/"+key)
		if err != nil || len(r.Kvs) != 1 {
			t.Fatalf("%s: %v", key, err)
		}
		if leased := r.Kvs[0].Lease != 0; leased != want {
			t.Errorf("%s expires: %v, want %v", key, leased, want)
		}
	}
	if got := c.must(t, "get", "/api/v1/namespaces/default/events/new", ""); at(t, got, "series.count") != 2.0 || at(t, got, "kind") != "Event" || at(t, got, "apiVersion") != "v1" {
		t.Errorf("the event of the other group is %s", got)
	}
}

func TestSecrets(t *testing.T) {
	c := start(t)
	secrets := "/api/v1/namespaces/default/secrets"
	got := c.must(t, "create", secrets, `{"metadata":{"name":"s"},"stringData":{"a":"b"}}`)
	if at(t, got, "type") != "Opaque" || at(t, got, "data.a") != "Yg==" || at(t, got, "stringData") != nil {
		t.Errorf("created as %s", got)
	}
	got = c.must(t, "patch", secrets+"/s", `{"stringData":{"c":"d"},"immutable":true}`)
	if at(t, got, "data.c") != "ZA==" || at(t, got, "data.a") != "Yg==" {
		t.Errorf("patched to %s", got)
	}
	for name, patch := range map[string]string{
		"type": `{"type":"x"}`, "data": `{"stringData":{"c":"e"}}`, "immutable unset": `{"immutable":false}`, "key": `{"stringData":{"a/b":"e"}}`,
	} {
		if _, err := c.do(t, request{verb: "patch", path: secrets + "/s", contentType: merge, body: patch}); code(err) != 422 {
			t.Errorf("%s: %v, want 422", name, err)
		}
	}
	c.must(t, "patch", secrets+"/s", `{"metadata":{"labels":{"a":"b"}}}`)
	big := `{"metadata":{"name":"big"},"data":{"a":"` + strings.Repeat("x", clusterkinds.MaxDataBytes+1) + `"}}`
	if _, err := c.do(t, request{verb: "create", path: maps, body: big}); code(err) != 422 {
		t.Errorf("a config map over its bound: %v", err)
	}
}

// TestCertificateRequests checks that nobody chooses as whom a request is made, nor approves by the wrong way: what each way may not
// write is left as it was or refused, and a refused write leaves everything.
func TestCertificateRequests(t *testing.T) {
	c := start(t)
	csrs := "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	request1 := strings.TrimPrefix(certificateRequest(t), `,"spec":{`)
	got := c.must(t, "create", csrs, `{"metadata":{"name":"c"},"spec":{"username":"root","groups":["system:masters"],"uid":"0","extra":{"a":["b"]},`+request1+`,
		"status":{"conditions":[{"type":"Approved","status":"True"}],"certificate":"YQ=="}}`)
	if at(t, got, "spec.username") != "alice" || fmt.Sprint(at(t, got, "spec.groups")) != "[devs system:authenticated]" || fmt.Sprint(at(t, got, "spec.extra")) != "map[team:[a]]" ||
		at(t, got, "status.conditions") != nil || at(t, got, "status.certificate") != nil {
		t.Errorf("created as %s", got)
	}
	asRoot := `"spec":{"username":"root","usages":["any"],"signerName":"example.com/other"}`
	status := func(certificate string, types ...string) string {
		var list []string
		for _, s := range types {
			list = append(list, `{"type":"`+s+`","status":"True"}`)
		}
		return `{` + asRoot + `,"status":{"certificate":` + certificate + `,"conditions":[` + strings.Join(list, ",") + `]}}`
	}
	issued, other := `"`+certificate(t)+`"`, `"`+certificate(t)+`"`
	for _, step := range []struct {
		name, sub, body string
		code            int
		have            string // the conditions afterwards
		hasCertificate  bool
	}{
		{"the main resource writes neither", "", status(issued, "Approved"), 0, "", false},
		{"the status does not approve", "/status", status("null", "Approved"), 422, "", false},
		{"the status does not deny", "/status", status("null", "Denied", "Failed"), 422, "", false},
		{"approval does not issue", "/approval", status(issued, "Approved"), 0, "Approved", false},
		{"the status does not take back", "/status", status("null"), 422, "Approved", false},
		{"nor does approval", "/approval", status("null", "Other"), 422, "Approved", false},
		{"nor turn it", "/approval", status("null", "Approved", "Denied"), 422, "Approved", false},
		{"the status does not change an approval", "/status", `{"status":{"conditions":[{"type":"Approved","status":"True","reason":"mine"}]}}`, 0, "Approved", false},
		{"what is no certificate is not issued", "/status", status(`"YQ=="`, "Approved"), 422, "Approved", false},
		{"the status issues", "/status", status(issued, "Approved", "Failed"), 0, "Approved Failed", true},
		{"once", "/status", status(other, "Approved", "Failed"), 422, "Approved Failed", true},
		{"and for good", "/status", status("null", "Approved", "Failed"), 422, "Approved Failed", true},
		{"approval leaves that", "/approval", status(other, "Approved", "Failed"), 0, "Approved Failed", true},
	} {
		_, err := c.do(t, request{verb: "patch", path: csrs + "/c" + step.sub, contentType: merge, body: step.body})
		if code(err) != step.code {
			t.Errorf("%s: %v, want %d", step.name, err, step.code)
		}
		got := c.must(t, "get", csrs+"/c", "")
		var have []string
		list, _ := at(t, got, "status.conditions").([]any)
		for _, x := range list {
			condition := x.(map[string]any)
			have = append(have, condition["type"].(string))
			if condition["lastUpdateTime"] == nil || condition["lastTransitionTime"] == nil || condition["reason"] != nil {
				t.Errorf("%s: the condition is %v", step.name, condition)
			}
		}
		if text, ok := at(t, got, "status.certificate").(string); ok != step.hasCertificate || ok && `"`+text+`"` != issued {
			t.Errorf("%s: the certificate is %q", step.name, text)
		}
		if strings.Join(have, " ") != step.have || at(t, got, "spec.username") != "alice" || at(t, got, "spec.signerName") != "example.com/s" || fmt.Sprint(at(t, got, "spec.usages")) != "[client auth]" {
			t.Errorf("%s: %s", step.name, got)
		}
	}
}

// certificateRequest is the spec of a CertificateSigningRequest with a new key, as in [minimal].
func certificateRequest(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return `,"spec":{"request":"` + text + `","signerName":"example.com/s","usages":["client auth"]}`
}

// certificate is a certificate with a new key, as it stands in JSON.
func certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestRoleRef(t *testing.T) {
	c := start(t)
	bindings := "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	c.must(t, "create", bindings, `{"metadata":{"name":"system:b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"r"}}`)
	if _, err := c.do(t, request{verb: "patch", path: bindings + "/system:b", contentType: merge, body: `{"roleRef":{"name":"admin"}}`}); code(err) != 422 {
		t.Errorf("a binding was turned to another role: %v", err)
	}
	for name, metadata := range map[string]string{
		"dots": `{"name":".."}`, "slash": `{"name":"a/b"}`, "control": `{"name":"a\u0000b"}`, "long": `{"name":"` + strings.Repeat("a", 254) + `"}`,
	} {
		if _, err := c.do(t, request{verb: "create", path: bindings, body: `{"metadata":` + metadata + `,"roleRef":{"kind":"ClusterRole","name":"r"}}`}); code(err) != 422 {
			t.Errorf("%s: %v, want 422", name, err)
		}
	}
	ty := typeOf(t, c, "rbac.authorization.k8s.io", "v1", "clusterroles")
	wire := strings.Replace(string(protobufBody(t, ty, `{"metadata":{"name":"a-b"}}`)), "a-b", "a\xffb", 1)
	if _, err := c.do(t, request{verb: "create", path: "/apis/rbac.authorization.k8s.io/v1/clusterroles", contentType: "application/vnd.kubernetes.protobuf", body: wire}); code(err) != 422 {
		t.Errorf("a name that is not UTF-8: %v, want 422", err)
	}
}
