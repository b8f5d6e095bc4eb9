package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse/gatehouse/api"
)

// Errors that an evaluation can end with.
var (
	// ErrTimeout is the cause where the policies of one review took longer than the engine's timeout together.
	ErrTimeout = errors.New("policy evaluation timed out")
	// ErrNotLoaded is returned by an engine that has no set.
	ErrNotLoaded = errors.New("no policies are loaded")
)

// Options of an [Engine]. The zero value is usable.
type Options struct {
	// Timeout bounds all policies of one review together, waiting for a slot included. Zero means one second.
	Timeout time.Duration
	// MaxConcurrent bounds the reviews that are evaluated at once. Zero means four for each CPU.
	MaxConcurrent int
	// NoDefaults leaves the library's policies off until a configuration turns them on.
	NoDefaults bool
	// Logger gets failed evaluations and reloads. Nil discards them.
	Logger *slog.Logger
}

// Engine evaluates the current [Set]. It is safe for concurrent use. An Engine that was not made by [New]
// refuses every review.
type Engine struct {
	options Options
	slots   chan struct{}
	values  values
	meters  *meters // nil in an engine that was not made by New
	set     atomic.Pointer[Set]

	mu     sync.Mutex // guards status and serializes loads
	status Status
}

// Status says what is loaded, and whether the last attempt to load failed.
type Status struct {
	// Digest is that of the set in use, Policies the number that are on in it.
	Digest   string
	Policies int
	// Err is why the last load failed; nil if it succeeded. The set before it is still in use.
	Err error
}

// New returns an engine with the library and its default configuration.
func New(o Options) (*Engine, error) {
	o.Timeout = cmp.Or(o.Timeout, time.Second)
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, 4*runtime.GOMAXPROCS(0))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Timeout < 0 || o.MaxConcurrent < 0 {
		return nil, fmt.Errorf("policies: timeout %v and %d concurrent reviews must not be negative", o.Timeout, o.MaxConcurrent)
	}
	e := &Engine{options: o, slots: make(chan struct{}, o.MaxConcurrent), meters: newMeters()}
	return e, e.LoadBundle(Bundle{})
}

// Set returns the set in use, nil if there is none.
func (e *Engine) Set() *Set { return e.set.Load() }

// Digest is that of the set in use, empty if there is none.
func (e *Engine) Digest() string {
	if s := e.set.Load(); s != nil {
		return s.digest
	}
	return ""
}

// Matches reports whether some policy may be about objects of the kind, so that a caller need not build a [Review] for
// nobody. It does not look at namespaces. An engine without a set matches everything.
func (e *Engine) Matches(group, kind, operation, subresource string) (mutating, validating bool) {
	s := e.set.Load()
	if s == nil {
		return true, true
	}
	k := key{operation, group, kind, subresource}
	return s.mutate.any(k), s.validate.any(k)
}

// SelectsNamespaces reports whether some policy looks at the labels of namespaces.
func (e *Engine) SelectsNamespaces() bool {
	s := e.set.Load()
	return s == nil || s.mutate.selects || s.validate.selects
}

// Validate returns the violations of the review, ordered by policy, field and message; none means admitted. A policy that
// could not be evaluated is among them. The error is for a review that could not be put to any policy; it refuses. Policies that can
// have nothing to say about the objects, because these lack the fields that they are about, are not evaluated.
func (e *Engine) Validate(ctx context.Context, r *Review) ([]Violation, error) {
	s := e.set.Load()
	if s == nil {
		return nil, ErrNotLoaded
	}
	return e.ask(ctx, s, s.concerned(r.matching(s.validate), r, &e.values), r)
}

// ask evaluates the policies.
func (e *Engine) ask(ctx context.Context, s *Set, asked []*policy, r *Review) ([]Violation, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	shared, err := r.input(&e.values)
	if err != nil {
		return nil, fmt.Errorf("policies: input: %w", err)
	}
	var all []Violation
	e.begin(ctx, s, func(ev *evaluation) {
		for _, p := range asked {
			all = append(all, e.deny(ev, p, shared.with(p.parameters))...)
		}
	})
	return all, nil
}

