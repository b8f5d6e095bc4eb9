//lint:file-ignore SA1019 OrphanDependents is deprecated for clients; a server has to read it.

package resource_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

const (
	maps  = "/api/v1/namespaces/default/configmaps"
	pods  = "/api/v1/namespaces/default/pods"
	deps  = "/apis/apps/v1/namespaces/default/deployments"
	merge = "application/merge-patch+json"
)

// patches are the content types of patches, each with a body that sets the value at the path.
func patches(path, value string) map[string]string {
	object := value
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(segments) - 1; i >= 0; i-- {
		object = fmt.Sprintf(`{%q:%s}`, segments[i], object)
	}
	return map[string]string{
		"application/json-patch+json":            fmt.Sprintf(`[{"op":"add","path":%q,"value":%s}]`, path, value),
		merge:                                    object,
		"application/strategic-merge-patch+json": object,
	}
}

// TestServerFields checks that a client cannot set what the server decides.
func TestServerFields(t *testing.T) {
	c := start(t)
	got := c.must(t, "create", maps, `{"metadata":{"name":"m","uid":"mine","creationTimestamp":"2001-01-01T00:00:00Z","selfLink":"/x",
		"deletionTimestamp":"2001-01-01T00:00:00Z","deletionGracePeriodSeconds":5,"resourceVersion":""}}`)
	for _, path := range []string{"metadata.selfLink", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds"} {
		if at(t, got, path) != nil {
			t.Errorf("a client set %s: %s", path, got)
		}
	}
	if at(t, got, "metadata.uid") == "mine" || strings.HasPrefix(at(t, got, "metadata.creationTimestamp").(string), "2001") {
		t.Errorf("a client chose uid or creation time: %s", got)
	}
	for name, change := range map[string]string{
		"uid": `{"metadata":{"uid":"other"}}`, "deletionTimestamp": `{"metadata":{"deletionTimestamp":"2001-01-01T00:00:00Z"}}`,
		"grace period": `{"metadata":{"deletionGracePeriodSeconds":5}}`,
		"namespace":    `{"metadata":{"namespace":"other"}}`, "name": `{"metadata":{"name":"other"}}`,
		"apiVersion": `{"apiVersion":"v2"}`, "kind": `{"kind":"Secret"}`, "resourceVersion": `{"metadata":{"resourceVersion":"1"}}`,
	} {
		if r, err := c.do(t, request{verb: "patch", path: maps + "/m", contentType: merge, body: change}); err == nil {
			t.Errorf("a patch changed the %s: %s", name, answer(t, r))
		}
	}
	same := c.must(t, "patch", maps+"/m", `{"metadata":{"creationTimestamp":"2001-01-01T00:00:00Z","generation":7,"selfLink":"/x"}}`)
	if diff := cmp.Diff(got, same); diff != "" {
		t.Errorf("a patch of the server's fields changed the object:\n%s", diff)
	}
	pod := c.must(t, "create", pods, `{"metadata":{"name":"p","generation":7},"spec":{"containers":[{"name":"c","image":"i"}]},"status":{"phase":"Running","hostIP":"1.2.3.4"}}`)
	if at(t, pod, "metadata.generation") != 1.0 || at(t, pod, "status.phase") != "Pending" || at(t, pod, "status.hostIP") != nil {
		t.Errorf("a client chose generation or status of a new pod: %s", pod)
	}
}

