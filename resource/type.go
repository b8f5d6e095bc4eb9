package resource

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/rules"
)

// Object is a typed API object with metadata that has a protobuf form, as every persisted kind
// of k8s.io/api does.
type Object interface {
	runtime.Object
	metav1.Object
	Marshal() ([]byte, error)
	Size() int
	Unmarshal([]byte) error
}

// allVerbs are the verbs of an ordinary persisted resource, sorted as discovery lists them.
var allVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// Type describes one served resource: how it is named on the wire, where it is stored and which
// of the shared rules apply to it. A Type is immutable once its [Table] has been built.
type Type struct {
	// Group, Version and Kind identify the objects; Group is empty for the core group.
	Group, Version, Kind string
	// Resource is the plural in paths; Singular is what discovery calls one of it.
	Resource, Singular string
	// Namespaced tells whether objects live in a namespace.
	Namespaced bool
	// ShortNames and Categories are what kubectl accepts in place of the plural.
	ShortNames, Categories []string
	// Verbs are the verbs served, sorted; nil means all of an ordinary persisted resource.
	Verbs []string
	// Subresources that are served, sorted by name.
	Subresources []Subresource

	// Prefix is the part of the etcd key between the registry prefix and namespace or name, for
	// example "services/specs". Empty means the resource is not persisted (reviews, bindings).
	Prefix string
	// StoredVersion is written into stored values where it is not Version: the reference keeps
	// some kinds under an older version that has the same encoding.
	StoredVersion string
	// StoredJSON keeps objects in etcd as JSON, as the reference does with those that its extension servers own.
	StoredJSON bool
	// storedForm is how values under StoredVersion are written and read, where that has a schema of its own; nil else.
	storedForm *storedForm
	// Inert says, in a warning to whoever writes an object of the type, that this server stores it without acting on it. Empty
	// for types that mean here what they say.
	Inert string
	// Deprecated is a warning to whoever asks for the type in any way; empty for types that are to be used.
	Deprecated string
	// StoredAs converts to and from another served type that owns the stored form; nil for
	// types that store themselves.
	StoredAs *Conversion

	// ValidName checks metadata.name; nil means a DNS-1123 subdomain.
	ValidName validation.ValidateNameFunc
	// NamesItself gives an object that comes without a name a random one.
	NamesItself bool
	// CreateOnUpdate lets a PUT of a name that does not exist create it.
	CreateOnUpdate bool
	// NeedsRevision refuses an update that carries no resourceVersion.
	NeedsRevision bool
	// ReturnsDeleted answers a completed delete with the object instead of a Status, as the reference does for some kinds.
	ReturnsDeleted bool
	// OrphansByDefault leaves the dependents of a deleted object alone unless the request says otherwise.
	OrphansByDefault bool
	// CreatesStatus keeps the status that a new object is created with.
	CreatesStatus bool
	// HasGeneration counts metadata.generation up when anything but metadata and status changes.
	HasGeneration bool
	// FieldNames are the selectable fields beyond metadata.name and metadata.namespace, and Fields
	// reads them from an object. Both are nil where there are none.
	FieldNames []string
	Fields     func(Object) map[string]string

	// Rules are the defaults and rules of the kind; nil means none.
	Rules *rules.Kind

	// onCreate and onUpdate set what the server decides for the kind, before validation; onUpdate is told which part
	// of the object the request may write.
	onCreate func(o Object, user api.User)
	onUpdate func(o, old Object, part part)
	// guard returns what is wrong with an object because of more than the object: the namespace around it, or further rights that it takes.
	// old is nil on create.
	guard func(ctx context.Context, s *Service, p authz.Permit, o, old Object, part part) field.ErrorList
	// stamp sets times that an update of a subresource leaves out.
	stamp func(o, old Object, now metav1.Time)

	meta metaRules // set by inGroup
	// onBookmark adds what the empty object of a bookmark shows though nothing is set.
	onBookmark func(o Object)
	// onRead completes an object that has been read from etcd with what its stored form does not hold.
	onRead func(o Object)

	newObject   func() Object
	shape       func() *shape // of the message; found out at the first use
	statusIndex int           // index of the Status field of the Go struct, or -1

	columns           *columns // of tables; set by NewTable
	columnDefinitions []byte   // their definitions as JSON
}

