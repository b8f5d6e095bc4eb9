package policies

import (
	"context"
	"log/slog"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Occupy takes every slot of the engine until release is called.
func (e *Engine) Occupy() (release func()) {
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	return func() {
		for range cap(e.slots) {
			<-e.slots
		}
	}
}

// EvalWithoutSet evaluates in a state that cannot be, which panics inside.
func EvalWithoutSet(ctx context.Context, e *Engine) error {
	var err error
	e.begin(ctx, nil, func(ev *evaluation) {
		_, err = ev.eval(&policy{}, ast.NewObject())
	})
	return err
}

// ErrPanic is what a panic becomes.
var ErrPanic = errPanic

// ParseCases is the decoder of case files.
func ParseCases(text []byte) error {
	_, err := parseCases(text)
	return err
}

// CompileAlone compiles one policy without the library, which takes a hundredth of the time.
func CompileAlone(text string) (*Set, error) {
	s := &Set{store: inmem.New()}
	modules, err := s.parse(nil, []Source{{Name: "alone.rego", Text: []byte(text)}})
	if err != nil {
		return nil, err
	}
	return s, s.compile(modules)
}

// NewObjectValue returns a conversion that remembers what it learns of types.
func NewObjectValue() func(object any, kind schema.GroupVersionKind) (ast.Value, error) {
	return new(values).object
}

// ObjectValue is how an object reaches policies.
func ObjectValue(object any, kind schema.GroupVersionKind) (ast.Value, error) {
	return new(values).object(object, kind)
}

// NeedOf is the need of the policy, compiled alone.
func NeedOf(text string) (string, error) {
	s, err := CompileAlone(text)
	if err != nil {
		return "", err
	}
	a, err := newAnalysis(s)
	if err != nil {
		return "", err
	}
	return a.anyOf(s.compiler.GetRulesExact(s.policies[0].ref())).String(), nil
}

// Alone returns an engine with no other policy.
func Alone(text string) (*Engine, error) {
	s, err := CompileAlone(text)
	if err != nil {
		return nil, err
	}
	s.index()
	e := &Engine{slots: make(chan struct{}, 1), meters: newMeters(), options: Options{Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)}}
	e.set.Store(s)
	return e, nil
}

// AskAll is Validate, but asks every policy that matches. It reports how many of them Validate asks.
func (e *Engine) AskAll(ctx context.Context, r *Review) (found []Violation, concerned int, err error) {
	s := e.set.Load()
	concerned = len(s.concerned(r.matching(s.validate), r, &e.values))
	found, err = e.ask(ctx, s, r.matching(s.validate), r)
	return found, concerned, err
}

// Unseen are those of the names that the search for names misses in the object.
func Unseen(object any, names []string) (missed []string) {
	v := &vocabulary{exact: map[string]int{}}
	for _, name := range names {
		v.number(fieldName{text: name})
	}
	s := v.sight(new(values), &Review{Object: object})
	for _, name := range names {
		if !s.everything && !s.seen[v.exact[name]] {
			missed = append(missed, name)
		}
	}
	return missed
}
