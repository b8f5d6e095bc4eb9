package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/backend"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/server"
)

const podAddress = "192.0.2.7"

// cluster is a server with a pod on a node whose kubelet is a test's handler, which is also what answers at the pod's address.
type cluster struct {
	objects *objects
	kubelet *httptest.Server
	rest    *server.REST
}

func newCluster(t *testing.T, kubelet http.HandlerFunc) *cluster {
	t.Helper()
	c := &cluster{objects: newObjects(t), kubelet: httptest.NewTLSServer(kubelet)}
	t.Cleanup(c.kubelet.Close)
	plain := httptest.NewServer(kubelet)
	t.Cleanup(plain.Close)
	c.rest = server.NewREST(c.objects.Service)
	c.rest.ConnectTo(backend.New(backend.Config{
		AllowLoopback: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, podAddress) {
				address = plain.Listener.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}))
	return c
}

// fill creates the objects.
func (c *cluster) fill(t *testing.T, h *host) {
	t.Helper()
	const containers = `"containers":[{"name":"a","image":"i","ports":[{"containerPort":8080}]}]`
	pods := "/api/v1/namespaces/default/pods"
	for _, body := range []string{
		`{"metadata":{"name":"p"},"spec":{"nodeName":"n",` + containers + `}}`,
		`{"metadata":{"name":"waiting"},"spec":{` + containers + `}}`,
		`{"metadata":{"name":"lost"},"spec":{"nodeName":"gone",` + containers + `}}`,
		`{"metadata":{"name":"two"},"spec":{"nodeName":"n","initContainers":[{"name":"i","image":"i"}],"containers":[{"name":"a","image":"i"},{"name":"b","image":"i"}]}}`,
	} {
		h.send(t, 201, http.MethodPost, pods, body, "Content-Type", "application/json")
	}
	merge := []string{"Content-Type", "application/merge-patch+json"}
	h.send(t, 200, http.MethodPatch, pods+"/p/status", `{"status":{"podIP":"`+podAddress+`","podIPs":[{"ip":"`+podAddress+`"}]}}`, merge...)
	h.send(t, 200, http.MethodPatch, pods+"/two/status", `{"status":{"podIP":"127.0.0.1","podIPs":[{"ip":"127.0.0.1"}]}}`, merge...)
	_, port, err := net.SplitHostPort(c.kubelet.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h.send(t, 201, http.MethodPost, "/api/v1/nodes", `{"metadata":{"name":"n"},"status":{"addresses":[{"type":"ExternalIP","address":"192.0.2.99"},
		{"type":"InternalIP","address":"127.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":`+port+`}}}}`, "Content-Type", "application/json")
	h.send(t, 201, http.MethodPost, "/api/v1/nodes", `{"metadata":{"name":"bare"}}`, "Content-Type", "application/json")
	services := "/api/v1/namespaces/default/services"
	h.send(t, 201, http.MethodPost, services, `{"metadata":{"name":"s"},"spec":{"ports":[{"name":"web","port":81}]}}`, "Content-Type", "application/json")
	h.send(t, 201, http.MethodPost, "/api/v1/namespaces/default/endpoints", `{"metadata":{"name":"s"},"subsets":[{"ports":[{"name":"web","port":8080}],"addresses":[
		{"ip":"192.0.2.8","targetRef":{"kind":"Pod","name":"p","namespace":"default"}},
		{"ip":"192.0.2.9"},{"ip":"`+podAddress+`","targetRef":{"kind":"Pod","name":"p","namespace":"kube-system"}},
		{"ip":"`+podAddress+`","targetRef":{"kind":"Pod","name":"p","namespace":"default"}}]}]}`, "Content-Type", "application/json")
	h.send(t, 201, http.MethodPost, "/api/v1/namespaces/default/endpoints", `{"metadata":{"name":"invented"},"subsets":[{"ports":[{"port":8080}],"addresses":[
		{"ip":"`+podAddress+`"},{"ip":"192.0.2.8","targetRef":{"kind":"Pod","name":"p","namespace":"default"}}]}]}`, "Content-Type", "application/json")
}

// runCluster runs f over both versions of HTTP.
func runCluster(t *testing.T, kubelet http.HandlerFunc, f func(t *testing.T, h *host), change ...func(*server.Config)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kubelet)
			cfg := config(t, &stages{})
			cfg.Resources = c.rest
			for _, apply := range change {
				apply(&cfg)
			}
			h := listen(t, cfg, http2)
			c.fill(t, h)
			f(t, h)
		})
	}
}