// Subresource describes what is served below one object.
type Subresource struct {
	// Name is the path segment, for example "status".
	Name string
	// Kind of the body, where it differs from the parent's; an empty Group with a set Version is the core group.
	Kind schema.GroupVersionKind
	// Verbs served, sorted.
	Verbs []string
}

// Conversion maps a served type to the type whose form is stored. It loses nothing that the
// served type can express.
type Conversion struct {
	// Version and Group name the type that owns the stored form; its Resource and Prefix are the same.
	Group, Version string
	// ToStored and FromStored convert without sharing memory that a caller may change.
	ToStored, FromStored func(Object) (Object, error)
}

// New returns an empty object of the type.
func (t *Type) New() Object { return t.newObject() }

// GVK is the group, version and kind.
func (t *Type) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: t.Group, Version: t.Version, Kind: t.Kind}
}

// GroupVersion is "v1" or "apps/v1", as apiVersion holds it.
func (t *Type) GroupVersion() string {
	return schema.GroupVersion{Group: t.Group, Version: t.Version}.String()
}

// GR is the group and plural, as error messages name the resource.
func (t *Type) GR() schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Resource}
}

// GVR is the group, version and plural.
func (t *Type) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: t.Group, Version: t.Version, Resource: t.Resource}
}

// GK is the group and kind, as validation errors name it.
func (t *Type) GK() schema.GroupKind { return schema.GroupKind{Group: t.Group, Kind: t.Kind} }

// Persisted reports whether objects of the type are kept in etcd.
func (t *Type) Persisted() bool { return t.Prefix != "" }

// isEvents tells the events of both groups, which the reference lists without a cache and whose dependents nobody collects.
func (t *Type) isEvents() bool { return t.Prefix == "events" }

// Subresource returns the description of a subresource.
func (t *Type) Subresource(name string) (Subresource, bool) {
	i := slices.IndexFunc(t.Subresources, func(s Subresource) bool { return s.Name == name })
	if i < 0 {
		return Subresource{}, false
	}
	return t.Subresources[i], true
}

// Serves reports whether the verb applies to the resource, or to the subresource if one is given.
func (t *Type) Serves(verb, subresource string) bool {
	if subresource == "" {
		return slices.Contains(t.Verbs, verb)
	}
	s, ok := t.Subresource(subresource)
	return ok && slices.Contains(s.Verbs, verb)
}

// kind completes a description with what follows from the Go type: the kind's name, the
// constructor and where the status is.
func kind[T any, P interface {
	*T
	Object
}](t Type) *Type {
	rt := reflect.TypeFor[T]()
	t.Kind = rt.Name()
	t.newObject = func() Object { return P(new(T)) }
	t.shape = sync.OnceValue(func() *shape { return shapeOf(rt) })
	t.statusIndex = -1
	if f, ok := rt.FieldByName("Status"); ok && len(f.Index) == 1 {
		t.statusIndex = f.Index[0]
	}
	if t.Verbs == nil {
		t.Verbs = allVerbs
	}
	if t.Singular == "" {
		t.Singular = strings.ToLower(t.Kind)
	}
	if t.ValidName == nil {
		t.ValidName = validation.NameIsDNSSubdomain
	}
	return &t
}

// selectable adapts a typed field reader.
func selectable[P Object](read func(P) map[string]string) func(Object) map[string]string {
	return func(o Object) map[string]string { return read(o.(P)) }
}

var (
	statusVerbs = []string{"get", "patch", "update"}
	status      = Subresource{Name: "status", Verbs: statusVerbs}
	scale       = Subresource{
		Name: "scale", Verbs: statusVerbs,
		Kind: schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"},
	}
)

// longName allows DNS-1123 subdomains, in the words of newer rules, which do not look at the beginnings of generated names.
func longName(name string, prefix bool) []string {
	if prefix {
		return nil
	}
	return content.IsDNS1123Subdomain(name)
}

// maxPathName bounds the names that pathName allows, in bytes, as DNS names are bounded.
const maxPathName = 253

// pathName allows what can stand in a path segment; RBAC names such as system:node need it.
func pathName(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	if errs := content.IsPathSegmentName(name); len(errs) > 0 {
		return errs
	}
	var errs []string
	if len(name) > maxPathName {
		errs = append(errs, utilvalidation.MaxLenError(maxPathName))
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError }) {
		errs = append(errs, "may not contain control characters and must be valid UTF-8")
	}
	return errs
}
