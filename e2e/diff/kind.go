package diff

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/kube-openapi/pkg/spec3"
)

// Kind is one kind in one version, as the reference serves it.
type Kind struct {
	schema.GroupVersionKind
	// Resource is the plural name in a path.
	Resource   string
	Namespaced bool
	// Verbs are those of the resource, Subresources the names of what is below it.
	Verbs, Subresources []string
}

// Name is what filters and reports call the kind, for example apps/Deployment or core/Pod. Versions are not told apart.
func (k Kind) Name() string {
	group := k.Group
	if group == "" {
		group = "core"
	}
	return group + "/" + k.Kind
}

// Collection is the path of the objects of the kind in a namespace, which cluster-scoped kinds do not use.
func (k Kind) Collection(namespace string) string {
	path := k.versionPath()
	if k.Namespaced {
		path += "/namespaces/" + namespace
	}
	return path + "/" + k.Resource
}

func (k Kind) versionPath() string {
	if k.Group == "" {
		return "/api/" + k.Version
	}
	return "/apis/" + k.Group + "/" + k.Version
}

// Discover returns every kind that a server can create.
func Discover(t *Target) ([]Kind, error) {
	client, err := discovery.NewDiscoveryClientForConfig(t.Config)
	if err != nil {
		return nil, fmt.Errorf("discover kinds: %w", err)
	}
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return nil, fmt.Errorf("discover kinds: %w", err)
	}
	var found []Kind
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discover kinds: %w", err)
		}
		found = append(found, kindsIn(gv, list.APIResources)...)
	}
	return found, nil
}

func kindsIn(gv schema.GroupVersion, resources []metav1.APIResource) []Kind {
	below := map[string][]string{}
	for _, r := range resources {
		if parent, sub, ok := strings.Cut(r.Name, "/"); ok {
			below[parent] = append(below[parent], sub)
		}
	}
	var found []Kind
	for _, r := range resources {
		if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "create") {
			continue
		}
		found = append(found, Kind{
			GroupVersionKind: gv.WithKind(r.Kind),
			Resource:         r.Name,
			Namespaced:       r.Namespaced,
			Verbs:            r.Verbs,
			Subresources:     below[r.Name],
		})
	}
	return found
}

// Schema fetches the schema of the kind from the server. All that it refers to is in the same document.
func (k Kind) Schema(ctx context.Context, t *Target) (*Schema, error) {
	path := "/openapi/v3" + k.versionPath()
	a := t.Ask(ctx, Request{Method: http.MethodGet, Path: path, Header: http.Header{"Accept": {"application/json"}}})
	data, err := json.Marshal(a.Object)
	if err != nil || a.Status != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: %d %s %w", path, a.Status, a.Err, err)
	}
	var document spec3.OpenAPI
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	return newSchema(&document, k.GroupVersionKind)
}