// echo tells what reached the backend.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s %d", r.Method, r.URL, len(body))
}

// TestConnectTargets: each request reaches what it names, with the path and the query that a kubelet, pod or service knows.
func TestConnectTargets(t *testing.T) {
	const base = "/api/v1/namespaces/default/"
	large := strings.Repeat("x", 4<<20)
	runCluster(t, echo, func(t *testing.T, h *host) {
		for _, c := range []struct{ method, path, body, want string }{
			{"GET", base + "pods/p/log", "", "GET /containerLogs/default/p/a 0"},
			{
				"GET", base + "pods/p/log?container=a&follow=true&previous=1&timestamps&tailLines=5&limitBytes=7&sinceSeconds=9", "",
				"GET /containerLogs/default/p/a?follow=true&limitBytes=7&previous=true&sinceSeconds=9&tailLines=5&timestamps=true 0",
			},
			{"GET", base + "pods/two/log?container=i", "", "GET /containerLogs/default/two/i 0"},
			{"GET", base + "pods/p/proxy/", "", "GET / 0"},
			{"DELETE", base + "pods/p:8080/proxy/a/b/?x=y;z", "", "DELETE /a/b/?x=y;z 0"},
			{"PUT", base + "services/s:web/proxy/a", large, "PUT /a 4194304"},
			{"POST", base + "services/s:81/proxy", "b", "POST / 1"},
			{"PATCH", base + "services/http:s:web/proxy/a%20b", "", "PATCH /a%20b 0"},
			{"OPTIONS", base + "pods/p/proxy/o", "", "OPTIONS /o 0"},
		} {
			a := h.do(t, c.method, c.path, strings.NewReader(c.body))
			if a.StatusCode != 200 || a.body != c.want {
				t.Errorf("%s %s: %d %q, want %q", c.method, c.path, a.StatusCode, a.body, c.want)
			}
		}
	})
}

// TestConnectRefuses states the answers to what cannot be connected to; they are those of kube-apiserver.
func TestConnectRefuses(t *testing.T) {
	const base = "/api/v1/namespaces/default/"
	runCluster(t, echo, func(t *testing.T, h *host) {
		for _, c := range []struct {
			method, path string
			code         int
			message      string
		}{
			{"GET", "pods/waiting/log", 204, ""},
			{"GET", "pods/two/log", 400, "a container name must be specified for pod two, choose one of: [i a b]"},
			{"GET", "pods/p/log?container=z", 400, "container z is not valid for pod p"},
			{"GET", "pods/none/log", 404, `pods "none" not found`},
			{"GET", "pods/lost/log", 404, `pods "gone" not found`},
			{"GET", "pods/p/log?tailLines=x", 400, `strconv.ParseInt: parsing "x": invalid syntax`},
			{"GET", "pods/p/log?tailLines=-1&limitBytes=0", 422, `PodLogOptions "p" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0]`},
			{"GET", "pods/p/log?stream=All", 422, `PodLogOptions "p" is invalid: stream: Forbidden: may not be specified`},
			{"GET", "pods/p/log/more", 404, "the server could not find the requested resource"},
			{"POST", "pods/p/log", 405, "the server does not allow this method on the requested resource"},
			{"POST", "pods/p/exec", 400, "Upgrade request required"},
			{"POST", "pods/waiting/exec", 400, "pod waiting does not have a host assigned"},
			{"POST", "pods/p/exec?dryRun=All", 400, "dryRun is not supported"},
			{"PUT", "pods/p/exec", 405, "the server does not allow this method on the requested resource"},
			{"POST", "pods/p/exec/more", 404, "the server could not find the requested resource"},
			{"GET", "pods/p/portforward?ports=x", 400, `cannot convert to []int32: strconv.ParseUint: parsing "x": invalid syntax`},
			{"GET", "pods/two/proxy/", 400, "address not allowed"},
			{"GET", "pods/waiting/proxy/", 400, "address not allowed"},
			{"GET", "pods/ftp:p:80/proxy/", 400, `invalid pod request "ftp:p:80"`},
			{"GET", "services/s:82/proxy/", 503, `no service port 82 found for service "s"`},
			{"GET", "services/s/proxy/", 503, `no endpoints available for service "s"`},
			{"GET", "services/none/proxy/", 404, `services "none" not found`},
			{"GET", "services/invented/proxy/", 503, `no endpoints available for service "invented"`},
			{"GET", "../../nodes/n/proxy/pods", 400, "address not allowed"},
			{"GET", "../../nodes/bare/proxy/", 500, "no preferred addresses found; known addresses: []"},
			{"GET", "../../nodes/none/proxy/", 404, `nodes "none" not found`},
		} {
			path := base + c.path
			if rest, ok := strings.CutPrefix(c.path, "../../"); ok {
				path = "/api/v1/" + rest
			}
			a := h.do(t, c.method, path, nil)
			if a.StatusCode != c.code {
				t.Errorf("%s %s: %d %s, want %d", c.method, path, a.StatusCode, a.body, c.code)
			} else if c.message != "" && a.status(t).Message != c.message {
				t.Errorf("%s %s: %q, want %q", c.method, path, a.status(t).Message, c.message)
			}
		}
	})
}

