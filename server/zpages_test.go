package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/server"
)

func TestZPages(t *testing.T) {
	withFlags := func(c *server.Config) { c.Flags = map[string]string{"secure-port": "6443", "api-audiences": ""} }
	const structured = ";g=config.k8s.io;v=v1beta1;as="
	run(t, func(t *testing.T, h *host, _ *stages) {
		for _, tt := range []struct {
			name, path, accept string
			code               int
			contentType        string
			want               string
		}{
			{"flags for eyes", "/flagz", "", 200, "text/plain; charset=utf-8", "\nsecure-port=6443\n"},
			{"a browser gets text", "/flagz", "text/html, */*;q=0.1", 200, "text/plain; charset=utf-8", "\napi-audiences=\n"},
			{"flags as JSON", "/flagz", "application/json" + structured + "Flagz", 200, "application/json" + structured + "Flagz", `"secure-port": "6443"`},
			{"status for eyes", "/statusz", "text/plain", 200, "text/plain; charset=utf-8", "\nBinary version= 1.36.3+gatehouse\n"},
			{"status as YAML", "/statusz", "application/yaml" + structured + "Statusz", 200, "application/yaml" + structured + "Statusz", "kind: Statusz"},
			{"JSON without a kind", "/statusz", "application/json", 406, "application/json", "NotAcceptable"},
			{"the other page's kind", "/statusz", "application/json" + structured + "Flagz", 406, "application/json", "NotAcceptable"},
			{"a version there is not", "/flagz", "application/json;g=config.k8s.io;v=v1;as=Flagz", 406, "application/json", "NotAcceptable"},
			{"an endless header", "/flagz", strings.Repeat("a/b,", 8<<10), 406, "application/json", "NotAcceptable"},
		} {
			a := h.do(t, http.MethodGet, tt.path, nil, "Accept", tt.accept)
			if a.StatusCode != tt.code || a.Header.Get("Content-Type") != tt.contentType || !strings.Contains(a.body, tt.want) {
				t.Errorf("%s: %d %s\n%s", tt.name, a.StatusCode, a.Header.Get("Content-Type"), a.body)
			}
			switch media, _, _ := strings.Cut(tt.contentType, ";"); {
			case media == "application/json" && !json.Valid([]byte(a.body)):
				t.Errorf("%s: no JSON: %s", tt.name, a.body)
			case media == "application/yaml":
				if err := yaml.UnmarshalStrict([]byte(a.body), &map[string]any{}); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
		}
	}, withFlags)
}
