// Package webhook puts objects to the webhooks of MutatingWebhookConfigurations and ValidatingWebhookConfigurations, with the decisions, texts and
// audit annotations of kube-apiserver 1.36.
//
// A [Mutating] asks its webhooks one after the other, by the names of their configurations and then as they stand there; a [Validating] asks up
// to [MaxParallel] at a time. Reviews are of version v1.
//
// It fails closed. While the configurations have not been read, or one of them cannot be decoded, every request is refused that webhooks can be
// about. A webhook that cannot be asked or answers something else refuses the request, unless its own failurePolicy is Ignore. Webhooks are
// never about the objects that configure webhooks and policies, so that these can be repaired, nor about the writes of the server's own loops.
//
// Bounds: the time of a call is that of the webhook, at most 30 seconds, and of the request; [MaxReviewBytes] are sent, and what
// package internal/webhook says is read.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/internal/webhook"
)

// Bounds of calls.
const (
	MaxParallel    = 32
	MaxReviewBytes = 16 << 20
	maxTimeout     = 30 * time.Second
)

// Source is where the configurations of one kind are read.
type Source[C any] interface {
	// Version is asked for at every request and has to be cheap; equal versions mean that nothing has changed. An error means that the source
	// cannot be read yet.
	Version() (any, error)
	// Configurations returns all as of the version or later. They are not changed.
	Configurations() ([]C, error)
}

// Matcher tells which requests one webhook is about.
type Matcher interface {
	// Match reports whether it is about the request, and as which resource and kind. An error refuses the request.
	Match(ctx context.Context, a *admission.Attributes) (schema.GroupVersionResource, schema.GroupVersionKind, bool, error)
}

// Kinds is what webhooks need to know of the served kinds.
type Kinds interface {
	// Convert returns an object as another of the kinds that serve it. It shares no memory with the given one.
	Convert(o runtime.Object, to schema.GroupVersionKind) (runtime.Object, error)
	// Default sets the defaults of an object of a served kind.
	Default(kind schema.GroupVersionKind, o runtime.Object)
}

// Services connects to Services.
type Services interface {
	// DialService connects to a port of a Service at an address that may be connected to.
	DialService(ctx context.Context, namespace, name string, port int32) (net.Conn, error)
}

// Config is what both kinds of webhooks work with. All of it is required but for Metrics.
type Config struct {
	Kinds    Kinds
	Services Services
	Pool     *webhook.Pool
	// Metrics counts the webhooks asked; nil counts nothing.
	Metrics *admission.Metrics
	// Matching makes a Matcher of what a webhook is about. With ignore its conditions do not refuse.
	Matching func(about *admissionregistrationv1.MatchResources, conditions []admissionregistrationv1.MatchCondition, ignore bool) Matcher
}

// hook is one webhook. It is immutable.
type hook struct {
	*admissionregistrationv1.MutatingWebhook // also of one that validates, which has no less
	configuration, uid                       string
	matcher                                  Matcher
}

func (h *hook) ignores() bool {
	return h.FailurePolicy != nil && *h.FailurePolicy == admissionregistrationv1.Ignore
}

// timeout is never more than the bound, whatever is stored.
func (h *hook) timeout() time.Duration {
	if h.TimeoutSeconds == nil || *h.TimeoutSeconds < 1 || *h.TimeoutSeconds > 30 {
		return maxTimeout
	}
	return time.Duration(*h.TimeoutSeconds) * time.Second
}

// set is all webhooks of one version in their order.
type set struct {
	version any
	err     error // why nothing is known
	hooks   []*hook
	known   map[string][]*hook // by configuration and its revision
}

// holder keeps the set of the current version.
type holder[C metav1.Object] struct {
	config *Config
	source Source[C]
	list   func(C) []admissionregistrationv1.MutatingWebhook

	mu      sync.Mutex // serializes rebuilding
	current atomic.Pointer[set]
}

var errNotReady = errors.New("not yet ready to handle request")

// relevant returns the webhooks if they may be about the request.
func (h *holder[C]) relevant(a *admission.Attributes) ([]*hook, error) {
	if exempt(a.Kind) || exempt(schema.GroupVersionKind{Group: a.Resource.Group, Kind: a.Resource.Resource}) || a.Permit.IsSystem() {
		return nil, nil
	}
	version, err := h.source.Version()
	if err != nil {
		return nil, a.Forbidden(errNotReady).Wrap(err)
	}
	s := h.current.Load()
	if s == nil || s.version != version {
		s = h.rebuild(version)
	}
	if s.err != nil {
		return nil, a.Forbidden(errNotReady).Wrap(s.err)
	}
	return s.hooks, nil
}

// exempt are the objects that say what is asked at all. Nobody can lock others out of them.
func exempt(kind schema.GroupVersionKind) bool {
	return kind.Group == admissionregistrationv1.GroupName
}

func (h *holder[C]) rebuild(version any) *set {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.current.Load()
	if last != nil && last.version == version {
		return last
	}
	s := &set{version: version, known: map[string][]*hook{}}
	defer h.current.Store(s)
	configurations, err := h.source.Configurations()
	if err != nil {
		s.err = fmt.Errorf("admission webhooks: %w", err)
		return s
	}
	configurations = slices.Clone(configurations)
	slices.SortFunc(configurations, func(a, b C) int { return strings.Compare(a.GetName(), b.GetName()) })
	for _, c := range configurations {
		key := fmt.Sprintf("%s/%s/%s", c.GetName(), c.GetUID(), c.GetResourceVersion())
		hooks, ok := []*hook(nil), false
		if last != nil {
			hooks, ok = last.known[key] // with what has been compiled
		}
		if !ok {
			hooks = h.config.hooks(c.GetName(), h.list(c))
		}
		s.known[key] = hooks
		s.hooks = append(s.hooks, hooks...)
	}
	return s
}

// hooks makes webhooks of those of one configuration.
func (c *Config) hooks(configuration string, list []admissionregistrationv1.MutatingWebhook) (hooks []*hook) {
	seen := map[string]int{}
	for i := range list {
		w := &list[i]
		about := &admissionregistrationv1.MatchResources{
			NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, MatchPolicy: w.MatchPolicy,
		}
		for _, rule := range w.Rules {
			about.ResourceRules = append(about.ResourceRules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
		}
		h := &hook{MutatingWebhook: w, configuration: configuration, uid: fmt.Sprintf("%s/%s/%d", configuration, w.Name, seen[w.Name])}
		h.matcher = c.Matching(about, w.MatchConditions, h.ignores())
		seen[w.Name]++
		hooks = append(hooks, h)
	}
	return hooks
}
