package resource

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/store"
)

// Authorizer answers access reviews.
type Authorizer interface {
	Authorize(ctx context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error)
}

// RuleLister answers rules reviews.
type RuleLister interface {
	RulesFor(user api.User, namespace string) (rules []rbacv1.PolicyRule, incomplete error)
}

// TokenIssuer answers token requests of service accounts.
type TokenIssuer interface {
	// IssueToken returns the request with its status, the id by which the audit log knows the token, and warnings for the client.
	IssueToken(ctx context.Context, sa *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) (issued *authenticationv1.TokenRequest, credentialID string, warnings []string, err error)
}

// TokenReviewer says whose token a token is. It answers ok=false, with a reason for the reviewer, for one that is not valid.
type TokenReviewer interface {
	ReviewToken(ctx context.Context, token string, audiences []string) (user api.User, matched []string, ok bool, reason string)
}

// Config is what a Service is made of. Table, Mirror and Admission are required; without the others the resources that
// need them answer 404.
type Config struct {
	Table      *Table
	Mirror     *store.Mirror
	Admission  *admission.Chain
	Authorizer Authorizer
	Rules      RuleLister
	Issuer     TokenIssuer
	Reviewer   TokenReviewer
	// Allocator gives Services their addresses and node ports; nil leaves them as they are written.
	Allocator Allocator
	// Components are what componentstatuses shows, in this order.
	Components []Component
	// EventTTL is how long events are kept; 0 means forever.
	EventTTL time.Duration
	// KubeletAddressTypes are the types of node addresses by which kubelets are connected to, the first that a node has; none means
	// [DefaultKubeletAddressTypes].
	KubeletAddressTypes []string
	// Now is the clock of creation and deletion times; nil means time.Now.
	Now func() time.Time
}

// Component is a part that the server depends on.
type Component struct {
	// Name of the ComponentStatus.
	Name string
	// Check returns why the component does not work, for whoever may read component statuses. It is bounded by its context.
	Check func(ctx context.Context) error
}

// Service carries out the Kubernetes verbs. Every verb takes an [authz.Permit] and acts on the
// request that the permit was given for, and on nothing else: there is no other way to say which object is meant.
type Service struct {
	Config
	caches map[string]*store.Cache // by Type.Prefix
	yaml   chan struct{}           // places for bodies in YAML that are parsed at once
	owners owners
	wrote  atomic.Int64 // revision of this server's last write that admission may have to know of
}

// yamlAtOnce is how many bodies in YAML are parsed at once: each can take a hundred megabytes while it is.
const yamlAtOnce = 2

// NewService registers a cache per stored resource with the mirror, which must not run yet.
func NewService(c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	if len(c.KubeletAddressTypes) == 0 {
		c.KubeletAddressTypes = DefaultKubeletAddressTypes()
	}
	s := &Service{Config: c, caches: map[string]*store.Cache{}, yaml: make(chan struct{}, yamlAtOnce), owners: newOwners(c.Table)}
	for _, t := range c.Table.Types() {
		completeServices(t, c.Allocator)
		if t.Persisted() && t.StoredAs == nil {
			s.caches[t.Prefix] = c.Mirror.Register(t.Prefix, t.codec())
		}
	}
	return s
}

// Cache returns the cache behind a resource, for the server's own loops; nil for a resource that is not stored.
func (s *Service) Cache(t *Type) *store.Cache { return s.caches[t.Prefix] }

// Result is the answer to a verb: a stored object as an Item, or any other object.
type Result struct {
	// Type describes Item; nil with Object.
	Type *Type
	Item *store.Item
	// Object is an answer that is not a stored object: a Status, a Scale, a review.
	Object runtime.Object
	// Code is the HTTP status.
	Code int
}

// target resolves what the permit was given for and checks that the verb is served.
func (s *Service) target(p authz.Permit, verb string) (*Type, error) {
	if !p.Valid() {
		return nil, api.Internal(errors.New("a verb was called without a permit"))
	}
	info := p.Info()
	if info.Verb != verb {
		return nil, api.Internal(fmt.Errorf("permit for %q was used to %s", info.Verb, verb))
	}
	t, ok := s.Table.Lookup(info.Group, info.Version, info.Resource)
	if !ok || len(info.Tail) > 0 {
		return nil, api.PathNotFound()
	}
	if info.Subresource != "" {
		if _, ok := t.Subresource(info.Subresource); !ok {
			return nil, api.PathNotFound()
		}
	}
	if err := checkScope(t, info); err != nil {
		return nil, err
	}
	if !t.Serves(verb, info.Subresource) {
		return nil, api.MethodNotAllowed()
	}
	return t, nil
}

