//lint:file-ignore SA1019 Endpoints are deprecated for clients; the server keeps its own addresses in them.

package resource

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/backend"
)

// Connects reports whether a subresource is not an object but a way to something that runs.
func Connects(group, resource, subresource string) bool {
	if group != "" {
		return false
	}
	switch subresource {
	case "log", "exec", "attach", "portforward":
		return resource == "pods"
	case "proxy":
		return resource == "pods" || resource == "services" || resource == "nodes"
	}
	return false
}

// Connection says where a request for a subresource that [Connects] leads.
type Connection struct {
	// Target is the backend; its What is empty where nothing is to be connected to.
	Target backend.Target
	// Nowhere is set for the log of a pod that has no node yet: the answer is empty.
	Nowhere bool
	// Pod is the name of the pod, for errors of its log.
	Pod string
	// Follow asks for a log as it grows.
	Follow bool
	// Streams are those of a process.
	Streams backend.Streams
	// TakesWebSockets is set where the kubelet understands the WebSockets of clients itself.
	TakesWebSockets bool
	// Prefix is the path on this server that stands for the root of a proxied target.
	Prefix string
}

// connecting is one request to connect.
type connecting struct {
	s       *Service
	ctx     context.Context
	info    api.RequestInfo
	t       *Type
	options runtime.Object
}

// Connect checks the options of a request for a subresource that [Connects], puts it to admission, and says where it leads. Nothing has
// been connected to when it returns. The query is that of the request.
func (s *Service) Connect(ctx context.Context, p authz.Permit, method string, query url.Values, rawQuery string, w Write) (Connection, error) {
	t, err := s.connectable(p, method)
	if err != nil {
		return Connection{}, err
	}
	info := p.Info()
	if len(query["dryRun"]) > 0 && info.Subresource != "log" {
		return Connection{}, api.BadRequest("dryRun is not supported")
	}
	options, err := connectOptions(info, query)
	if err != nil {
		return Connection{}, err
	}
	if info.Subresource != "log" {
		if err := s.admitConnect(ctx, p, t, options, w); err != nil {
			return Connection{}, err
		}
	}
	if err := s.reach(ctx, ""); err != nil {
		return Connection{}, err
	}
	c := &connecting{s: s, ctx: ctx, info: info, t: t, options: options}
	connection, err := c.find(rawQuery)
	if err != nil {
		return Connection{}, err
	}
	connection.Target.Servers = s.servers()
	return connection, nil
}

// connectable is [Service.target] for subresources that connect, which have methods for verbs.
func (s *Service) connectable(p authz.Permit, method string) (*Type, error) {
	if !p.Valid() {
		return nil, api.Internal(errors.New("a connection was asked for without a permit"))
	}
	info := p.Info()
	t, ok := s.Table.Lookup(info.Group, info.Version, info.Resource)
	if !ok || !Connects(info.Group, info.Resource, info.Subresource) {
		return nil, api.PathNotFound()
	}
	if _, ok := t.Subresource(info.Subresource); !ok || (len(info.Tail) > 0 && info.Subresource != "proxy") {
		return nil, api.PathNotFound()
	}
	if info.Name == "" || t.Namespaced == (info.Namespace == "") {
		return nil, api.PathNotFound()
	}
	switch {
	case info.Subresource == "proxy" && (method == http.MethodOptions || method == http.MethodHead):
		return t, nil // Both have verbs in authorization that are not those of discovery.
	case method == http.MethodHead, !t.Serves(info.Verb, info.Subresource):
		return nil, api.MethodNotAllowed()
	}
	return t, nil
}

// admitConnect puts the options to admission.
func (s *Service) admitConnect(ctx context.Context, p authz.Permit, t *Type, options runtime.Object, w Write) error {
	a := s.attributes(p, t, admission.Connect, nil, nil, w)
	a.Object, a.Kind = options, options.GetObjectKind().GroupVersionKind()
	if err := s.Admission.Mutate(ctx, a); err != nil {
		return err
	}
	return s.Admission.Validate(ctx, a)
}

// find reads the objects that say where the request leads.
func (c *connecting) find(rawQuery string) (Connection, error) {
	if c.info.Subresource != "proxy" {
		return c.process()
	}
	var target backend.Target
	var err error
	switch c.info.Resource {
	case "pods":
		target, err = c.pod()
	case "services":
		target, err = c.service()
	default:
		target, err = c.node()
	}
	if err != nil {
		return Connection{}, err
	}
	target.Path, target.RawQuery = proxyPath(c.options), rawQuery
	return Connection{Target: target, Prefix: strings.TrimSuffix(c.info.Path, tailOf(c.info))}, nil
}

// named reads an object of the core group. What is missing is reported as the resource that was asked for, as kube-apiserver does.
func named[P Object](c *connecting, resource, name string) (P, error) {
	var none P
	o, err := c.s.lookup(resource, c.namespaceOf(resource), name)
	if err != nil {
		return none, err
	}
	if o == nil {
		return none, api.NotFound(c.t.GR(), name)
	}
	return o.(P), nil
}

func (c *connecting) namespaceOf(resource string) string {
	if resource == "nodes" {
		return ""
	}
	return c.info.Namespace
}

// lookup reads an object of the core group from the cache; nil if there is none.
func (s *Service) lookup(resource, namespace, name string) (Object, error) {
	t, ok := s.Table.Lookup("", "v1", resource)
	if !ok {
		return nil, nil
	}
	item := s.caches[t.Prefix].Get(s.key(t, namespace, name))
	if item == nil {
		return nil, nil
	}
	return s.object(t, item)
}

// servers are the addresses of the API servers of this cluster, so far as they are published. What cannot be read adds none: the
// server's own addresses are refused in any case.
func (s *Service) servers() []netip.AddrPort {
	const name = "kubernetes"
	var all []netip.AddrPort
	add := func(ip string, port int32) {
		if addr, err := netip.ParseAddr(ip); err == nil && port > 0 && port <= maxPort {
			all = append(all, netip.AddrPortFrom(addr.Unmap(), uint16(port)))
		}
	}
	if o, err := s.lookup("services", metav1.NamespaceDefault, name); err == nil && o != nil {
		spec := o.(*corev1.Service).Spec
		for _, ip := range slices.Concat([]string{spec.ClusterIP}, spec.ClusterIPs) {
			for _, port := range spec.Ports {
				add(ip, port.Port)
			}
		}
	}
	if o, err := s.lookup("endpoints", metav1.NamespaceDefault, name); err == nil && o != nil {
		for _, subset := range o.(*corev1.Endpoints).Subsets {
			for _, a := range slices.Concat(subset.Addresses, subset.NotReadyAddresses) {
				for _, port := range subset.Ports {
					add(a.IP, port.Port)
				}
			}
		}
	}
	return all
}

const maxPort = 65535

// plainError is a 500 without a reason that tells what is wrong, as kube-apiserver answers where nothing better is known.
func plainError(message string) error {
	return &api.Error{Status: metav1.Status{Status: metav1.StatusFailure, Message: message, Code: http.StatusInternalServerError}}
}
