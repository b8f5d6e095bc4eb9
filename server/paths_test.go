package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/server"
)

func containsText(err error, text string) bool { return strings.Contains(err.Error(), text) }

// TestPathConfusion sends paths that two readers could take for different ones. Each is refused before any
// stage, or else what was authorized is what was served.
func TestPathConfusion(t *testing.T) {
	refused := []string{
		"/api//v1/pods", "//api/v1/pods", "/api/v1/pods//", "/api/v1/../v1/pods", "/api/v1/./pods", "/..", "/api/v1/pods/..",
		"/apis/x/v1/../../../livez", "/livez/../api/v1/secrets", "/livez/%2e%2e/api/v1/secrets", "/api/v1/%2e/pods",
		"/api/v1/namespaces/a%2fb/pods", "/api/v1/namespaces/a%2Fb/pods", "/api/v1/namespaces/..%2f..%2fkube-system/secrets",
		"/api/v1/namespaces/a%5cb/pods", "/api/v1/namespaces/a%252fb/pods", "/api/v1/pods/%00", "/api/v1/pods/a%0ab",
		"/api/v1/pods/%ff", "/api/v1/pods/%c0%ae%c0%ae", "/%2e%2e/%2e%2e/etc/passwd", "/livez%2f", "/livez%00",
		"http://evil.example/api/v1/pods", "https://gatehouse/livez", "*", "/api/v1/namespaces/%2e%2e/secrets",
	}
	consistent := []string{
		"/api/v1/pods;x=1", "/livez;x", "/api/v1/pods/", "/livez/", "/api/v1/%70ods", "/LIVEZ", "/api/v1/Pods", "/api/v1/pods?watch=0",
		"/livez?x=/../api", "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default/deployments/x/scale", "/api/v1/pods/a+b",
		"/api/v1/watch/pods", "/api/v1/namespaces/a/pods/b/proxy/c/d", "/livez#frag", "/api/v1/pods/...", "/api/v1/pods/%7e",
	}
	s := &stages{}
	h := listen(t, config(t, s), false)
	for _, target := range refused {
		a := h.raw(t, "GET "+target+" HTTP/1.1\r\nHost: gatehouse\r\nConnection: close\r\n\r\n")
		seen, _, _ := s.take()
		if a.StatusCode != http.StatusBadRequest || len(seen) > 0 {
			t.Errorf("%s: got %d, stages %v, want 400 before every stage", target, a.StatusCode, seen)
		}
	}
	if a := h.raw(t, "OPTIONS * HTTP/1.1\r\nHost: gatehouse\r\nConnection: close\r\n\r\n"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("OPTIONS *: got %d", a.StatusCode)
	}
	for _, target := range consistent {
		a := h.raw(t, "GET "+target+" HTTP/1.1\r\nHost: gatehouse\r\nConnection: close\r\n\r\n")
		_, infos, _ := s.take()
		if len(infos) != 1 {
			t.Errorf("%s: authorized %v, got %d", target, infos, a.StatusCode)
			continue
		}
		info := infos[0]
		switch {
		case info.IsResource && a.body != "served "+info.Path:
			t.Errorf("%s: authorized %s, got %q", target, info.Path, a.body)
		case !info.IsResource && (a.body == "ok") != (info.Path == "/livez"):
			t.Errorf("%s: authorized %s, got %q", target, info.Path, a.body)
		}
	}
}

// TestForbiddenBeforeUnknown guards what is not served from being explored by those without rights.
func TestForbiddenBeforeUnknown(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		for _, c := range []struct {
			path, contentType string
		}{
			{"/nosuch", "text/plain; charset=utf-8"},
			{"/apis/nosuch.example.com", "text/plain; charset=utf-8"},
			{"/debug/pprof", "text/plain; charset=utf-8"},
			{"/livez/nosuch", "text/plain; charset=utf-8"},
			{"/apis/apps/v9", "application/json"},
			{"/api/v2", "application/json"},
		} {
			s.refuse = ""
			a := h.get(t, c.path)
			if got := a.Header.Get("Content-Type"); a.StatusCode != 404 || got != c.contentType {
				t.Errorf("%s: got %d %s, want 404 %s", c.path, a.StatusCode, got, c.contentType)
			}
			s.refuse = "authz"
			if a := h.get(t, c.path); a.StatusCode != 403 {
				t.Errorf("%s without rights: got %d, want 403", c.path, a.StatusCode)
			}
		}
		s.refuse = ""
		for path, want := range map[string]int{"/livez": 200, "/apis": 200, "/api": 405, "/version": 405, "/metrics": 405, "/metrics/slis": 405, "/nosuch": 404} {
			if a := h.do(t, http.MethodPost, path, nil); a.StatusCode != want {
				t.Errorf("POST %s: got %d, want %d", path, a.StatusCode, want)
			}
		}
	})
}

