package server

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/resource"
)

// document is an answer that never changes.
type document struct {
	body, protobuf []byte
	// aggregated is the other form of the document, served to clients that accept it; nil where there is none.
	aggregated *document
	etag       string // of an aggregated document
	// strict documents are those of which the reference refuses any method but GET and checks the Accept header twice, see negotiate.go.
	strict bool
}

// encodable is what discovery documents are made of.
type encodable interface {
	runtime.Object
	Marshal() ([]byte, error)
}

// discoveryDocuments builds every discovery document from the table, by path.
func discoveryDocuments(table *resource.Table, address string) (map[string]document, error) {
	b := builder{docs: make(map[string]document)}
	core := aggregatedGroup{list: &apidiscovery.APIGroupDiscoveryList{}}
	named := aggregatedGroup{list: &apidiscovery.APIGroupDiscoveryList{}}
	groups := metav1.APIGroupList{TypeMeta: typeMeta("APIGroupList", "v1")}
	versions := metav1.APIVersions{TypeMeta: typeMeta("APIVersions", "")}
	for _, g := range table.Groups() {
		if g.Group == "" {
			versions.Versions = g.Versions
			core.add(table, g)
		} else {
			groups.Groups = append(groups.Groups, apiGroup(g))
			named.add(table, g)
			single := apiGroup(g)
			single.TypeMeta = typeMeta("APIGroup", "v1")
			b.put("/apis/"+g.Group, &single, false)
		}
		for _, v := range g.Versions {
			b.put(groupVersionPath(g.Group, v), resourceList(table, g.Group, v), true)
		}
	}
	versions.ServerAddressByClientCIDRs = []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: address}}
	b.put("/api", &versions, true)
	b.put("/apis", &groups, false)
	b.aggregate("/api", core.list)
	b.aggregate("/apis", named.list)
	return b.docs, b.err
}

func groupVersionPath(group, version string) string {
	if group == "" {
		return "/api/" + version
	}
	return "/apis/" + group + "/" + version
}

func typeMeta(kind, apiVersion string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: apiVersion}
}

// builder encodes documents and keeps the first error.
type builder struct {
	docs map[string]document
	err  error
}

func (b *builder) encode(path string, o encodable) document {
	body, err := json.Marshal(o)
	raw, protobufErr := o.Marshal()
	if err := errors.Join(err, protobufErr); err != nil && b.err == nil {
		b.err = fmt.Errorf("server: encode discovery document %s: %w", path, err)
	}
	gvk := o.GetObjectKind().GroupVersionKind()
	envelope := resource.AppendEnvelope(nil, gvk.GroupVersion().String(), gvk.Kind, len(raw))
	return document{body: append(body, '\n'), protobuf: resource.AppendEnvelopeEnd(append(envelope, raw...))}
}

func (b *builder) put(path string, o encodable, strict bool) {
	doc := b.encode(path, o)
	doc.strict = strict
	b.docs[path] = doc
}

func (b *builder) aggregate(path string, list *apidiscovery.APIGroupDiscoveryList) {
	list.TypeMeta = typeMeta("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
	aggregated := b.encode(path, list)
	aggregated.etag = fmt.Sprintf(`"%X"`, sha512.Sum512(aggregated.body))
	doc := b.docs[path]
	doc.aggregated = &aggregated
	b.docs[path] = doc
}

func apiGroup(g resource.GroupVersions) metav1.APIGroup {
	group := metav1.APIGroup{Name: g.Group}
	for _, v := range g.Versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: g.Group + "/" + v, Version: v})
	}
	group.PreferredVersion = group.Versions[0]
	return group
}

// resourceList is the document of one group version. The core group's has no apiVersion, as in the reference.
func resourceList(table *resource.Table, group, version string) *metav1.APIResourceList {
	list := &metav1.APIResourceList{TypeMeta: typeMeta("APIResourceList", "v1"), APIResources: []metav1.APIResource{}}
	if group == "" {
		list.APIVersion = ""
	}
	for _, t := range table.Types() {
		if t.Group != group || t.Version != version {
			continue
		}
		list.GroupVersion = t.GroupVersion()
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: t.Resource, SingularName: t.Singular, Namespaced: t.Namespaced, Kind: t.Kind, Verbs: t.Verbs,
			ShortNames: t.ShortNames, Categories: t.Categories, StorageVersionHash: storageVersionHash(t),
		})
		for _, s := range t.Subresources {
			kind := subresourceKind(t, s)
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: t.Resource + "/" + s.Name, Namespaced: t.Namespaced,
				Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Verbs: s.Verbs,
			})
		}
	}
	return list
}

// subresourceKind names the body of a subresource; group and version are empty where they are the parent's.
func subresourceKind(t *resource.Type, s resource.Subresource) metav1.GroupVersionKind {
	k := s.Kind
	if k.Kind == "" {
		return metav1.GroupVersionKind{Kind: t.Kind}
	}
	if k.Group == t.Group && k.Version == t.Version {
		return metav1.GroupVersionKind{Kind: k.Kind}
	}
	return metav1.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// storageVersionHash tells clients when the stored form of a resource changes: the first eight bytes of the SHA-256
// of its group, version and kind.
func storageVersionHash(t *resource.Type) string {
	if !t.Persisted() {
		return ""
	}
	group, version := t.Group, t.Version
	if c := t.StoredAs; c != nil {
		group, version = c.Group, c.Version
	}
	if t.StoredVersion != "" {
		version = t.StoredVersion
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{group, version, t.Kind}, "/")))
	return base64.StdEncoding.EncodeToString(sum[:8])
}

// aggregatedGroup collects groups of one aggregated document.
type aggregatedGroup struct {
	list *apidiscovery.APIGroupDiscoveryList
}

func (a aggregatedGroup) add(table *resource.Table, g resource.GroupVersions) {
	group := apidiscovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.Group}}
	for _, v := range g.Versions {
		version := apidiscovery.APIVersionDiscovery{Version: v, Freshness: apidiscovery.DiscoveryFreshnessCurrent}
		for _, t := range table.Types() {
			if t.Group == g.Group && t.Version == v {
				version.Resources = append(version.Resources, aggregatedResource(t))
			}
		}
		group.Versions = append(group.Versions, version)
	}
	a.list.Items = append(a.list.Items, group)
}

func aggregatedResource(t *resource.Type) apidiscovery.APIResourceDiscovery {
	scope := apidiscovery.ScopeCluster
	if t.Namespaced {
		scope = apidiscovery.ScopeNamespace
	}
	r := apidiscovery.APIResourceDiscovery{
		Resource: t.Resource, SingularResource: t.Singular, Scope: scope, Verbs: t.Verbs,
		ShortNames: t.ShortNames, Categories: t.Categories, ResponseKind: &metav1.GroupVersionKind{Kind: t.Kind},
	}
	for _, s := range t.Subresources {
		kind := subresourceKind(t, s)
		r.Subresources = append(r.Subresources, apidiscovery.APISubresourceDiscovery{
			Subresource: s.Name, ResponseKind: &kind, Verbs: s.Verbs,
		})
	}
	return r
}
