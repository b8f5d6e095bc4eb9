// Package celpolicy puts objects to ValidatingAdmissionPolicies and MutatingAdmissionPolicies, with the decisions, texts and audit annotations of
// kube-apiserver 1.36.
//
// A [Validating] and a [Mutating] read the policies and their bindings from a [Source] whenever these have changed, so a write of a policy takes effect
// as soon as the cache has it. What a policy is about is indexed by resource: a request that no policy is about costs a look into a map, and its
// object is not converted. The expressions of a policy are compiled when a request first matches it, and kept until the policy changes.
//
// It fails closed. A policy that cannot be matched, compiled or evaluated, whose parameters are missing or cannot be read, or that costs too much
// refuses the request, unless its own failurePolicy is Ignore. If any stored policy or binding cannot be decoded, nobody knows what it is about, and
// every request is refused that policies can be about. Policies are never about the policies and bindings themselves, so that they can be repaired,
// nor about reviews, nor about the writes of the server's own loops.
package celpolicy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/internal/cel"
)

// Version identifies what a [Source] holds. Equal versions mean that nothing has changed.
type Version [2]any

// Source is where policies of one kind and their bindings are read.
type Source[P, B any] interface {
	// Version is asked for at every request and has to be cheap. An error means that the source cannot be read yet.
	Version() (Version, error)
	// Objects returns all policies and bindings as of the version or later. They are not changed.
	Objects() (policies []P, bindings []B, err error)
}

// Served is a resource together with the kind of its objects.
type Served struct {
	Resource schema.GroupVersionResource
	Kind     schema.GroupVersionKind
}

// Kinds is what policies need to know of the served kinds.
type Kinds interface {
	// Equivalents returns the other resources that serve the same stored objects and have the subresource, if that is not empty.
	Equivalents(r schema.GroupVersionResource, subresource string) []Served
	// Convert returns an object as another of the kinds that serve it. It shares no memory with the given one.
	Convert(o runtime.Object, to schema.GroupVersionKind) (runtime.Object, error)
	// Default sets the defaults of an object of a served kind.
	Default(kind schema.GroupVersionKind, o runtime.Object)
}

// Params reads the objects that bindings give to policies as parameters.
type Params interface {
	// Kind reports by which resource objects of the kind are served, if they are, and whether in namespaces.
	Kind(kind schema.GroupVersionKind) (resource string, namespaced, served bool)
	// Param returns one object, or nil if there is none. It is not changed.
	Param(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (runtime.Object, error)
	// Params returns the objects that a selector selects: in the namespace, or all where it is empty. They are not changed.
	Params(ctx context.Context, kind schema.GroupVersionKind, namespace string, selector labels.Selector) ([]runtime.Object, error)
}

// Config is what both kinds of policies work with. All of it is required.
type Config struct {
	Kinds      Kinds
	Params     Params
	Namespaces admission.Namespaces
	Authorizer authz.Authorizer
	// Scopes are those of the expressions.
	Scopes *cel.Admission
}

// definition is a policy: what both kinds of them have. It is immutable, but for being compiled when it is first needed.
type definition[E any] struct {
	name, revision string
	match          *criteria
	paramKind      *admissionregistrationv1.ParamKind
	ignore         bool // errors
	compiled       func() E
}

// binding is one that refers to a policy.
type binding struct {
	name     string
	match    *criteria // nil matches everything
	paramRef *admissionregistrationv1.ParamRef
	actions  []admissionregistrationv1.ValidationAction
}

// bound is a policy with the bindings that refer to it, in the order of their names.
type bound[E any] struct {
	*definition[E]
	bindings []*binding
	order    int
}

// set is all bound policies of one version, indexed by what they are about.
type set[E any] struct {
	version     Version
	err         error // why nothing is known
	definitions map[string]*definition[E]
	byResource  map[schema.GroupResource][]*bound[E]
	anyResource []*bound[E]
}

// holder keeps the set of the current version.
type holder[P, B, E any] struct {
	source Source[P, B]
	define func(P) *definition[E]
	bind   func(B) (policy string, b *binding)

	mu      sync.Mutex // serializes rebuilding
	current atomic.Pointer[set[E]]
}

// errNotReady is what a client is told while policies cannot be read.
var errNotReady = errors.New("not yet ready to handle request")

// get returns the set of the current version.
func (h *holder[P, B, E]) get() (*set[E], error) {
	version, err := h.source.Version()
	if err != nil {
		return nil, err
	}
	s := h.current.Load()
	if s == nil || s.version != version {
		s = h.rebuild(version)
	}
	return s, s.err
}

func (h *holder[P, B, E]) rebuild(version Version) *set[E] {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.current.Load()
	if last != nil && last.version == version {
		return last
	}
	s := &set[E]{version: version, definitions: map[string]*definition[E]{}, byResource: map[schema.GroupResource][]*bound[E]{}}
	defer h.current.Store(s)
	policies, bindings, err := h.source.Objects()
	if err != nil {
		s.err = fmt.Errorf("celpolicy: %w", err)
		return s
	}
	byPolicy := map[string][]*binding{}
	for _, b := range bindings {
		name, made := h.bind(b)
		byPolicy[name] = append(byPolicy[name], made)
	}
	for _, p := range policies {
		d := h.define(p)
		if last != nil && last.definitions[d.name] != nil && last.definitions[d.name].revision == d.revision {
			d = last.definitions[d.name] // with what has been compiled
		}
		s.definitions[d.name] = d
	}
	s.index(byPolicy)
	return s
}

func (s *set[E]) index(bindings map[string][]*binding) {
	var all []*bound[E]
	for name, d := range s.definitions {
		if of := bindings[name]; len(of) > 0 {
			slices.SortFunc(of, func(a, b *binding) int { return cmp.Compare(a.name, b.name) })
			all = append(all, &bound[E]{definition: d, bindings: of})
		}
	}
	slices.SortFunc(all, func(a, b *bound[E]) int { return cmp.Compare(a.name, b.name) })
	for i, p := range all {
		p.order = i
		resources, every := p.match.about()
		if every {
			s.anyResource = append(s.anyResource, p)
			continue
		}
		for r := range resources {
			s.byResource[r] = append(s.byResource[r], p)
		}
	}
}

// empty reports whether no policy is bound.
func (s *set[E]) empty() bool { return len(s.byResource) == 0 && len(s.anyResource) == 0 }

// about returns the policies that may be about one of the resources, in the order of their names.
func (s *set[E]) about(resource schema.GroupResource, equivalents []Served) []*bound[E] {
	found := s.byResource[resource]
	if len(s.anyResource) == 0 && !slices.ContainsFunc(equivalents, func(e Served) bool { return e.Resource.GroupResource() != resource }) {
		return found
	}
	list := slices.Concat(found, s.anyResource)
	for _, e := range equivalents {
		if gr := e.Resource.GroupResource(); gr != resource {
			list = append(list, s.byResource[gr]...)
		}
	}
	slices.SortFunc(list, func(a, b *bound[E]) int { return cmp.Compare(a.order, b.order) })
	return slices.Compact(list)
}