func TestHealth(t *testing.T) {
	broken := errors.New("connect to 10.0.0.9: refused")
	checks := []server.Check{
		{Name: "etcd", Run: func(context.Context) error { return broken }},
		{Name: "hook/rbac", Run: func(context.Context) error { return nil }},
		{Name: "synced", ReadyOnly: true, Run: func(context.Context) error { return nil }},
		{Name: "certificate", LiveOnly: true, Run: func(context.Context) error { return nil }},
		{Name: "hook/begun", Start: true, Run: func(context.Context) error { return broken }},
	}
	run(t, func(t *testing.T, h *host, _ *stages) {
		for _, c := range []struct {
			path string
			code int
			body string
		}{
			{"/livez/ping", 200, "ok"},
			{"/livez/hook/rbac", 200, "ok"},
			{"/livez/etcd", 500, "internal server error: reason withheld\n"},
			{"/livez/synced", 404, "404 page not found\n"},
			{"/readyz/synced", 200, "ok"},
			{"/readyz/certificate", 404, "404 page not found\n"},
			{"/livez/hook/begun", 200, "ok"},
			{"/readyz/hook/begun", 500, "internal server error: reason withheld\n"},
			{"/livez", 500, "[+]ping ok\n[-]etcd failed: reason withheld\n[+]hook/rbac ok\n[+]certificate ok\n[+]hook/begun ok\nlivez check failed\n"},
			{"/livez?exclude=etcd", 200, "ok"},
			{
				"/healthz?verbose&exclude=etcd", 500,
				"[+]ping ok\n[+]etcd excluded: ok\n[+]hook/rbac ok\n[+]certificate ok\n[-]hook/begun failed: reason withheld\nhealthz check failed\n",
			},
			{
				"/readyz?verbose&exclude=etcd&exclude=nosuch&exclude=hook/begun&exclude=no&exclude=nosuch", 200,
				"[+]ping ok\n[+]etcd excluded: ok\n[+]hook/rbac ok\n[+]synced ok\n[+]hook/begun excluded: ok\n[+]shutdown ok\n" +
					"warn: some health checks cannot be excluded: no matches for \"no\",\"nosuch\"\nreadyz check passed\n",
			},
		} {
			a := h.get(t, c.path)
			if a.StatusCode != c.code || a.body != c.body {
				t.Errorf("%s: got %d %q, want %d %q", c.path, a.StatusCode, a.body, c.code, c.body)
			}
		}
	}, func(c *server.Config) { c.Checks = checks })
}

// TestHealthIsCounted holds what alerts about the availability of a control plane are made of.
func TestHealthIsCounted(t *testing.T) {
	var broken atomic.Bool
	check := server.Check{Name: "etcd", Run: func(context.Context) error {
		if broken.Load() {
			return errors.New("connect to 10.0.0.9: refused")
		}
		return nil
	}}
	run(t, func(t *testing.T, h *host, s *stages) {
		broken.Store(false)
		for _, path := range []string{"/readyz", "/readyz", "/livez/etcd", "/livez?exclude=etcd"} {
			h.get(t, path)
		}
		broken.Store(true)
		h.get(t, "/readyz")
		got := h.get(t, "/metrics/slis").body
		for _, line := range []string{
			`kubernetes_healthcheck{name="etcd",type="readyz"} 0`,
			`kubernetes_healthcheck{name="ping",type="livez"} 1`,
			`kubernetes_healthchecks_total{name="etcd",status="success",type="readyz"} 2`,
			`kubernetes_healthchecks_total{name="etcd",status="error",type="readyz"} 1`,
			`kubernetes_healthchecks_total{name="shutdown",status="success",type="readyz"} 3`,
		} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("/metrics/slis lacks %s:\n%s", line, got)
			}
		}
		if strings.Contains(got, `name="etcd",type="livez"`) || strings.Contains(got, `name="etcd",status="success",type="livez"`) {
			t.Errorf("a check was counted that was asked for alone or left out:\n%s", got)
		}
		s.refuse = "authz"
		if a := h.get(t, "/metrics/slis"); a.StatusCode != http.StatusForbidden {
			t.Errorf("/metrics/slis without rights: %d", a.StatusCode)
		}
	}, func(c *server.Config) { c.Checks = []server.Check{check} })
}