// Deny asks the authorize policies about a request, before and above every other authorizer. It returns the first policy, by name, that
// denies; one that could not be evaluated does. The error is for a request that could not be put to any policy; denied is true then too.
func (e *Engine) Deny(ctx context.Context, user api.User, info api.RequestInfo) (denied bool, name, reason string, err error) {
	s := e.set.Load()
	if s == nil {
		return true, "", "", ErrNotLoaded
	}
	var matching []*policy
	for _, p := range s.authorize.find(key{info.Verb, info.Group, info.Resource, info.Subresource}) {
		if p.inNamespace(info.Namespace, nil) {
			matching = append(matching, p)
		}
	}
	if len(matching) == 0 {
		return false, "", "", nil
	}
	shared := requestInput(user, info)
	e.begin(ctx, s, func(ev *evaluation) {
		for _, p := range matching {
			if v := e.deny(ev, p, shared.with(p.parameters)); len(v) > 0 {
				denied, name, reason = true, p.name, v[0].Message
				return
			}
		}
	})
	return denied, name, reason, nil
}

// matching are the policies of the index that the review matches, by name.
func (r *Review) matching(x *index) []*policy {
	candidates := x.find(r.key())
	if len(candidates) == 0 {
		return nil
	}
	namespace, labels := r.scope()
	matching := make([]*policy, 0, len(candidates))
	for _, p := range candidates {
		if p.inNamespace(namespace, labels) {
			matching = append(matching, p)
		}
	}
	return matching
}

// concerned are those of the policies whose need the review meets. The others would find nothing.
func (s *Set) concerned(matching []*policy, r *Review, vs *values) []*policy {
	if !slices.ContainsFunc(matching, func(p *policy) bool { return p.need != nil }) {
		return matching
	}
	seen := s.names.sight(vs, r)
	return slices.DeleteFunc(matching, func(p *policy) bool { return p.need != nil && !p.need.metBy(seen) })
}

// begin runs f with one deadline for all of its evaluations, and holds a slot meanwhile. Where no slot becomes free in time, f still runs and
// finds the deadline passed.
func (e *Engine) begin(ctx context.Context, s *Set, f func(*evaluation)) {
	ctx, stop := context.WithTimeoutCause(ctx, e.options.Timeout, ErrTimeout)
	defer stop()
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
	}
	f(&evaluation{set: s, values: &e.values, ctx: ctx, cancel: cancel, seconds: e.meters.seconds})
}

// deny evaluates one deny rule. A failure is a violation with the policy's action, or nothing if it says Ignore.
func (e *Engine) deny(ev *evaluation, p *policy, input ast.Value) []Violation {
	result, err := ev.eval(p, input)
	var found []Violation
	if err == nil {
		found, err = p.violations(result)
	}
	if err == nil {
		return found
	}
	if e.failed(ev.ctx, p, err) {
		return []Violation{{Policy: p.name, Action: p.meta.Action, Message: failureMessage(err)}}
	}
	return nil
}

// failed logs a failed evaluation and reports whether it counts.
func (e *Engine) failed(ctx context.Context, p *policy, err error) bool {
	e.options.Logger.ErrorContext(ctx, "policy could not be evaluated",
		"policy", p.name, "failurePolicy", string(p.meta.FailurePolicy), "err", err)
	e.meters.failures.WithLabelValues(p.name).Inc()
	return p.meta.FailurePolicy != FailurePolicyIgnore
}

// failureMessage tells the client that the policy failed and not why: the reason may show the policy's inside.
func failureMessage(err error) string {
	if errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return "the policy could not be evaluated in time"
	}
	return "the policy could not be evaluated"
}