// checkScope refuses a cluster-scoped resource below a namespace, one object of a namespaced resource without, and a verb for one
// object on a collection or the other way round. It keeps what is done to the name that was authorized.
func checkScope(t *Type, info api.RequestInfo) error {
	if !t.Namespaced && info.Namespace != "" && t.Resource != "namespaces" {
		return api.PathNotFound()
	}
	nowhere := t.Namespaced && info.Namespace == ""
	switch info.Verb {
	case "list", "watch":
		return nil // The name, if there is one, selects.
	case "create", "deletecollection":
		if nowhere || (info.Name != "") != (info.Subresource != "") {
			return api.MethodNotAllowed()
		}
		return nil
	}
	switch {
	case info.Name == "":
		return api.MethodNotAllowed()
	case nowhere:
		return api.PathNotFound()
	}
	return nil
}

// key is the etcd key of an object, or of the collection (ending with a slash) where name is empty.
func (s *Service) key(t *Type, namespace, name string) string {
	prefix := s.caches[t.Prefix].Prefix()
	if t.Namespaced && namespace != "" {
		return prefix + namespace + "/" + name
	}
	return prefix + name
}

// stored is the type whose form is in etcd.
func (s *Service) stored(t *Type) *Type {
	if t.StoredAs == nil {
		return t
	}
	owner, _ := s.Table.Lookup(t.StoredAs.Group, t.StoredAs.Version, t.Resource)
	return owner
}

// object decodes an item into the served type.
func (s *Service) object(t *Type, item *store.Item) (Object, error) {
	o, err := s.stored(t).Decode(item)
	if err != nil {
		return nil, broken(t, item, err)
	}
	if t.StoredAs == nil {
		return o, nil
	}
	revision := o.GetResourceVersion()
	if o, err = t.StoredAs.FromStored(o); err != nil {
		return nil, broken(t, item, err)
	}
	o.SetResourceVersion(revision)
	return o, nil
}

// served returns the item in the form of the served type; for most types that is the stored item itself.
func (s *Service) served(t *Type, item *store.Item) (*store.Item, error) {
	if item.Broken != nil {
		return nil, broken(t, item, item.Broken)
	}
	if t.StoredAs == nil {
		return item, nil
	}
	o, err := s.object(t, item)
	if err != nil {
		return nil, err
	}
	value, err := t.encodeValue(o)
	if err != nil {
		return nil, api.Internal(err)
	}
	converted, err := t.newItem(item.Key, o, value, item.Revision)
	if err != nil {
		return nil, api.Internal(err)
	}
	if item.Revision == 0 { // of a dry run
		if draft, ok := store.NewDraft(converted); ok {
			return draft.Unsaved(), nil
		}
	}
	return converted, nil
}

// broken reports a stored object that cannot be read. The client learns which, namespace and name, the log learns why.
func broken(t *Type, item *store.Item, cause error) error {
	_, name, _ := strings.Cut(item.Key, "/"+t.Prefix+"/")
	e := api.Internal(fmt.Errorf("stored object %s: %w", item.Key, cause))
	e.Status.Message = fmt.Sprintf("%s %q cannot be read from storage", t.GR(), name)
	return e
}

// storeError maps the errors of package store.
func storeError(t *Type, name string, err error) error {
	if err == nil {
		return nil
	}
	var own *api.Error // on the heap, so not before there is an error
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, store.ErrExists):
		return api.AlreadyExists(t.GR(), name).Wrap(err)
	case errors.Is(err, store.ErrConflict):
		return api.Conflict(t.GR(), name, errModified).Wrap(err)
	case errors.Is(err, store.ErrStale):
		return api.Conflict(t.GR(), name, errNamespaceChanged).Wrap(err)
	case errors.Is(err, store.ErrCompacted):
		return api.Expired("The resourceVersion for the provided watch is too old.").Wrap(err)
	case errors.Is(err, store.ErrTooLarge):
		return api.TooLarge("the object is larger than etcd accepts").Wrap(err)
	case errors.Is(err, store.ErrNoSpace):
		return api.Unavailable("etcd has no space left: nothing can be written until objects are deleted or the quota is raised").Wrap(err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return api.ToError(err)
	}
	return api.Unavailable("etcd is not available").Wrap(err)
}

var (
	errModified         = errors.New("the object has been modified; please apply your changes to the latest version and try again")
	errNamespaceChanged = errors.New("its namespace keeps being modified; please try again")
)

func structOf(o Object) reflect.Value { return reflect.ValueOf(o).Elem() }