// TestStatusIsSeparate checks for every type with a status that neither side can write the other, by any way of writing.
func TestStatusIsSeparate(t *testing.T) {
	c := start(t)
	for _, ty := range c.table.Types() {
		if _, ok := ty.Subresource("status"); !ok || ty.Resource == "nodes" {
			continue
		}
		t.Run(ty.Group+"."+ty.Version+"."+ty.Resource, func(t *testing.T) {
			name := nameFor(ty, "s")
			c.must(t, "create", collection(ty), body(ty, name))
			path := objectPath(ty, name)
			before := c.must(t, "get", path, "")
			for contentType, patch := range patches("/status", `{"observedGeneration":7,"phase":"Odd","conditions":[],"atProvider":1}`) {
				// Types differ in what their status holds; what one does not know is only warned of.
				if _, err := c.do(t, request{verb: "patch", path: path, contentType: contentType, body: patch}); err != nil {
					t.Errorf("%s: %v", contentType, err)
				}
			}
			after := c.must(t, "get", path, "")
			if diff := cmp.Diff(at(t, before, "status"), at(t, after, "status")); diff != "" {
				t.Errorf("the status was written through the object:\n%s", diff)
			}
			for contentType, patch := range patches("/spec", `{}`) {
				if strings.HasPrefix(contentType, "application/json") {
					patch = strings.Replace(patch, `"add"`, `"remove"`, 1)
					if at(t, before, "spec") == nil {
						continue
					}
				} else {
					patch = `{"spec":null}`
				}
				if _, err := c.do(t, request{verb: "patch", path: path + "/status", contentType: contentType, body: patch}); err != nil {
					t.Errorf("status by %s: %v", contentType, err)
				}
			}
			version := at(t, c.must(t, "get", path, ""), "metadata.resourceVersion")
			c.must(t, "update", path+"/status", fmt.Sprintf(`{"metadata":{"name":%q,"resourceVersion":%q}}`, name, version))
			last := c.must(t, "get", path, "")
			if diff := cmp.Diff(at(t, before, "spec"), at(t, last, "spec")); diff != "" {
				t.Errorf("the spec was written through the status:\n%s", diff)
			}
			if diff := cmp.Diff(at(t, before, "metadata.generation"), at(t, last, "metadata.generation")); diff != "" {
				t.Errorf("a change of the status counts as a generation:\n%s", diff)
			}
			c.must(t, "delete", path, "")
		})
	}
}

// TestStatusKeepsMetadata checks that who may write the status cannot free an object of what holds it.
func TestStatusKeepsMetadata(t *testing.T) {
	c := start(t)
	c.must(t, "create", deps, `{"metadata":{"name":"d","finalizers":["a.b/c"],"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u"}]},
		"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`)
	got := c.must(t, "patch", deps+"/d/status", `{"metadata":{"finalizers":null,"ownerReferences":null},"status":{"replicas":3}}`)
	if at(t, got, "metadata.finalizers") == nil || at(t, got, "metadata.ownerReferences") == nil || at(t, got, "status.replicas") != 3.0 {
		t.Errorf("the status patch left %s", got)
	}
}

func TestGeneration(t *testing.T) {
	c := start(t)
	generation := func(text string) any { return at(t, text, "metadata.generation") }
	got := []any{
		generation(c.must(t, "create", deps, body(typeOf(t, c, "apps", "v1", "deployments"), "d"))),
		generation(c.must(t, "patch", deps+"/d", `{"metadata":{"labels":{"a":"b"}}}`)),
		generation(c.must(t, "patch", deps+"/d", `{"spec":{"replicas":5}}`)),
		generation(c.must(t, "patch", deps+"/d", `{"metadata":{"generation":99}}`)),
		generation(c.must(t, "patch", deps+"/d/status", `{"status":{"replicas":5}}`)),
	}
	if diff := cmp.Diff([]any{1.0, 1.0, 2.0, 2.0, 2.0}, got); diff != "" {
		t.Errorf("generations (-want +got):\n%s", diff)
	}
}

func typeOf(t testing.TB, c *cluster, group, version, res string) *resource.Type {
	t.Helper()
	ty, ok := c.table.Lookup(group, version, res)
	if !ok {
		t.Fatalf("no %s/%s %s", group, version, res)
	}
	return ty
}

