package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"testing"

	"github.com/gatehouse/gatehouse/server"
)

// specs is a specification of two documents.
type specs struct{}

func pack(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (specs) V2() server.Spec { return server.Spec{JSON: pack(`{"swagger":"2.0"}`), Hash: "AA"} }

func (specs) V3() map[string]server.Spec {
	return map[string]server.Spec{"api/v1": {JSON: pack(`{"openapi":"3.0.0"}`), Protobuf: pack("proto"), Hash: "BB"}}
}

func TestOpenAPI(t *testing.T) {
	run(t, func(t *testing.T, h *host, _ *stages) {
		var index struct {
			Paths map[string]struct {
				ServerRelativeURL string `json:"serverRelativeURL"`
			} `json:"paths"`
		}
		if err := json.Unmarshal([]byte(h.get(t, "/openapi/v3").body), &index); err != nil {
			t.Fatal(err)
		}
		address := index.Paths["api/v1"].ServerRelativeURL
		if address != "/openapi/v3/api/v1?hash=BB" {
			t.Fatalf("the index is %+v", index)
		}
		for _, c := range []struct {
			name, path string
			headers    []string
			code       int
			body       string
			cache      string
		}{
			{"by its hash for ever", address, nil, 200, `{"openapi":"3.0.0"}`, "public, immutable"},
			{"by an old hash, which leads to the new one", "/openapi/v3/api/v1?hash=00", nil, 200, `{"openapi":"3.0.0"}`, "public, immutable"},
			{"without a hash for now", "/openapi/v3/api/v1", nil, 200, `{"openapi":"3.0.0"}`, "no-cache, private"},
			{"uncompressed", address, []string{"Accept-Encoding", "identity"}, 200, `{"openapi":"3.0.0"}`, "public, immutable"},
			{"gzip refused", address, []string{"Accept-Encoding", "gzip;q=0"}, 200, `{"openapi":"3.0.0"}`, "public, immutable"},
			{
				"as protobuf", address,
				[]string{"Accept", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"},
				200, "proto", "public, immutable",
			},
			{"held by the client", address, []string{"If-None-Match", `"BB"`}, 304, "", "public, immutable"},
			{"v2", "/openapi/v2", nil, 200, `{"swagger":"2.0"}`, "no-cache, private"},
		} {
			a := h.get(t, c.path, c.headers...)
			if a.StatusCode != c.code || a.body != c.body || a.Header.Get("Cache-Control") != c.cache {
				t.Errorf("%s: got %d %q %q, want %d %q %q", c.name, a.StatusCode, a.body, a.Header.Get("Cache-Control"), c.code, c.body, c.cache)
			}
		}
		missing := h.get(t, "/openapi/v2", "Accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
		if missing.StatusCode != 406 || missing.Header.Get("Etag") != "" {
			t.Errorf("a form that is not there: got %d with %v", missing.StatusCode, missing.Header)
		}
		if a := h.get(t, "/openapi/v3/apis/nosuch"); a.StatusCode != 404 {
			t.Errorf("a document that is not there: got %d", a.StatusCode)
		}
	}, func(c *server.Config) { c.OpenAPI = specs{} })
}
