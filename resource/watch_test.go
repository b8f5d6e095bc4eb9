package resource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/resource"
)

// watch starts a watch that must start.
func (c *cluster) watch(t testing.TB, path string, o resource.ListOptions) *resource.Watch {
	t.Helper()
	w, err := c.Watch(t.Context(), c.permit(t, "watch", path), o)
	if err != nil {
		t.Fatalf("watch %s: %v", path, err)
	}
	return w
}

// take reads n changes, each as its type and the object's name.
func take(t testing.TB, w *resource.Watch, n int) (got []string, all []resource.Change) {
	t.Helper()
	ctx := within(t)
	var buf []resource.Change
	for len(got) < n {
		var err error
		if buf, err = w.Next(ctx, buf); err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		for _, change := range buf {
			text := change.Type
			if change.Item != nil {
				text += " " + change.Item.Name
			} else if change.InitialEnd {
				text += " initial"
			}
			got, all = append(got, text), append(all, change)
		}
	}
	return got, all
}

func revision(t testing.TB, text string) string {
	t.Helper()
	return at(t, text, "metadata.resourceVersion").(string)
}

// TestWatchTransitions follows objects in and out of a label selector.
func TestWatchTransitions(t *testing.T) {
	c := start(t)
	from := fmt.Sprint(c.list(t, maps, resource.ListOptions{}).Revision)
	c.must(t, "create", maps, `{"metadata":{"name":"live","labels":{"live":"yes"}},"data":{"n":"0"}}`)
	c.must(t, "create", maps, `{"metadata":{"name":"never"}}`)
	c.must(t, "create", "/api/v1/namespaces/other/configmaps", `{"metadata":{"name":"elsewhere","labels":{"live":"yes"}}}`)
	c.must(t, "patch", maps+"/live", `{"data":{"n":"1"}}`)
	left := c.must(t, "patch", maps+"/live", `{"metadata":{"labels":null},"data":{"n":"2"}}`)
	c.must(t, "patch", maps+"/live", `{"data":{"n":"3"}}`)
	c.must(t, "patch", maps+"/live", `{"metadata":{"labels":{"live":"yes"}}}`)
	c.must(t, "delete", maps+"/live", "")
	c.must(t, "create", maps, `{"metadata":{"name":"end","labels":{"live":"yes"}}}`)
	w := c.watch(t, maps, resource.ListOptions{ResourceVersion: from, Labels: selector(t, "live=yes")})
	got, all := take(t, w, 6)
	want := []string{"ADDED live", "MODIFIED live", "DELETED live", "ADDED live", "DELETED live", "ADDED end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("changes (-want +got):\n%s", diff)
	}
	last := all[2].Item // it leaves in its last matching state, at the revision of the change
	if at(t, string(last.JSON), "data.n") != "1" || revision(t, string(last.JSON)) != revision(t, left) || at(t, string(last.JSON), "metadata.labels.live") != "yes" {
		t.Errorf("it left as %s", last.JSON)
	}
}

