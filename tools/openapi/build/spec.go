package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gatehouse/gatehouse/tools/openapi/definitions"
)

const (
	securityName        = "BearerToken"
	securityDescription = "Bearer Token authentication"
)

// tokenSecurity is what every operation asks for.
var tokenSecurity = []map[string][]string{{securityName: {}}}

// documentV2 builds the one OpenAPI 2 document.
func documentV2(routes service) ([]file, error) {
	names := definitionNames()
	doc, err := builder.BuildOpenAPISpecFromRoutes([]common.RouteContainer{routes}, &common.Config{
		ProtocolList:   []string{"https"},
		Info:           apiInfo(),
		GetDefinitions: definitions.GetOpenAPIDefinitions,
		CommonResponses: map[int]spec.Response{
			http.StatusUnauthorized: {ResponseProps: spec.ResponseProps{Description: "Unauthorized"}},
		},
		GetDefinitionName:              names.lookup,
		GetOperationIDAndTagsFromRoute: idAndTags,
		SecurityDefinitions: &spec.SecurityDefinitions{securityName: &spec.SecurityScheme{SecuritySchemeProps: spec.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: securityDescription,
		}}},
		DefaultSecurity: tokenSecurity,
	})
	if err != nil {
		return nil, err
	}
	// Readers of this older format mistake a default for one that clients have to apply.
	doc.Definitions = handler.PruneDefaults(doc.Definitions)
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	message, err := openapi_v2.ParseDocument(text)
	if err != nil {
		return nil, fmt.Errorf("protobuf form: %w", err)
	}
	return bothForms("v2", text, message)
}

// documentV3 builds one OpenAPI 3 document.
func documentV3(path string, routes service) ([]file, error) {
	names := definitionNames().within(func(gv schema.GroupVersion) bool {
		return gv == corev1.SchemeGroupVersion || groupVersionPath(gv) == path
	})
	doc, err := builder3.BuildOpenAPISpecFromRoutes([]common.RouteContainer{routes}, &common.OpenAPIV3Config{
		Info:           apiInfo(),
		GetDefinitions: definitions.GetOpenAPIDefinitions,
		CommonResponses: map[int]*spec3.Response{
			http.StatusUnauthorized: {ResponseProps: spec3.ResponseProps{Description: "Unauthorized"}},
		},
		GetDefinitionName:              names.lookup,
		GetOperationIDAndTagsFromRoute: idAndTags,
		SecuritySchemes: spec3.SecuritySchemes{securityName: &spec3.SecurityScheme{SecuritySchemeProps: spec3.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: securityDescription,
		}}},
		DefaultSecurity: tokenSecurity,
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	message, err := openapi_v3.ParseDocument(text)
	if err != nil {
		return nil, fmt.Errorf("protobuf form: %w", err)
	}
	return bothForms("v3/"+path, text, message)
}

// bothForms are the two files of a document, under the hash of its text.
func bothForms(name string, text []byte, message proto.Message) ([]file, error) {
	binary, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("protobuf form: %w", err)
	}
	hash := fmt.Sprintf("%X", sha256.Sum256(text))
	return []file{{name + ".json", hash, text}, {name + ".pb", hash, binary}}, nil
}

func idAndTags(r common.Route) (id string, tags []string, err error) {
	return r.OperationName(), []string{r.(*route).tag}, nil
}

// apiInfo names the API, which is that of the Kubernetes release the types are from.
func apiInfo() *spec.Info {
	_, minor, _ := strings.Cut(moduleVersion("k8s.io/api"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	return &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: "1." + minor}}
}

// kindNames maps the name of a schema to the kinds that have it.
type kindNames map[string][]schema.GroupVersionKind

// definitionNames collects the kinds of all types, sorted. A type of the API machinery is a kind in every group version.
func definitionNames() kindNames {
	names := make(kindNames)
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if name, err := scheme.Scheme.ToOpenAPIDefinitionName(gvk); err == nil {
			names[name] = append(names[name], gvk)
		}
	}
	for _, kinds := range names {
		slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind))
		})
	}
	return names
}

// within keeps, of the kinds of a type that the filter accepts in part, the accepted ones.
func (n kindNames) within(accept func(schema.GroupVersion) bool) kindNames {
	out := make(kindNames, len(n))
	for name, kinds := range n {
		out[name] = slices.DeleteFunc(slices.Clone(kinds), func(k schema.GroupVersionKind) bool { return !accept(k.GroupVersion()) })
		if len(out[name]) == 0 {
			out[name] = kinds
		}
	}
	return out
}

// lookup adds to a schema which kinds it describes.
func (n kindNames) lookup(name string) (string, spec.Extensions) {
	kinds := n[name]
	if len(kinds) == 0 {
		return name, nil
	}
	list := make([]any, len(kinds))
	for i, k := range kinds {
		list[i] = map[string]any{"group": k.Group, "version": k.Version, "kind": k.Kind}
	}
	return name, spec.Extensions{"x-kubernetes-group-version-kind": list}
}