func TestChecksAreNamedOnce(t *testing.T) {
	ok := func(context.Context) error { return nil }
	for name, checks := range map[string][]server.Check{
		"no name":     {{Run: ok}},
		"no function": {{Name: "etcd"}},
		"twice":       {{Name: "etcd", Run: ok}, {Name: "etcd", Run: ok}},
		"built in":    {{Name: "ping", Run: ok}},
	} {
		cfg := config(t, &stages{})
		cfg.Checks = checks
		if _, err := server.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestVersionAndPaths(t *testing.T) {
	run(t, func(t *testing.T, h *host, _ *stages) {
		var version struct{ Major, Minor, GitVersion string }
		if err := json.Unmarshal([]byte(h.get(t, "/version").body), &version); err != nil {
			t.Fatal(err)
		}
		if version.Major != "1" || version.Minor != "36" || !strings.HasPrefix(version.GitVersion, "v1.36.") {
			t.Errorf("version is %+v", version)
		}
		var root metav1.RootPaths
		if err := json.Unmarshal([]byte(h.get(t, "/").body), &root); err != nil {
			t.Fatal(err)
		}
		for _, path := range root.Paths {
			if a := h.get(t, path); a.StatusCode != 200 {
				t.Errorf("the list names %s, which gives %d", path, a.StatusCode)
			}
		}
		for _, path := range []string{"/api/v1", "/apis/apps/v1", "/livez/ping", "/metrics", "/openid/v1/jwks", "/openapi/v3/", "/apis/"} {
			if !slices.Contains(root.Paths, path) {
				t.Errorf("the list does not name %s", path)
			}
		}
	}, func(c *server.Config) { c.Issuer, c.OpenAPI = issuer{}, specs{} })
}

type issuer struct{}

func (issuer) Discovery() []byte { return []byte(`{"issuer":"https://gatehouse"}`) }
func (issuer) JWKS() []byte      { return []byte(`{"keys":[]}`) }

func TestIssuerDocuments(t *testing.T) {
	run(t, func(t *testing.T, h *host, _ *stages) {
		a := h.get(t, "/openid/v1/jwks")
		if a.body != `{"keys":[]}` || a.Header.Get("Content-Type") != "application/jwk-set+json" ||
			a.Header.Get("Cache-Control") != "public, max-age=3600" {
			t.Errorf("got %q with %v", a.body, a.Header)
		}
	}, func(c *server.Config) { c.Issuer = issuer{} })
	run(t, func(t *testing.T, h *host, _ *stages) {
		if a := h.get(t, "/.well-known/openid-configuration"); a.StatusCode != 404 {
			t.Errorf("without an issuer: got %d", a.StatusCode)
		}
	})
}

// TestMetricsStayBounded invents names for everything a client can name and counts the series.
func TestMetricsStayBounded(t *testing.T) {
	run(t, func(t *testing.T, h *host, _ *stages) {
		series := func() int {
			a := h.get(t, "/metrics")
			if a.StatusCode != 200 || !strings.Contains(a.body, `apiserver_request_total{`) {
				t.Fatalf("/metrics: %d", a.StatusCode)
			}
			return strings.Count(a.body, "\napiserver_request")
		}
		invent := func(round string) {
			for i := range 40 {
				n := fmt.Sprintf("%s%d", round, i)
				h.get(t, "/"+n)
				h.get(t, "/livez/"+n)
				h.get(t, "/apis/"+n+"/v1/things")
				h.get(t, "/api/"+n+"/things")
				h.get(t, "/api/v1/"+n)
				h.get(t, "/api/v1/namespaces/"+n+"/pods/x/"+n)
				h.do(t, "VERB"+n, pods, nil)
				h.get(t, pods, "User-Agent", n, "Accept", "application/"+n)
			}
		}
		h.get(t, pods)
		series() // the first one counts itself in the second
		invent("a")
		before := series()
		invent("b")
		if after := series(); after != before {
			t.Errorf("invented names made %d series into %d", before, after)
		}
	})
}

func TestDiscoveryNegotiation(t *testing.T) {
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	run(t, func(t *testing.T, h *host, _ *stages) {
		for _, c := range []struct {
			name, accept, contentType string
			code                      int
		}{
			{"no preference", "", "application/json", 200},
			{"any", "*/*", "application/json", 200},
			{"plain", "application/json", "application/json", 200},
			{"what kubectl sends", aggregated + ",application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", aggregated, 200},
			{"an older form first", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", "application/json", 200},
			{"nothing that is served", "text/html", "application/json", 406},
			{"YAML", "application/yaml", "application/yaml", 200},
			{"protobuf", "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf", 200},
			{"aggregated YAML", strings.Replace(aggregated, "json", "yaml", 1), strings.Replace(aggregated, "json", "yaml", 1), 200},
		} {
			a := h.get(t, "/apis", "Accept", c.accept)
			if got := a.Header.Get("Content-Type"); a.StatusCode != c.code || got != c.contentType {
				t.Errorf("%s: got %d %s, want %d %s", c.name, a.StatusCode, got, c.code, c.contentType)
			}
			if got := a.Header.Get("Vary"); (got == "Accept") != strings.Contains(c.contentType, "as=") {
				t.Errorf("%s: Vary is %q", c.name, got)
			}
		}
		first := h.get(t, "/apis", "Accept", aggregated)
		etag := first.Header.Get("Etag")
		if a := h.get(t, "/apis", "Accept", aggregated, "If-None-Match", etag); a.StatusCode != 304 || a.body != "" {
			t.Errorf("If-None-Match %s: got %d with %d bytes", etag, a.StatusCode, len(a.body))
		}
		if a := h.get(t, "/apis", "Accept", aggregated, "If-None-Match", `"other"`); a.StatusCode != 200 {
			t.Errorf("another tag: got %d", a.StatusCode)
		}
	})
}

// TestDiscoveryEqualsReference compares every served resource with what kube-apiserver 1.36.3 says of it. What is not
// served here may be missing, nothing may be different.
func TestDiscoveryEqualsReference(t *testing.T) {
	reference := map[string]apidiscovery.APIResourceDiscovery{}
	var groupOrder []string
	for _, file := range []string{"testdata/discovery-api.json", "testdata/discovery-apis.json"} {
		var list apidiscovery.APIGroupDiscoveryList
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Items {
			groupOrder = append(groupOrder, g.Name)
			for _, v := range g.Versions {
				for _, r := range v.Resources {
					reference[g.Name+"/"+v.Version+"/"+r.Resource] = r
				}
			}
		}
	}
	h := listen(t, config(t, &stages{}), true)
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	var groups []string
	for _, path := range []string{"/api", "/apis"} {
		var list apidiscovery.APIGroupDiscoveryList
		if err := json.Unmarshal([]byte(h.get(t, path, "Accept", aggregated).body), &list); err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Items {
			groups = append(groups, g.Name)
			for _, v := range g.Versions {
				for _, r := range v.Resources {
					name := g.Name + "/" + v.Version + "/" + r.Resource
					want, ok := reference[name]
					if !ok {
						t.Errorf("%s is not in the reference", name)
						continue
					}
					want.Subresources = slices.DeleteFunc(want.Subresources, func(w apidiscovery.APISubresourceDiscovery) bool {
						return !slices.ContainsFunc(r.Subresources, func(s apidiscovery.APISubresourceDiscovery) bool {
							return s.Subresource == w.Subresource
						})
					})
					if diff := cmp.Diff(want, r, cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				}
			}
		}
	}
	groupOrder = slices.DeleteFunc(groupOrder, func(g string) bool { return !slices.Contains(groups, g) })
	if diff := cmp.Diff(groupOrder, groups); diff != "" {
		t.Errorf("order of groups (-want +got):\n%s", diff)
	}
}

// TestStorageVersionHash compares with values that kube-apiserver 1.36.3 reports.
func TestStorageVersionHash(t *testing.T) {
	h := listen(t, config(t, &stages{}), true)
	for path, want := range map[string]map[string]string{
		"/api/v1":                {"configmaps": "qFsyl6wFWjQ=", "events": "r2yiGXH7wu8=", "namespaces": "Q3oi5N2YM8M=", "namespaces/status": ""},
		"/apis/apps/v1":          {"deployments": "8aSe+NMegvE=", "deployments/status": ""},
		"/apis/autoscaling/v1":   {"horizontalpodautoscalers": "qwQve8ut294="},
		"/apis/events.k8s.io/v1": {"events": "r2yiGXH7wu8="},
	} {
		var list metav1.APIResourceList
		if err := json.Unmarshal([]byte(h.get(t, path).body), &list); err != nil {
			t.Fatal(err)
		}
		for name, hash := range want {
			i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == name })
			if i < 0 {
				t.Errorf("%s does not list %s", path, name)
			} else if got := list.APIResources[i].StorageVersionHash; got != hash {
				t.Errorf("%s %s: got %q, want %q", path, name, got, hash)
			}
		}
	}
}