func TestPodStaysItself(t *testing.T) {
	c := start(t)
	c.must(t, "create", pods, `{"metadata":{"name":"p"},"spec":{"schedulingGates":[{"name":"a.b/g"}],"tolerations":[{"key":"a"}],"containers":[{"name":"c","image":"i"}]}}`)
	for name, spec := range map[string]string{
		"node": `{"nodeName":"n"}`, "account": `{"serviceAccountName":"x"}`, "host network": `{"hostNetwork":true}`,
		"container":         `{"containers":[{"name":"c","image":"i","securityContext":{"privileged":true}}]}`,
		"another container": `{"containers":[{"name":"c","image":"i"},{"name":"d","image":"i"}]}`, "toleration removed": `{"tolerations":null}`,
		"gate added": `{"schedulingGates":[{"name":"a.b/g"},{"name":"a.b/h"}]}`,
	} {
		if _, err := c.do(t, request{verb: "patch", path: pods + "/p", contentType: merge, body: `{"spec":` + spec + `}`}); code(err) != 422 {
			t.Errorf("%s: %v, want 422", name, err)
		}
	}
	for name, spec := range map[string]string{
		"image": `{"containers":[{"name":"c","image":"j"}]}`, "toleration added": `{"tolerations":[{"key":"a"},{"key":"b"}]}`,
		"deadline": `{"activeDeadlineSeconds":5}`, "gate removed": `{"schedulingGates":null}`,
	} {
		if _, err := c.do(t, request{verb: "patch", path: pods + "/p", contentType: merge, body: `{"spec":` + spec + `}`}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBinding(t *testing.T) {
	c := start(t)
	c.must(t, "create", pods, body(typeOf(t, c, "", "v1", "pods"), "p"))
	for name, tc := range map[string]struct {
		body string
		code int
	}{
		"no node":       {`{"metadata":{"name":"p"},"target":{"kind":"Node"}}`, 422},
		"not a node":    {`{"metadata":{"name":"p"},"target":{"kind":"Pod","name":"n"}}`, 422},
		"no pod":        {`{"target":{"name":"n"}}`, 400},
		"another pod":   {`{"metadata":{"name":"q"},"target":{"name":"n"}}`, 400},
		"another space": {`{"metadata":{"name":"p","namespace":"other"},"target":{"name":"n"}}`, 400},
		"another uid":   {`{"metadata":{"name":"p","uid":"x"},"target":{"name":"n"}}`, 409},
	} {
		if _, err := c.do(t, request{verb: "create", path: pods + "/p/binding", body: tc.body}); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	dry := request{verb: "create", path: pods + "/p/binding", body: `{"metadata":{"name":"p"},"target":{"name":"n"}}`}
	dry.write.Options.DryRun = true
	if _, err := c.do(t, dry); err != nil {
		t.Error(err)
	}
	if at(t, c.must(t, "get", pods+"/p", ""), "spec.nodeName") != nil {
		t.Error("a dry run bound the pod")
	}
	c.must(t, "create", pods+"/p/binding", `{"metadata":{"name":"p","annotations":{"a":"b"}},"target":{"name":"n"}}`)
	got := c.must(t, "get", pods+"/p", "")
	if at(t, got, "spec.nodeName") != "n" || at(t, got, "metadata.annotations.a") != "b" || at(t, got, "metadata.generation") != 1.0 {
		t.Errorf("after the binding: %s", got)
	}
	if _, err := c.do(t, request{verb: "create", path: pods + "/p/binding", body: `{"metadata":{"name":"p"},"target":{"name":"m"}}`}); code(err) != 409 {
		t.Errorf("a bound pod was bound again: %v", err)
	}
}

// TestBindings binds by the resource of that name, where the body says which pod.
func TestBindings(t *testing.T) {
	c := start(t)
	c.must(t, "create", pods, body(typeOf(t, c, "", "v1", "pods"), "p"))
	path := "/api/v1/namespaces/default/bindings"
	for name, tc := range map[string]struct {
		body string
		code int
	}{
		"no pod":        {`{"target":{"name":"n"}}`, 400},
		"missing pod":   {`{"metadata":{"name":"q"},"target":{"name":"n"}}`, 404},
		"another space": {`{"metadata":{"name":"p","namespace":"other"},"target":{"name":"n"}}`, 400},
	} {
		if _, err := c.do(t, request{verb: "create", path: path, body: tc.body}); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	c.must(t, "create", path, `{"metadata":{"name":"p"},"target":{"name":"n"}}`)
	if got := c.must(t, "get", pods+"/p", ""); at(t, got, "spec.nodeName") != "n" {
		t.Errorf("after the binding: %s", got)
	}
}

func TestScale(t *testing.T) {
	c := start(t)
	c.must(t, "create", deps, body(typeOf(t, c, "apps", "v1", "deployments"), "d"))
	if got := c.must(t, "get", deps+"/d/scale", ""); at(t, got, "spec.replicas") != 2.0 || at(t, got, "status.selector") != "a=b" {
		t.Errorf("the scale is %s", got)
	}
	for name, tc := range map[string]struct {
		verb, body string
		code       int
	}{
		"negative":      {"update", `{"metadata":{"name":"d"},"spec":{"replicas":-1}}`, 422},
		"nameless":      {"update", `{"spec":{"replicas":1}}`, 400},
		"another name":  {"update", `{"metadata":{"name":"e"},"spec":{"replicas":1}}`, 400},
		"renamed":       {"patch", `{"metadata":{"name":"e"}}`, 400},
		"old revision":  {"update", `{"metadata":{"name":"d","resourceVersion":"1"},"spec":{"replicas":1}}`, 409},
		"another uid":   {"update", `{"metadata":{"name":"d","uid":"x"},"spec":{"replicas":1}}`, 409},
		"wrong kind":    {"update", `{"kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":1}}`, 400},
		"another space": {"update", `{"metadata":{"name":"d","namespace":"other"},"spec":{"replicas":1}}`, 400},
	} {
		if _, err := c.do(t, request{verb: tc.verb, path: deps + "/d/scale", contentType: defaultType(tc.verb), body: tc.body}); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	c.must(t, "update", deps+"/d/scale", `{"metadata":{"name":"d"},"spec":{"replicas":4}}`)
	for contentType, patch := range patches("/spec/replicas", "6") {
		if _, err := c.do(t, request{verb: "patch", path: deps + "/d/scale", contentType: contentType, body: patch}); err != nil {
			t.Errorf("%s: %v", contentType, err)
		}
	}
	if got := c.must(t, "get", deps+"/d", ""); at(t, got, "spec.replicas") != 6.0 || at(t, got, "metadata.generation") != 3.0 {
		t.Errorf("the deployment is %s", got)
	}
}

// TestDeletion walks through what can stand between a delete and the end of an object.
func TestDeletion(t *testing.T) {
	c := start(t)
	fin := maps + "/fin"
	c.must(t, "create", maps, `{"metadata":{"name":"fin","finalizers":["a.b/c"]}}`)
	first := c.must(t, "delete", fin, "")
	if at(t, first, "metadata.deletionTimestamp") == nil || at(t, first, "metadata.deletionGracePeriodSeconds") != 0.0 {
		t.Errorf("a held object answers %s", first)
	}
	if again := c.must(t, "delete", fin, ""); again != first {
		t.Errorf("a second delete changed the object: %s", cmp.Diff(first, again))
	}
	if _, err := c.do(t, request{verb: "patch", path: fin, contentType: merge, body: `{"metadata":{"finalizers":["a.b/c","a.b/d"]}}`}); code(err) != 422 {
		t.Errorf("a finalizer was added to an object that is being deleted: %v", err)
	}
	last := c.must(t, "patch", fin, `{"metadata":{"finalizers":null}}`)
	if at(t, last, "kind") != "ConfigMap" || at(t, last, "metadata.resourceVersion") != at(t, first, "metadata.resourceVersion") {
		t.Errorf("the patch that ends an object answers %s", last)
	}
	if _, err := c.do(t, request{verb: "get", path: fin}); code(err) != 404 {
		t.Errorf("without finalizers the object is still there: %v", err)
	}
	foreground := metav1.DeletePropagationForeground
	c.must(t, "create", maps, `{"metadata":{"name":"fg"}}`)
	if _, err := c.do(t, request{verb: "delete", path: maps + "/fg", delete: metav1.DeleteOptions{PropagationPolicy: &foreground}}); err != nil {
		t.Error(err)
	}
	if got := c.must(t, "get", maps+"/fg", ""); fmt.Sprint(at(t, got, "metadata.finalizers")) != "[foregroundDeletion]" {
		t.Errorf("after a foreground delete: %s", got)
	}
	no := false
	c.must(t, "create", maps, `{"metadata":{"name":"held","finalizers":["a.b/c"]}}`)
	r, err := c.do(t, request{verb: "delete", path: maps + "/held", delete: metav1.DeleteOptions{OrphanDependents: &no}})
	if err != nil || r.Code != 202 {
		t.Errorf("an unfinished delete with orphanDependents=false answers %d, %v", r.Code, err)
	}
	r, err = c.do(t, request{verb: "delete", path: maps + "/fg", delete: metav1.DeleteOptions{PropagationPolicy: &foreground}})
	if err != nil || r.Item == nil {
		t.Errorf("the same delete again answers %+v, %v", r, err)
	}
	background := metav1.DeletePropagationBackground
	r, err = c.do(t, request{verb: "delete", path: maps + "/fg", delete: metav1.DeleteOptions{PropagationPolicy: &background}})
	if err != nil || r.Item != nil {
		t.Errorf("a delete that lets go of the dependents answers %+v, %v", r, err)
	}
	if _, err := c.do(t, request{verb: "get", path: maps + "/fg"}); code(err) != 404 {
		t.Errorf("after it: %v", err)
	}
}

// A client that lost what it read must not delete what has the name now.
func TestEmptyPreconditions(t *testing.T) {
	c := start(t)
	c.must(t, "create", maps, `{"metadata":{"name":"p"}}`)
	uid, version, zero := types.UID(""), "", "0"
	for name, p := range map[string]metav1.Preconditions{
		"an empty uid": {UID: &uid}, "an empty version": {ResourceVersion: &version}, "version 0": {ResourceVersion: &zero},
	} {
		_, err := c.do(t, request{verb: "delete", path: maps + "/p", delete: metav1.DeleteOptions{Preconditions: &p}})
		if code(err) != 409 {
			t.Errorf("%s: %v, want 409", name, err)
		}
	}
	if _, err := c.do(t, request{verb: "get", path: maps + "/p"}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestGracefulDeletion(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	c := start(t, func(cfg *resource.Config, _ *cluster) { cfg.Now = func() time.Time { return now } })
	c.must(t, "create", pods, `{"metadata":{"name":"p"},"spec":{"nodeName":"n","terminationGracePeriodSeconds":20,"containers":[{"name":"c","image":"i"}]}}`)
	for _, step := range []struct {
		grace      *int64
		at         string
		generation float64
	}{
		{nil, "2026-01-02T03:04:25Z", 2}, {ptr(40), "2026-01-02T03:04:25Z", 2}, {ptr(5), "2026-01-02T03:04:10Z", 2}, {ptr(-3), "2026-01-02T03:04:06Z", 2},
	} {
		if _, err := c.do(t, request{verb: "delete", path: pods + "/p", delete: metav1.DeleteOptions{GracePeriodSeconds: step.grace}}); err != nil {
			t.Fatal(err)
		}
		got := c.must(t, "get", pods+"/p", "")
		if at(t, got, "metadata.deletionTimestamp") != step.at || at(t, got, "metadata.generation") != step.generation {
			t.Errorf("grace %v: %s", step.grace, got)
		}
	}
	c.must(t, "patch", pods+"/p/status", `{"status":{"phase":"Succeeded"}}`)
	if _, err := c.do(t, request{verb: "delete", path: pods + "/p", delete: metav1.DeleteOptions{GracePeriodSeconds: ptr(0)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.do(t, request{verb: "get", path: pods + "/p"}); code(err) != 404 {
		t.Errorf("a pod deleted without grace is still there: %v", err)
	}
}

func ptr(n int64) *int64 { return &n }

func TestPreconditions(t *testing.T) {
	c := start(t)
	made := c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	uid, version := types.UID(at(t, made, "metadata.uid").(string)), at(t, made, "metadata.resourceVersion").(string)
	wrong, old := types.UID("x"), "1"
	for name, p := range map[string]metav1.Preconditions{"uid": {UID: &wrong}, "version": {ResourceVersion: &old}, "one of both": {UID: &uid, ResourceVersion: &old}} {
		if _, err := c.do(t, request{verb: "delete", path: maps + "/m", delete: metav1.DeleteOptions{Preconditions: &p}}); code(err) != 409 {
			t.Errorf("%s: %v, want 409", name, err)
		}
	}
	p := metav1.Preconditions{UID: &uid, ResourceVersion: &version}
	if _, err := c.do(t, request{verb: "delete", path: maps + "/m", delete: metav1.DeleteOptions{Preconditions: &p}}); err != nil {
		t.Error(err)
	}
}

// A collection is deleted as it was at the revision that the client names, as the reference reads it in pages.
func TestDeleteCollectionAtRevision(t *testing.T) {
	c := start(t)
	made := c.must(t, "create", maps, `{"metadata":{"name":"before"}}`)
	c.must(t, "create", maps, `{"metadata":{"name":"after"}}`)
	version := at(t, made, "metadata.resourceVersion").(string)
	p := c.permit(t, "deletecollection", maps)
	if _, err := c.DeleteCollection(t.Context(), p, resource.ListOptions{ResourceVersion: version}, metav1.DeleteOptions{}, resource.Write{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"before": 404, "after": 0} {
		if _, err := c.do(t, request{verb: "get", path: maps + "/" + name}); code(err) != want {
			t.Errorf("%s: %v, want %d", name, err, want)
		}
	}
}

// Events have no dependents to wait for, whatever the client asks for.
func TestEventsWithoutDependents(t *testing.T) {
	c := start(t)
	events := "/api/v1/namespaces/default/events"
	c.must(t, "create", events, `{"metadata":{"name":"e"}}`)
	foreground := metav1.DeletePropagationForeground
	if _, err := c.do(t, request{verb: "delete", path: events + "/e", delete: metav1.DeleteOptions{PropagationPolicy: &foreground}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.do(t, request{verb: "get", path: events + "/e"}); code(err) != 404 {
		t.Errorf("a deleted event is still there: %v", err)
	}
}

// A namespace whose dependents the client wants gone first waits for them.
func TestNamespaceWithDependents(t *testing.T) {
	c := start(t)
	c.must(t, "create", "/api/v1/namespaces", `{"metadata":{"name":"n"}}`)
	no := false
	if _, err := c.do(t, request{verb: "delete", path: "/api/v1/namespaces/n", delete: metav1.DeleteOptions{OrphanDependents: &no}}); err != nil {
		t.Fatal(err)
	}
	if got := c.must(t, "get", "/api/v1/namespaces/n", ""); fmt.Sprint(at(t, got, "metadata.finalizers")) != "[foregroundDeletion]" {
		t.Errorf("finalizers in %s", got)
	}
}

func TestDefaultPropagation(t *testing.T) {
	c := start(t)
	jobs := "/apis/batch/v1/namespaces/default/jobs"
	c.must(t, "create", jobs, body(typeOf(t, c, "batch", "v1", "jobs"), "j"))
	warnings := &api.Warnings{}
	if _, err := c.do(t, request{verb: "delete", path: jobs + "/j", write: resource.Write{Warnings: warnings}}); err != nil {
		t.Fatal(err)
	}
	if got := c.must(t, "get", jobs+"/j", ""); fmt.Sprint(at(t, got, "metadata.finalizers")) != "[orphan]" || len(warnings.List()) != 1 {
		t.Errorf("the pods of a deleted job are not kept: %s, warnings %q", got, warnings.List())
	}
	all := &api.Warnings{}
	if _, err := c.DeleteCollection(t.Context(), c.permit(t, "deletecollection", jobs), resource.ListOptions{}, metav1.DeleteOptions{}, resource.Write{Warnings: all}); err != nil || len(all.List()) != 1 {
		t.Errorf("who deletes all jobs is not told about their pods: %v, warnings %q", err, all.List())
	}
}

func TestNamespace(t *testing.T) {
	c := start(t)
	ns := "/api/v1/namespaces/n"
	got := c.must(t, "create", "/api/v1/namespaces", `{"metadata":{"name":"n","labels":{"kubernetes.io/metadata.name":"other"}},"spec":{"finalizers":["a.b/c"]}}`)
	if at(t, got, "metadata.labels").(map[string]any)["kubernetes.io/metadata.name"] != "n" || fmt.Sprint(at(t, got, "spec.finalizers")) != "[a.b/c kubernetes]" {
		t.Errorf("created as %s", got)
	}
	got = c.must(t, "patch", ns, `{"spec":{"finalizers":[]},"metadata":{"labels":{"kubernetes.io/metadata.name":"other"}}}`)
	if fmt.Sprint(at(t, got, "spec.finalizers")) != "[a.b/c kubernetes]" || at(t, got, "metadata.labels").(map[string]any)["kubernetes.io/metadata.name"] != "n" {
		t.Errorf("a patch freed the namespace or renamed its label: %s", got)
	}
	c.must(t, "create", "/api/v1/namespaces/n/configmaps", `{"metadata":{"name":"m"}}`)
	if got := c.must(t, "delete", ns, ""); at(t, got, "status.phase") != "Terminating" {
		t.Errorf("deleted as %s", got)
	}
	if _, err := c.do(t, request{verb: "create", path: "/api/v1/namespaces/n/configmaps", body: `{"metadata":{"name":"late"}}`}); code(err) != 403 {
		t.Errorf("an object was created in a namespace that is going: %v", err)
	}
	c.must(t, "update", ns+"/finalize", `{"metadata":{"name":"n"},"spec":{"finalizers":["kubernetes"]}}`)
	c.must(t, "get", ns, "")
	c.must(t, "update", ns+"/finalize", `{"metadata":{"name":"n"}}`)
	if _, err := c.do(t, request{verb: "get", path: ns}); code(err) != 404 {
		t.Errorf("a finalized namespace is still there: %v", err)
	}
}

func TestGenerateName(t *testing.T) {
	c := start(t)
	seen := map[any]bool{}
	for range 3 {
		got := c.must(t, "create", maps, `{"metadata":{"generateName":"`+strings.Repeat("a", 70)+`"}}`)
		name := at(t, got, "metadata.name").(string)
		if len(name) != 63 || seen[name] {
			t.Errorf("generated %q", name)
		}
		seen[name] = true
	}
	ns := c.must(t, "create", "/api/v1/namespaces", `{"metadata":{"generateName":"n-"}}`)
	if label := at(t, ns, "metadata.labels").(map[string]any)["kubernetes.io/metadata.name"]; label != at(t, ns, "metadata.name") {
		t.Errorf("the label says %v: %s", label, ns)
	}
	if _, err := c.do(t, request{verb: "create", path: maps, body: `{"metadata":{"generateName":"_"}}`}); code(err) != 422 {
		t.Errorf("a bad base: %v", err)
	}
}

func TestCreateByUpdate(t *testing.T) {
	leases := "/apis/coordination.k8s.io/v1/namespaces/default/leases"
	var asked []api.RequestInfo
	deny := false
	c := start(t, func(_ *resource.Config, c *cluster) {
		c.chain.Deniers = []authz.Authorizer{decider(func(info api.RequestInfo) (authz.Decision, error) {
			asked = append(asked, info)
			if deny && info.Verb == "create" {
				return authz.Deny, nil
			}
			return authz.NoOpinion, nil
		})}
	})
	r, err := c.do(t, request{verb: "update", path: leases + "/l", body: `{"metadata":{"name":"l","resourceVersion":"5"}}`})
	if err != nil || r.Code != 201 {
		t.Fatalf("a PUT that creates answers %d, %v", r.Code, err)
	}
	if last := asked[len(asked)-1]; last.Verb != "create" || last.Name != "l" || last.Namespace != "default" || last.Resource != "leases" {
		t.Errorf("authorized was %+v", last)
	}
	deny = true
	if _, err := c.do(t, request{verb: "update", path: leases + "/m", body: `{"metadata":{"name":"m"}}`}); code(err) != 403 || !errors.Is(err, authz.ErrDenied) {
		t.Errorf("a PUT created what may not be created: %v", err)
	}
	if _, err := c.do(t, request{verb: "update", path: maps + "/m", body: `{"metadata":{"name":"m"}}`}); code(err) != 404 {
		t.Errorf("a PUT of a kind that is not created so: %v", err)
	}
	if got := names(c.list(t, leases, resource.ListOptions{})); !cmp.Equal(got, []string{"l"}) {
		t.Errorf("leases: %v", got)
	}
}

// decider is an authorizer.
type decider func(api.RequestInfo) (authz.Decision, error)

func (d decider) Authorize(_ context.Context, _ api.User, info api.RequestInfo) (authz.Decision, string, error) {
	decision, err := d(info)
	return decision, "decided", err
}

// TestComponentStatuses reads what is computed and not stored.
func TestComponentStatuses(t *testing.T) {
	down := errors.New("dial 10.0.0.1: secret address")
	c := start(t, func(conf *resource.Config, _ *cluster) {
		conf.Components = []resource.Component{
			{Name: "etcd-0", Check: func(context.Context) error { return nil }},
			{Name: "etcd-1", Check: func(context.Context) error { return down }},
		}
	})
	const path = "/api/v1/componentstatuses"
	l := c.list(t, path, resource.ListOptions{})
	var out strings.Builder
	if err := l.WriteJSON(&resource.Chunks{W: &out}); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"ComponentStatusList","apiVersion":"v1","metadata":{},"items":[` +
		`{"metadata":{"name":"etcd-0"},"conditions":[{"type":"Healthy","status":"True","message":"ok"}]},` +
		`{"metadata":{"name":"etcd-1"},"conditions":[{"type":"Healthy","status":"False","message":"it does not answer"}]}]}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if one := c.must(t, "get", path+"/etcd-0", ""); at(t, one, "metadata.name") != "etcd-0" {
		t.Errorf("get: %s", one)
	}
	if _, err := c.do(t, request{verb: "get", path: path + "/scheduler"}); code(err) != 404 {
		t.Errorf("a component that is not there: %v", err)
	}
	if _, err := c.do(t, request{verb: "create", path: path, body: `{"metadata":{"name":"x"}}`}); code(err) != 405 {
		t.Errorf("create: %v", err)
	}
}
