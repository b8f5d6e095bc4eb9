package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/server"
)

const (
	protobufType = "application/vnd.kubernetes.protobuf"
	partialOf    = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	partialsOf   = ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	tableOf      = ";as=Table;g=meta.k8s.io;v=v1"
)

// TestNegotiation asks for one object and for a list in every form.
func TestNegotiation(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"cm"},"data":{"a":"b"}}`)
		one := configMaps + "/cm"
		for _, tc := range []struct {
			path, accept string
			code         int
			contentType  string
			kind         string // of the answer, as far as it is text
		}{
			{one, "", 200, "application/json", "ConfigMap"},
			{one, "*/*", 200, "application/json", "ConfigMap"},
			{one, "text/html, application/yaml;q=0.5, application/json;q=0.9", 200, "application/json", "ConfigMap"},
			{one, "application/yaml", 200, "application/yaml", "ConfigMap"},
			{one, "application/json;q=0, application/yaml", 200, "application/yaml", "ConfigMap"},
			{one, protobufType, 200, protobufType, ""},
			{one, "application/json" + partialOf, 200, "application/json", "PartialObjectMetadata"},
			{one, "application/yaml" + partialOf, 200, "application/yaml", "PartialObjectMetadata"},
			{one, protobufType + partialOf, 200, protobufType, ""},
			{one, "application/json" + tableOf, 200, "application/json", "Table"},
			{one, "application/json;as=Table;g=meta.k8s.io;v=v2, application/json", 200, "application/json", "ConfigMap"},
			{one, "application/json;as=Table;g=meta.k8s.io;v=v1beta1", 200, "application/json", "Table"},
			{one, "application/yaml;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1", 200, "application/yaml", "PartialObjectMetadata"},
			{one, protobufType + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1", 406, "application/json", "Status"},
			{configMaps, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1", 200, "application/json", "PartialObjectMetadataList"},
			{one, protobufType + tableOf + ",application/json" + tableOf, 200, "application/json", "Table"},
			{one, "application/json" + partialsOf, 406, "application/json", "Status"},
			{one, "application/json;as=Frob;g=meta.k8s.io;v=v1", 406, "application/json", "Status"},
			{one, "application/json;as=Table;g=other;v=v1", 406, "application/json", "Status"},
			{one, protobufType + tableOf, 406, "application/json", "Status"},
			{one, "text/html", 406, "application/json", "Status"},
			{one, "application/json;q=0", 200, "application/json", "ConfigMap"}, // as in the reference
			{one, "application/*", 406, "application/json", "Status"},           // likewise
			{one, "application/*, application/yaml;q=0.5", 200, "application/yaml", "ConfigMap"},
			{one, "application/yaml;stream=watch, application/json", 200, "application/json", "ConfigMap"},
			{one + "nosuch", protobufType, 404, protobufType, ""},
			{one + "nosuch", "application/yaml", 404, "application/yaml", "Status"},
			{one + "nosuch", "application/json" + tableOf, 404, "application/json", "Status"},
			{one, "nonsense", 406, "application/json", "Status"},
			{one, strings.Repeat("a/b,", 5000), 400, "application/json", "Status"},
			{configMaps, "", 200, "application/json", "ConfigMapList"},
			{configMaps, "application/yaml", 200, "application/yaml", "ConfigMapList"},
			{configMaps, protobufType, 200, protobufType, ""},
			{configMaps, "application/json" + partialsOf, 200, "application/json", "PartialObjectMetadataList"},
			{configMaps, protobufType + partialsOf, 200, protobufType, ""},
			{configMaps, "application/json" + tableOf, 200, "application/json", "Table"},
			{configMaps, "application/yaml" + tableOf, 200, "application/yaml", "Table"},
			{configMaps, "application/json" + partialOf, 406, "application/json", "Status"},
			{configMaps + "?includeObject=Frob", "application/json" + tableOf, 400, "application/json", "Status"},
			{configMaps + "?includeObject=Object", "application/json" + tableOf, 200, "application/json", "Table"},
		} {
			a := h.get(t, tc.path, "Accept", tc.accept)
			if a.err != nil || a.StatusCode != tc.code || a.Header.Get("Content-Type") != tc.contentType {
				t.Errorf("%s as %.60q: %d %s %v: %s", tc.path, tc.accept, a.StatusCode, a.Header.Get("Content-Type"), a.err, a.body)
				continue
			}
			var o metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(a.body), &o); tc.kind != "" && (err != nil || o.Kind != tc.kind) {
				t.Errorf("%s as %.60q is a %s, want %s: %v", tc.path, tc.accept, o.Kind, tc.kind, err)
			}
			if tc.kind == "" && !strings.HasPrefix(a.body, "k8s\x00") {
				t.Errorf("%s as %q: %q", tc.path, tc.accept, a.body)
			}
			if tc.path == one && a.ContentLength != int64(len(a.body)) {
				t.Errorf("%s as %q: Content-Length %d of %d", tc.path, tc.accept, a.ContentLength, len(a.body))
			}
		}
	})
}

// TestMethods checks what a path does not have.
func TestMethods(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		for _, tc := range []struct {
			method, path string
			code         int
		}{
			{"HEAD", configMaps, 405},
			{"HEAD", configMaps + "?watch=1", 405},
			{"OPTIONS", configMaps, 405},
			{"FROB", configMaps, 405},
			{"POST", configMaps + "/cm", 405},
			{"PUT", configMaps, 405},
			{"PATCH", configMaps, 405},
			{"DELETE", "/api/v1/namespaces", 405},
			{"DELETE", "/api/v1/namespaces?gracePeriodSeconds=x&labelSelector=a%20b", 405},
			{"GET", configMaps + "/cm?export=1", 400},
			{"GET", "/api/v1/bogus", 404},
			{"GET", "/api/v1/namespaces/default/configmaps/cm/status", 404},
			{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews/x", 405},
		} {
			a := h.do(t, tc.method, tc.path, strings.NewReader(`{}`))
			if a.StatusCode != tc.code {
				t.Errorf("%s %s: %d, want %d: %s", tc.method, tc.path, a.StatusCode, tc.code, a.body)
			}
		}
	})
}

// TestStory takes an object through every verb over the wire.
func TestStory(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		yes := h.send(t, 201, "POST", configMaps+"?fieldValidation=Warn", "metadata: {name: cm}\nbogus: 1\ndata: {a: b}", "Content-Type", "application/yaml")
		if w := yes.Header["Warning"]; len(w) != 2 || w[1] != `299 - "unknown field \"bogus\""` {
			t.Errorf("warnings %q", w)
		}
		h.send(t, 409, "POST", configMaps, `{"metadata":{"name":"cm"}}`)
		h.send(t, 415, "POST", configMaps, `{}`, "Content-Type", "text/plain")
		h.send(t, 422, "POST", configMaps+"?dryRun=Foo", `{"metadata":{"name":"x"}}`)
		h.send(t, 413, "POST", configMaps, `{"metadata":{"name":"`+strings.Repeat("x", 3<<20)+`"}}`)
		h.send(t, 200, "PUT", configMaps+"/cm", `{"metadata":{"name":"cm"},"data":{"c":"d"}}`)
		h.send(t, 200, "PATCH", configMaps+"/cm", `{"data":{"e":"f"}}`, "Content-Type", "application/merge-patch+json")
		h.send(t, 415, "PATCH", configMaps+"/cm", `{}`, "Content-Type", "application/json")
		got := h.send(t, 200, "GET", configMaps+"/cm", "")
		var cm corev1.ConfigMap
		if err := json.Unmarshal([]byte(got.body), &cm); err != nil || !cmp.Equal(cm.Data, map[string]string{"c": "d", "e": "f"}) {
			t.Errorf("%v: %s", err, got.body)
		}
		if pretty := h.get(t, configMaps+"/cm?pretty=true"); !strings.HasPrefix(pretty.body, "{\n  \"kind\": \"ConfigMap\",\n") {
			t.Errorf("pretty: %s", pretty.body)
		}
		if curl := h.get(t, configMaps, "User-Agent", "curl/8.0"); !strings.HasPrefix(curl.body, "{\n  \"kind\": \"ConfigMapList\",\n") {
			t.Errorf("for curl: %s", curl.body)
		}
		h.send(t, 400, "DELETE", configMaps+"/cm", `{"kind":"Pod"}`)
		h.send(t, 200, "DELETE", configMaps+"/cm?dryRun=All", "")
		if end := h.send(t, 200, "DELETE", configMaps+"/cm", "").status(t); end.Status != "Success" || end.Details.Name != "cm" {
			t.Errorf("the delete answers %+v", end)
		}
		h.send(t, 404, "GET", configMaps+"/cm", "")
		review := h.send(t, 201, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
			`{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}`, "Accept", protobufType)
		if !strings.HasPrefix(review.body, "k8s\x00") || !strings.Contains(review.body, "SelfSubjectAccessReview") {
			t.Errorf("a review in protobuf: %q", review.body)
		}
		if l := h.send(t, 200, "DELETE", configMaps, ""); !strings.Contains(l.body, `"kind":"ConfigMapList"`) {
			t.Errorf("deletecollection answers %s", l.body)
		}
	})
}

// TestLargeLists lists more than fits into a chunk, in every form, compressed and not.
func TestLargeLists(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		const n = 12
		for i := range n {
			h.send(t, 201, "POST", configMaps, fmt.Sprintf(`{"metadata":{"name":"m%02d"},"data":{"a":"%s"}}`, i, strings.Repeat("x", 100<<10)))
		}
		for _, accept := range []string{"application/json", "application/yaml", protobufType, "application/json" + tableOf, "application/json" + partialsOf} {
			plain := h.get(t, configMaps+"?includeObject=Object", "Accept", accept, "Accept-Encoding", "identity")
			if plain.StatusCode != 200 || plain.err != nil {
				t.Fatalf("%s: %d %v", accept, plain.StatusCode, plain.err)
			}
			zipped := h.get(t, configMaps+"?includeObject=Object", "Accept", accept, "Accept-Encoding", "br, gzip")
			text := zipped.body
			if compressed := zipped.Header.Get("Content-Encoding") == "gzip"; compressed != (len(plain.body) > 128<<10) {
				t.Errorf("%s: %d bytes compressed: %v", accept, len(plain.body), compressed)
			} else if compressed {
				r, err := gzip.NewReader(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(r)
				if err != nil || zipped.Header.Get("Vary") != "Accept-Encoding" || len(zipped.body) > len(b)/2 {
					t.Errorf("%s: %d of %d bytes, Vary %q, %v", accept, len(zipped.body), len(b), zipped.Header.Get("Vary"), err)
				}
				text = string(b)
			}
			if text != plain.body {
				t.Errorf("%s: compressed it reads differently", accept)
			}
		}
		var list corev1.ConfigMapList
		if err := json.Unmarshal([]byte(h.get(t, configMaps).body), &list); err != nil || len(list.Items) != n {
			t.Errorf("%d items, %v", len(list.Items), err)
		}
		one := h.get(t, configMaps+"/m00", "Accept-Encoding", "gzip")
		if one.Header.Get("Content-Encoding") != "" || one.ContentLength != int64(len(one.body)) {
			t.Errorf("an object of %d bytes: %v", len(one.body), one.Header)
		}
	})
}

// watcher reads a watch.
type watcher struct {
	body io.ReadCloser
	*bufio.Reader
}

func (h *host) watch(t *testing.T, path string, headers ...string) (*watcher, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://gatehouse"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() }) //nolint:errcheck // It is the end of the test.
	return &watcher{resp.Body, bufio.NewReader(resp.Body)}, resp
}

// line reads one event: its type, and the kind and name of its object.
func (w *watcher) line(t *testing.T) (event string, object []byte) {
	t.Helper()
	text, err := w.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, text)
	}
	var e metav1.WatchEvent
	var o metav1.PartialObjectMetadata
	if err := errors.Join(json.Unmarshal([]byte(text), &e), json.Unmarshal(e.Object.Raw, &o)); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return strings.TrimSpace(e.Type + " " + o.Kind + " " + o.Name), e.Object.Raw
}

func TestWatchJSON(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"a"}}`)
		forms := map[string]string{
			"application/json": "ConfigMap", "application/json;stream=watch": "ConfigMap",
			"application/json" + partialOf: "PartialObjectMetadata", "application/json" + tableOf: "Table",
		}
		for accept, kind := range forms {
			w, resp := h.watch(t, configMaps+"?watch=1&allowWatchBookmarks=true&labelSelector=!x", "Accept", accept)
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s: %d %s", accept, resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			name := " a"
			if kind == "Table" {
				name = ""
			}
			if e, o := w.line(t); e != "ADDED "+kind+name || !bytes.Contains(o, []byte(`"name":"a"`)) {
				t.Errorf("%s: %s", accept, e)
			}
			if e, o := w.line(t); e != "BOOKMARK "+kind || kind != "Table" && !bytes.Contains(o, []byte(`"k8s.io/initial-events-end":"true"`)) {
				t.Errorf("%s: %s %s", accept, e, o)
			}
			h.send(t, 200, "PATCH", configMaps+"/a", `{"metadata":{"labels":{"x":"y"}}}`, "Content-Type", "application/merge-patch+json")
			if e, _ := w.line(t); e != "DELETED "+kind+name {
				t.Errorf("%s: %s", accept, e)
			}
			h.send(t, 200, "PATCH", configMaps+"/a", `{"metadata":{"labels":null}}`, "Content-Type", "application/merge-patch+json")
			if e, o := w.line(t); e != "ADDED "+kind+name || kind == "Table" && !bytes.Contains(o, []byte(`"columnDefinitions":null`)) {
				t.Errorf("%s: %s %s", accept, e, o)
			}
			if err := w.body.Close(); err != nil {
				t.Error(err)
			}
		}
		for accept, code := range map[string]int{"application/yaml": 406, "application/json" + partialsOf: 406, "text/html": 406} {
			if a := h.get(t, configMaps+"?watch=1", "Accept", accept); a.StatusCode != code {
				t.Errorf("%s: %d, want %d", accept, a.StatusCode, code)
			}
		}
	})
}