// TestLogIsNegotiated states who gets a log: it is text whatever the client asks for, and clients that take no object are refused.
func TestLogIsNegotiated(t *testing.T) {
	runCluster(t, echo, func(t *testing.T, h *host) {
		for accept, want := range map[string]string{
			"application/json, */*": "",
			"application/yaml":      "",
			"text/html":             "406: Not Acceptable\n\nAvailable representations: text/plain, application/json, application/yaml, application/vnd.kubernetes.protobuf",
			"text/plain":            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
		} {
			a := h.get(t, "/api/v1/namespaces/default/pods/p/log", "Accept", accept)
			switch {
			case want == "" && (a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/plain"):
				t.Errorf("%s: %d %s", accept, a.StatusCode, a.body)
			case want != "" && (a.StatusCode != 406 || a.status(t).Message != want):
				t.Errorf("%s: %d %s", accept, a.StatusCode, a.body)
			}
		}
	})
}

// verbs allows some verbs.
type verbs []string

func (v verbs) Authorize(_ context.Context, _ api.User, info api.RequestInfo) (authz.Decision, string, error) {
	for _, verb := range v {
		if info.Verb == verb || info.Subresource == "" || info.Subresource == "status" {
			return authz.Allow, "", nil
		}
	}
	return authz.NoOpinion, "", nil
}

// TestSessionsNeedCreate: a WebSocket begins with GET, and the right to get must not be the right to run commands.
func TestSessionsNeedCreate(t *testing.T) {
	for _, c := range []struct {
		may       verbs
		get, post int
	}{{verbs{"get"}, 403, 403}, {verbs{"create"}, 403, 400}, {verbs{"get", "create"}, 400, 400}} {
		runCluster(t, echo, func(t *testing.T, h *host) {
			for _, sub := range []string{"exec", "attach", "portforward"} {
				path := "/api/v1/namespaces/default/pods/p/" + sub
				if a := h.get(t, path); a.StatusCode != c.get {
					t.Errorf("who may %v: GET %s: %d %s, want %d", c.may, sub, a.StatusCode, a.body, c.get)
				}
				if a := h.do(t, http.MethodPost, path, nil); a.StatusCode != c.post {
					t.Errorf("who may %v: POST %s: %d %s, want %d", c.may, sub, a.StatusCode, a.body, c.post)
				}
			}
		}, func(cfg *server.Config) { cfg.Authorizer = authz.Chain{Allowers: []authz.Authorizer{c.may}} })
	}
}

// TestKubeletSessionsNeedCreate: by way of nodes/proxy a kubelet runs commands for who changes the protocol by GET.
func TestKubeletSessionsNeedCreate(t *testing.T) {
	for _, c := range []struct {
		may  verbs
		path string
		want string
	}{
		{verbs{"get"}, "/api/v1/nodes/n:9/proxy/exec/ns/p/c", "cannot create resource"},
		{verbs{"get", "create"}, "/api/v1/nodes/n:9/proxy/exec/ns/p/c", "address not allowed"},
		{verbs{"get"}, "/api/v1/namespaces/default/pods/p/proxy/", "invalid upgrade response"},
	} {
		cluster := newCluster(t, echo)
		all := config(t, &stages{})
		all.Resources = cluster.rest
		cluster.fill(t, listen(t, all, false))
		cfg := config(t, &stages{})
		cfg.Resources, cfg.Authorizer = cluster.rest, authz.Chain{Allowers: []authz.Authorizer{c.may}}
		h := listen(t, cfg, false)
		for _, header := range [][]string{{"Connection", "Upgrade", "Upgrade", "websocket"}, {"Connection", "keep-alive, upgrade", "Upgrade", "SPDY/3.1"}} {
			if a := h.do(t, http.MethodGet, c.path, nil, header...); !strings.Contains(a.body, c.want) {
				t.Errorf("who may %v: %s %v: %d %s, want %q", c.may, c.path, header, a.StatusCode, a.body, c.want)
			}
		}
	}
}

// refusing is a policy on connections.
type refusing struct{ seen []string }

func (r *refusing) Validate(_ context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Connect {
		return nil
	}
	r.seen = append(r.seen, a.Kind.Kind+" "+a.Resource.Resource+"/"+a.Subresource+" "+a.Namespace+"/"+a.Name)
	return a.Forbidden(errors.New("not today"))
}

// TestConnectAsksAdmission: policies see what a connection is for before it is made. Logs are reads, which admission is not asked about.
func TestConnectAsksAdmission(t *testing.T) {
	asked := 0
	c := newCluster(t, func(http.ResponseWriter, *http.Request) { asked++ })
	policy := &refusing{}
	c.objects.Admission.Validators = append(c.objects.Admission.Validators, policy)
	cfg := config(t, &stages{})
	cfg.Resources = c.rest
	h := listen(t, cfg, false)
	c.fill(t, h)
	for _, path := range []string{"pods/p/exec?command=ls", "pods/p/attach", "pods/p/portforward", "pods/p:80/proxy/x", "services/s:web/proxy/"} {
		if a := h.do(t, http.MethodPost, "/api/v1/namespaces/default/"+path, nil); a.StatusCode != 403 || !strings.Contains(a.body, "not today") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	want := []string{
		"PodExecOptions pods/exec default/p", "PodAttachOptions pods/attach default/p", "PodPortForwardOptions pods/portforward default/p",
		"PodProxyOptions pods/proxy default/p:80", "ServiceProxyOptions services/proxy default/s:web",
	}
	if diff := cmp.Diff(want, policy.seen); diff != "" || asked != 0 {
		t.Errorf("%d requests got through; admission saw (-want +got):\n%s", asked, diff)
	}
}

// upgrade sends a request for another protocol and returns the connection after the answer's head.
func (h *host) upgrade(t *testing.T, path string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := h.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := h.tls.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	c := tls.Client(conn, cfg)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, r, res
}

// TestSession follows one exec: its record is on disk before the kubelet is asked, its streams work, it is counted, and it ends, at the kubelet
// and on record, with the server.
func TestSession(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.Open(audit.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	gone, early := make(chan struct{}), make(chan bool, 1)
	c := newCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		all := events(t, path)
		early <- len(all) > 0 && all[len(all)-1].Stage == audit.StageRequestReceived && all[len(all)-1].ObjectRef.Subresource == "exec"
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer close(gone)
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, conn)
	})
	clients := ratelimit.NewClients(ratelimit.ClientsConfig{HeldPerClient: ratelimit.StreamPlaces + 1})
	cfg := config(t, &stages{})
	cfg.Resources, cfg.Auditor, cfg.Clients = c.rest, log, clients
	h := listen(t, cfg, false)
	c.fill(t, h)
	const exec = "/api/v1/namespaces/default/pods/p/exec?command=sh"
	conn, r, res := h.upgrade(t, exec)
	if res.StatusCode != http.StatusSwitchingProtocols || !<-early {
		t.Fatalf("code %d, or there was no record before the kubelet was asked", res.StatusCode)
	}
	_, _ = io.WriteString(conn, "echo")
	back := make([]byte, 4)
	if _, err := io.ReadFull(r, back); err != nil || string(back) != "echo" {
		t.Errorf("%q came back, %v", back, err)
	}
	if s := clients.Stats(); s.Held != ratelimit.StreamPlaces || s.Seats != 0 {
		t.Errorf("%+v, want one stream and no seat", s)
	}
	if _, _, res := h.upgrade(t, exec); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one stream too many: %d", res.StatusCode)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	<-gone
	if _, err := r.ReadByte(); err == nil {
		t.Error("the client's connection is still open")
	}
	if s := clients.Stats(); s.Held != 0 {
		t.Errorf("%+v after the end of the server", s)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events(t, path) {
		if e.ObjectRef != nil && e.ObjectRef.Subresource == "exec" && (e.ResponseStatus == nil || e.ResponseStatus.Code == 101) {
			got = append(got, string(e.Stage))
		}
	}
	// The refused one has a first event too.
	want := []string{"RequestReceived", "ResponseStarted", "RequestReceived", "ResponseComplete"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestConnectNeedsBackends: a server that connects nobody does not pretend to.
func TestConnectNeedsBackends(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		if a := h.get(t, "/api/v1/namespaces/default/pods/p/log"); a.StatusCode != 404 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}
