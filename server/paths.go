package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/gatehouse/gatehouse/api"
)

// page answers a path that is not a resource.
type page func(w http.ResponseWriter, r *http.Request) error

// Documents are those of the service account issuer.
type Documents interface {
	// Discovery is the OpenID provider configuration, as JSON.
	Discovery() []byte
	// JWKS is the set of public keys, as JSON.
	JWKS() []byte
}

// addPages fills the table of the paths that are not resources.
func (s *Server) addPages() error {
	docs, err := discoveryDocuments(s.cfg.Table, s.cfg.Address)
	if err != nil {
		return err
	}
	for path, doc := range docs {
		s.pages[path] = func(w http.ResponseWriter, r *http.Request) error { return serveDocument(w, r, doc) }
	}
	for _, path := range s.probes.paths() {
		s.pages[path] = func(w http.ResponseWriter, r *http.Request) error { return s.probes.serve(w, r, path) }
	}
	if err := s.addSpecs(); err != nil {
		return err
	}
	if d := s.cfg.Issuer; d != nil {
		s.pages["/.well-known/openid-configuration"] = issuerPage(typeJSON, d.Discovery)
		s.pages["/openid/v1/jwks"] = issuerPage("application/jwk-set+json", d.JWKS)
	}
	s.pages["/metrics"] = metricsPage(s.cfg.Registry)
	s.pages["/metrics/slis"] = metricsPage(s.probes.results.registry)
	s.addZPages()
	if err := s.addVersion(); err != nil {
		return err
	}
	return s.addJSON("/", metav1.RootPaths{Paths: s.listedPaths()})
}

// specs3 is the directory of the OpenAPI documents of version 3.
const specs3 = "/openapi/v3/"

// listedPaths is what the list of paths names: every page, and for the OpenAPI documents of version 3, which have an index of their own, the
// directory alone.
func (s *Server) listedPaths() []string {
	paths := []string{"/apis/"}
	for path := range s.pages {
		if !strings.HasPrefix(path, specs3) {
			paths = append(paths, path)
		}
	}
	if s.cfg.OpenAPI != nil {
		paths = append(paths, specs3)
	}
	slices.Sort(paths)
	return paths
}

// addSpecs adds the OpenAPI documents, where there are any.
func (s *Server) addSpecs() error {
	if s.cfg.OpenAPI == nil {
		return nil
	}
	v2, v3 := s.cfg.OpenAPI.V2(), s.cfg.OpenAPI.V3()
	index, err := specIndex(v3)
	if err != nil {
		return err
	}
	modified := time.Now().UTC().Format(http.TimeFormat)
	add := func(path string, spec Spec, protobufType, address string) {
		s.pages[path] = func(w http.ResponseWriter, r *http.Request) error {
			return serveSpec(w, r, spec, protobufType, address, modified)
		}
	}
	add("/openapi/v2", v2, typeSpec2, "")
	s.pages["/openapi/v3"] = indexPage(index, modified)
	for path, spec := range v3 {
		add(specs3+path, spec, typeSpec3, specAddress(path, spec))
	}
	return nil
}

// addJSON adds a page with a fixed, indented document.
func (s *Server) addJSON(path string, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("server: encode %s: %w", path, err)
	}
	s.pages[path] = func(w http.ResponseWriter, _ *http.Request) error {
		write(w, typeJSON, http.StatusOK, body)
		return nil
	}
	return nil
}

// addVersion adds the page with the version, which is served as JSON only.
func (s *Server) addVersion() error {
	if err := s.addJSON("/version", s.cfg.Version); err != nil {
		return err
	}
	version := s.pages["/version"]
	s.pages["/version"] = func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet {
			return api.MethodNotAllowed()
		}
		if accept := r.Header.Get("Accept"); accept != "" {
			if err := produced(accept, false, mediaJSON); err != nil {
				return err
			}
		}
		return version(w, r)
	}
	return nil
}

// servePath answers a request that is not for a resource and was authorized. What the method is counts for the pages of which the reference
// says so and for no other: nothing here changes anything. A path that nothing
// serves gets a Status below the API and a plain text elsewhere, as clients of either expect.
func (s *Server) servePath(w http.ResponseWriter, r *http.Request, info api.RequestInfo) error {
	if serve, ok := s.pages[info.Path]; ok {
		return serve(w, r)
	}
	if parts := strings.Split(info.Path, "/"); parts[1] == "api" || (parts[1] == "apis" && s.pages["/apis/"+parts[2]] != nil) {
		return api.PathNotFound()
	}
	if strings.HasPrefix(info.Path, specs3) {
		w.WriteHeader(http.StatusNotFound) // without a body, as the reference answers
		return nil
	}
	writeNoPage(w)
	return nil
}

// issuerPage serves a document of the issuer; it asks each time because keys are rotated.
func issuerPage(contentType string, body func() []byte) page {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet {
			return api.MethodNotAllowed()
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		write(w, contentType, http.StatusOK, body())
		return nil
	}
}

// DefaultVersion is the version that the server reports unless told otherwise: the Kubernetes API level it
// serves, marked as this server's build. commit and date may be empty.
func DefaultVersion(commit, date string) version.Info {
	return version.Info{
		Major: "1", Minor: "36", EmulationMajor: "1", EmulationMinor: "36",
		MinCompatibilityMajor: "1", MinCompatibilityMinor: "35",
		GitVersion: "v1.36.3+gatehouse", GitCommit: commit, GitTreeState: "clean", BuildDate: date,
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// queryOf is the query of a request. It parses nothing when there is none, which is how most requests come, and returns nil then.
func queryOf(r *http.Request) url.Values {
	if r.URL.RawQuery == "" {
		return nil
	}
	return r.URL.Query()
}

// queryValue is the first value of a query parameter.
func queryValue(r *http.Request, key string) string { return queryOf(r).Get(key) }