func TestWatchStarts(t *testing.T) {
	yes, no := true, false
	for name, tc := range map[string]struct {
		path string
		o    resource.ListOptions
		from string // the revision: of "a", or "next"
		want []string
	}{
		"now":               {maps, resource.ListOptions{}, "", []string{"ADDED a", "ADDED b", "ADDED z"}},
		"zero":              {maps, resource.ListOptions{ResourceVersion: "0"}, "", []string{"ADDED a", "ADDED b", "ADDED z"}},
		"after a":           {maps, resource.ListOptions{}, "a", []string{"ADDED b", "ADDED z"}},
		"with bookmarks":    {maps, resource.ListOptions{Bookmarks: true}, "", []string{"ADDED a", "ADDED b", "BOOKMARK initial", "ADDED z"}},
		"initial events":    {maps, resource.ListOptions{InitialEvents: &yes, Match: "NotOlderThan", Bookmarks: true}, "a", []string{"ADDED a", "ADDED b", "BOOKMARK initial", "ADDED z"}},
		"no initial events": {maps, resource.ListOptions{InitialEvents: &no, Match: "NotOlderThan"}, "", []string{"ADDED z", "MODIFIED b"}},
		"events after a":    {maps, resource.ListOptions{InitialEvents: &no, Match: "NotOlderThan"}, "a", []string{"ADDED b", "ADDED z"}},
		"one object":        {maps + "/b", resource.ListOptions{}, "", []string{"ADDED b", "MODIFIED b"}},
		"by name":           {maps, resource.ListOptions{Fields: fieldSelector(t, "metadata.name=b")}, "", []string{"ADDED b", "MODIFIED b"}},
		"all namespaces":    {"/api/v1/configmaps", resource.ListOptions{}, "a", []string{"ADDED b", "ADDED z"}},
		"nothing":           {"/api/v1/namespaces/other/configmaps", resource.ListOptions{Bookmarks: true}, "", []string{"BOOKMARK initial"}},
		"the future":        {maps, resource.ListOptions{}, "next", []string{"MODIFIED b"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			c := start(t)
			from := revision(t, c.must(t, "create", maps, `{"metadata":{"name":"a"}}`))
			c.must(t, "create", maps, `{"metadata":{"name":"b"}}`)
			if tc.from == "next" {
				from = fmt.Sprint(c.list(t, maps, resource.ListOptions{}).Revision + 1)
			}
			if _, err := c.Mirror.Fresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tc.from != "" {
				tc.o.ResourceVersion = from
			}
			w := c.watch(t, tc.path, tc.o)
			c.must(t, "create", maps, `{"metadata":{"name":"z"}}`)
			c.must(t, "patch", maps+"/b", `{"data":{"a":"b"}}`)
			got, _ := take(t, w, len(tc.want))
			if diff := cmp.Diff(tc.want, got[:len(tc.want)]); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWatchRefusals(t *testing.T) {
	c := start(t)
	yes, no := true, false
	for name, tc := range map[string]struct {
		o    resource.ListOptions
		code int
	}{
		"no number":             {resource.ListOptions{ResourceVersion: "x"}, 400},
		"match alone":           {resource.ListOptions{Match: "NotOlderThan"}, 422},
		"events without match":  {resource.ListOptions{InitialEvents: &yes}, 422},
		"events and exact":      {resource.ListOptions{InitialEvents: &no, Match: "Exact"}, 422},
		"unknown field":         {resource.ListOptions{Fields: fieldSelector(t, "a=b")}, 400},
		"initial of the future": {resource.ListOptions{InitialEvents: &yes, Match: "NotOlderThan", ResourceVersion: "999999"}, 504},
	} {
		if _, err := c.Watch(t.Context(), c.permit(t, "watch", maps), tc.o); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	// A server that starts later knows nothing of what was before it, and says so.
	c.must(t, "create", maps, `{"metadata":{"name":"m"}}`)
	late := serve(t, c.client)
	if _, err := late.Watch(t.Context(), late.permit(t, "watch", maps), resource.ListOptions{ResourceVersion: "1"}); code(err) != 410 {
		t.Errorf("from before the history: %v, want 410", err)
	}
}

// TestResume breaks watches off again and again under concurrent writers and goes on from the last revision seen: what the
// changes add up to must be what is stored.
func TestResume(t *testing.T) {
	const writers, writes = 4, 40
	c := start(t)
	from := fmt.Sprint(c.list(t, maps, resource.ListOptions{}).Revision)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range writes {
				name := fmt.Sprintf("w%d-%d", w, n%7)
				for _, r := range []request{
					{verb: "create", path: maps, body: `{"metadata":{"name":"` + name + `"}}`},
					{verb: "patch", path: maps + "/" + name, contentType: merge, body: fmt.Sprintf(`{"data":{"n":"%d"}}`, n)},
				} {
					if _, err := c.do(t, r); err != nil && code(err) != 409 {
						t.Error(err)
					}
				}
				if n%5 == 4 {
					if _, err := c.do(t, request{verb: "delete", path: maps + "/" + name}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
		c.must(t, "create", maps, `{"metadata":{"name":"end"}}`)
	}()
	state := map[string]string{}
	for ended := false; !ended; {
		w := c.watch(t, maps, resource.ListOptions{ResourceVersion: from})
		changes, err := w.Next(within(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range changes[:min(3, len(changes))] { // the rest is lost with the watch
			ended = apply(t, state, change) || ended
			from = fmt.Sprint(change.Item.Revision)
		}
	}
	<-done
	want := map[string]string{}
	for _, i := range c.list(t, maps, resource.ListOptions{}).Items {
		want[i.Name] = string(i.JSON)
	}
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("what the watches add up to (-stored +watched):\n%s", diff)
	}
}

// apply brings a change into the state and reports whether it was the last.
func apply(t *testing.T, state map[string]string, change resource.Change) bool {
	t.Helper()
	name := change.Item.Name
	_, have := state[name]
	if have == (change.Type == "ADDED") {
		t.Errorf("%s of %s, which was there: %v", change.Type, name, have)
	}
	if state[name] = string(change.Item.JSON); change.Type == "DELETED" {
		delete(state, name)
	}
	return name == "end"
}

func TestWatchEnds(t *testing.T) {
	c := start(t)
	w := c.watch(t, "/api/v1/namespaces/other/configmaps", resource.ListOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Next(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled watch ends with %v", err)
	}
}

// TestBookmarksOfWorkloads guards what the reference shows in bookmarks of the kinds whose internal form differs.
func TestBookmarksOfWorkloads(t *testing.T) {
	c := start(t)
	for name, want := range map[string]string{
		"deployments":  `"spec":{"replicas":0,`,
		"replicasets":  `"spec":{"replicas":0,`,
		"statefulsets": `"spec":{"replicas":0,`,
		"daemonsets":   `"annotations":{"deprecated.daemonset.template.generation":"0","k8s.io/initial-events-end":"true"}`,
	} {
		w := c.watch(t, "/apis/apps/v1/"+name, resource.ListOptions{Bookmarks: true})
		_, all := take(t, w, 1)
		if text, err := w.Type.AppendBookmark(nil, all[0]); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: the bookmark is %s, %v; want %s in it", name, text, err, want)
		}
	}
}

func TestBookmarks(t *testing.T) {
	c := start(t)
	w := c.watch(t, maps, resource.ListOptions{Bookmarks: true})
	if b := w.Bookmark(); b.Type != "" {
		t.Error("a bookmark came before the initial end")
	}
	_, all := take(t, w, 1)
	ty := w.Type
	var o corev1.ConfigMap
	text, err := ty.AppendBookmark(nil, all[0])
	if err != nil || json.Unmarshal(text, &o) != nil || o.Kind != "ConfigMap" || o.ResourceVersion == "" || o.Annotations["k8s.io/initial-events-end"] != "true" {
		t.Errorf("the bookmark is %s, %v", text, err)
	}
	whole := text
	var partial metav1.PartialObjectMetadata
	if text, err = ty.AppendPartialBookmark(nil, all[0], resource.MetaV1); err != nil || json.Unmarshal(text, &partial) != nil || partial.Kind != "PartialObjectMetadata" || partial.ResourceVersion != o.ResourceVersion {
		t.Errorf("the partial bookmark is %s, %v", text, err)
	}
	wire, err := ty.AppendProtobufBookmark(nil, all[0])
	var p corev1.ConfigMap
	if err != nil || p.Unmarshal(envelope(t, wire, "v1", "ConfigMap")) != nil || p.ResourceVersion != o.ResourceVersion {
		t.Errorf("the protobuf bookmark is %v, %v", p, err)
	}
	if wire, err = ty.AppendPartialProtobufBookmark(nil, all[0]); err != nil || partial.Unmarshal(envelope(t, wire, "meta.k8s.io/v1", "PartialObjectMetadata")) != nil || partial.ResourceVersion != o.ResourceVersion {
		t.Errorf("the partial protobuf bookmark: %v", err)
	}
	metadata := `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"` + o.ResourceVersion +
		`","annotations":{"k8s.io/initial-events-end":"true"}}}`
	for include, object := range map[resource.IncludeObject]string{
		resource.IncludeMetadata: metadata, resource.IncludeNone: metadata, resource.IncludeWhole: string(whole),
	} {
		table, err := ty.AppendTableBookmark(nil, all[0], resource.TableForm{Version: resource.MetaV1, Include: include}, false, time.Now())
		want := `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"` + o.ResourceVersion + `"},"columnDefinitions":null,` +
			`"rows":[{"cells":["",0,"\u003cunknown\u003e"],"object":` + object + `}]}`
		if diff := cmp.Diff(want, string(table)); err != nil || diff != "" {
			t.Errorf("the bookmark as a table: %v (-want +got)\n%s", err, diff)
		}
	}
	made := c.must(t, "create", "/api/v1/namespaces/other/configmaps", `{"metadata":{"name":"m"}}`)
	if _, err := c.Mirror.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The change is of another namespace: it is passed over, and then the bookmark says so.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Next(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if b := w.Bookmark(); fmt.Sprint(b.Revision) < revision(t, made) {
		t.Errorf("the bookmark is at %d, the last change at %s", b.Revision, revision(t, made))
	}
}

// TestConvertedWatch watches events through the group that does not store them.
func TestConvertedWatch(t *testing.T) {
	c := start(t)
	w := c.watch(t, "/apis/events.k8s.io/v1/namespaces/default/events", resource.ListOptions{Fields: fieldSelector(t, "regarding.name=p")})
	c.must(t, "create", "/api/v1/namespaces/default/events", `{"metadata":{"name":"e"},"involvedObject":{"name":"p"},"message":"hello"}`)
	c.must(t, "delete", "/api/v1/namespaces/default/events/e", "")
	got, all := take(t, w, 2)
	if diff := cmp.Diff([]string{"ADDED e", "DELETED e"}, got); diff != "" {
		t.Fatalf("changes (-want +got):\n%s", diff)
	}
	for _, change := range all {
		text := string(w.Type.AppendObject(nil, change.Item))
		if at(t, text, "note") != "hello" || at(t, text, "apiVersion") != "events.k8s.io/v1" || revision(t, text) != fmt.Sprint(change.Item.Revision) {
			t.Errorf("%s %s", change.Type, text)
		}
	}
}

// TestWatchSkipsBroken follows a collection in which values become unreadable and readable again, as the authorization index
// does: it must go on, and must not keep believing in what it can no longer read.
func TestWatchSkipsBroken(t *testing.T) {
	c := start(t)
	etcd := c.Mirror.Etcd()
	put := func(name, value string, revision int64) int64 {
		t.Helper()
		key := "/registry/configmaps/default/" + name
		var err error
		if revision == 0 {
			revision, err = etcd.Create(t.Context(), key, []byte(value), 0)
		} else {
			revision, _, err = etcd.Update(t.Context(), key, []byte(value), revision, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	broken := put("broken", "junk", 0)
	good := c.must(t, "create", maps, `{"metadata":{"name":"good"}}`)
	if _, err := c.Mirror.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := c.watch(t, maps, resource.ListOptions{SkipBroken: true})
	if got, _ := take(t, w, 1); !cmp.Equal(got, []string{"ADDED good"}) {
		t.Fatalf("the watch began with %v", got)
	}
	var at int64
	if _, err := fmt.Sscan(revision(t, good), &at); err != nil {
		t.Fatal(err)
	}
	put("good", "junk", at)
	put("broken", "other junk", broken)
	c.must(t, "create", maps, `{"metadata":{"name":"last"}}`)
	if got, _ := take(t, w, 2); !cmp.Equal(got, []string{"DELETED good", "ADDED last"}) {
		t.Errorf("then it said %v", got)
	}
}
