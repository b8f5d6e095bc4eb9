package policies

import (
	"context"

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