func TestWatchProtobuf(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"a"},"data":{"a":"b"}}`)
		w, resp := h.watch(t, configMaps+"?watch=1&allowWatchBookmarks=true", "Accept", protobufType+";stream=watch")
		if resp.Header.Get("Content-Type") != protobufType+";stream=watch" {
			t.Errorf("Content-Type %s", resp.Header.Get("Content-Type"))
		}
		for _, want := range []string{"ADDED a b", "BOOKMARK  "} {
			frame := make([]byte, 4)
			if _, err := io.ReadFull(w, frame); err != nil {
				t.Fatal(err)
			}
			frame = make([]byte, binary.BigEndian.Uint32(frame))
			if _, err := io.ReadFull(w, frame); err != nil {
				t.Fatal(err)
			}
			var event metav1.WatchEvent
			var cm corev1.ConfigMap
			inner := func(b []byte, kind string) []byte {
				var u runtime.Unknown
				if err := u.Unmarshal(bytes.TrimPrefix(b, []byte("k8s\x00"))); err != nil || u.Kind != kind {
					t.Fatalf("%v: a %s, not a %s", err, u.Kind, kind)
				}
				return u.Raw
			}
			if err := event.Unmarshal(frame); err != nil {
				t.Fatal(err)
			}
			if err := cm.Unmarshal(inner(event.Object.Raw, "ConfigMap")); err != nil || cm.ResourceVersion == "" {
				t.Fatalf("%v at %q", err, cm.ResourceVersion)
			}
			if got := fmt.Sprint(event.Type, " ", cm.Name, " ", cm.Data["a"]); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

// TestWatchErrors tells a refusal before the stream from an error inside it.
func TestWatchErrors(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		for query, code := range map[string]int{
			"watch=1&resourceVersion=x": 400, "watch=1&timeoutSeconds=x": 400, "watch=1&sendInitialEvents=true": 422, "watch=1&fieldSelector=a%3Db": 400,
		} {
			if a := h.get(t, configMaps+"?"+query); a.StatusCode != code {
				t.Errorf("%s: %d, want %d: %s", query, a.StatusCode, code, a.body)
			}
		}
		// Revision 1 was before the server could know of changes.
		old := h.get(t, configMaps+"?watch=1&timeoutSeconds=1&resourceVersion=1")
		if old.StatusCode != 200 || !strings.HasPrefix(old.body, `{"type":"ERROR","object":{"kind":"Status"`) || !strings.Contains(old.body, `"code":410}}`) {
			t.Errorf("a watch from before the history: %d %s", old.StatusCode, old.body)
		}
		wire := h.get(t, configMaps+"?watch=1&timeoutSeconds=1&resourceVersion=1", "Accept", protobufType)
		if wire.StatusCode != 200 || !strings.Contains(wire.body, "ERROR") || !strings.Contains(wire.body, "Expired") {
			t.Errorf("the same in protobuf: %d %q", wire.StatusCode, wire.body)
		}
		over := h.get(t, configMaps+"?watch=1&timeoutSeconds=1&resourceVersion=99999999")
		if over.StatusCode != 200 || over.body != "" || over.err != nil {
			t.Errorf("a watch that ends by its timeout: %d %q %v", over.StatusCode, over.body, over.err)
		}
		last := h.get(t, configMaps+"?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")
		if lines := strings.Split(strings.TrimSpace(last.body), "\n"); len(lines) != 2 || !strings.Contains(lines[1], `"type":"BOOKMARK"`) {
			t.Errorf("a watch with bookmarks ends with %q", last.body)
		}
		legacy := h.get(t, "/api/v1/watch/namespaces/default/configmaps?timeoutSeconds=1")
		if legacy.StatusCode != 200 {
			t.Errorf("the legacy path: %d", legacy.StatusCode)
		}
	})
}

// TestWatchDisconnect checks that the server notices a client that goes away from a watch on which nothing happens.
func TestWatchDisconnect(t *testing.T) {
	ended := make(chan struct{}, 1)
	run(t, func(t *testing.T, h *host, s *stages) {
		rest := server.NewREST(newObjects(t).Service)
		s.serve = func(w http.ResponseWriter, r *http.Request, p authz.Permit) error {
			err := rest.ServeResource(w, r, p, nil, nil)
			ended <- struct{}{}
			return err
		}
		w, _ := h.watch(t, configMaps+"?watch=1&allowWatchBookmarks=true")
		if e, _ := w.line(t); e != "BOOKMARK ConfigMap" {
			t.Fatal(e)
		}
		if err := w.body.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Error("the watch goes on without its client")
		}
	})
}

// TestWatchTime guards against watches without an end, and against many that end together.
func TestWatchTime(t *testing.T) {
	for _, tc := range []struct{ asked, least, most time.Duration }{
		{0, 30 * time.Minute, time.Hour},
		{-1, 30 * time.Minute, time.Hour},
		{time.Second, time.Second, time.Second},
		{time.Hour, time.Hour, time.Hour},
		{time.Hour + time.Second, time.Hour, 90 * time.Minute},
		{1 << 31 * time.Second, time.Hour, 90 * time.Minute},
	} {
		times := map[time.Duration]bool{}
		for range 100 {
			got := server.WatchTime(tc.asked, 0)
			times[got] = true
			if got < tc.least || got > tc.most {
				t.Errorf("asked for %v, got %v, want from %v to %v", tc.asked, got, tc.least, tc.most)
			}
		}
		if spread := len(times) > 1; spread != (tc.least != tc.most) {
			t.Errorf("asked for %v: got %d different times", tc.asked, len(times))
		}
	}
}

// ending tells when a request for resources has ended.
type ending struct {
	server.Resources
	ended chan<- struct{}
}

func (e ending) ServeResource(w http.ResponseWriter, r *http.Request, p authz.Permit, rec *audit.Record, seat *ratelimit.Seat) error {
	defer func() { e.ended <- struct{}{} }()
	return e.Resources.ServeResource(w, r, p, rec, seat)
}

// TestWatchesAreBounded: a client has only so many watches open; one that ends makes room for the next.
func TestWatchesAreBounded(t *testing.T) {
	clients := ratelimit.NewClients(ratelimit.ClientsConfig{HeldPerClient: 2})
	objects := newObjects(t)
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{}, 8)
			cfg := config(t, &stages{})
			cfg.Clients, cfg.Resources = clients, ending{server.NewREST(objects.Service), ended}
			h := listen(t, cfg, http2)
			first, _ := h.watch(t, configMaps+"?watch=1")
			h.watch(t, configMaps+"?watch=1")
			a := h.get(t, configMaps+"?watch=1")
			if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
				t.Fatalf("one watch too many: %d %s", a.StatusCode, a.body)
			}
			if s := clients.Stats(); s.Held != 2 || s.Seats != 0 {
				t.Errorf("%+v, want two watches and no seat", s)
			}
			<-ended
			if a := h.get(t, configMaps); a.StatusCode != 200 {
				t.Errorf("a list beside the watches: %d %s", a.StatusCode, a.body)
			}
			<-ended
			if err := first.body.Close(); err != nil {
				t.Fatal(err)
			}
			<-ended
			h.watch(t, configMaps+"?watch=1")
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			if s := clients.Stats(); s.Held != 0 {
				t.Errorf("%+v after the end of the server", s)
			}
		})
	}
}

// deadlines notes the deadlines that a handler sets, and when it wrote.
type deadlines struct {
	*httptest.ResponseRecorder
	notes chan string
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.notes <- map[bool]string{true: "lifted", false: "set"}[at.IsZero()]
	return nil
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.notes <- map[bool]string{true: "reading lifted", false: "reading set"}[at.IsZero()]
	return nil
}

func (d *deadlines) Flush() { d.notes <- "flushed" }

// TestWatchDeadlines checks that a watch lifts the deadlines under which requests come over HTTP/1, and sets none while it waits, because
// HTTP/2 ends a stream whose deadline passes. That its writes are bounded all the same is what TestWriteBound is about.
func TestWatchDeadlines(t *testing.T) {
	rest := server.NewREST(newObjects(t).Service)
	p := authz.System("test", api.RequestInfo{IsResource: true, Verb: "watch", Version: "v1", Namespace: "default", Resource: "configmaps"})
	ctx, cancel := context.WithCancel(t.Context())
	d := &deadlines{httptest.NewRecorder(), make(chan string)}
	done := make(chan error, 1)
	go func() {
		done <- rest.ServeResource(d, httptest.NewRequestWithContext(ctx, "GET", configMaps+"?watch=1", nil), p, nil, nil)
	}()
	var got []string
	for len(got) < 3 {
		got = append(got, <-d.notes)
	}
	if diff := cmp.Diff([]string{"reading lifted", "lifted", "flushed"}, got); diff != "" {
		t.Errorf("deadlines (-want +got):\n%s", diff)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the watch ends with %v", err)
	}
}
