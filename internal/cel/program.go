package cel

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// Program is a compiled expression. It is safe for concurrent use.
type Program struct {
	source  string
	program cel.Program
	ast     *cel.Ast
	env     *cel.Env
}

// Source is the expression as it was written.
func (p *Program) Source() string { return p.source }

// Type is what the expression evaluates to, which may be a value of any type.
func (p *Program) Type() *cel.Type { return p.ast.OutputType() }

// MaxCost estimates the most that one evaluation can cost, with the sizes that the estimator knows of the variables.
func (p *Program) MaxCost(sizes checker.CostEstimator) (uint64, error) {
	cost, err := p.env.EstimateCost(p.ast, sizes)
	if err != nil {
		return 0, fmt.Errorf("cel: estimate the cost of %q: %w", p.source, err)
	}
	return cost.Max, nil
}

// Budget is what the evaluations of one decision may cost together. It belongs to one goroutine.
type Budget struct{ left int64 }

// NewBudget returns a budget of so many units, see [BindingBudget].
func NewBudget(units int64) *Budget { return &Budget{units} }

// Left is what is left, and negative once it did not suffice.
func (b *Budget) Left() int64 { return b.left }

// spend takes a cost off the budget. A spent budget stays spent.
func (b *Budget) spend(cost *uint64) {
	if cost == nil || *cost > math.MaxInt64 || int64(*cost) > b.left {
		b.left = -1
		return
	}
	b.left -= int64(*cost)
}

// Eval evaluates with the given values of the variables of the scope. Values are what Go makes of decoded JSON (an object is a
// map[string]any), or a [ref.Val]; one that is declared and missing is an error when it is used. The error is an [*Error];
// see [Ends].
func (p *Program) Eval(ctx context.Context, values map[string]any, budget *Budget) (ref.Val, error) {
	if budget.left < 0 {
		return nil, outOfBudget()
	}
	value, details, err := p.program.Eval(&activation{ctx: ctx, values: values})
	if budget.left < 0 {
		return nil, outOfBudget()
	}
	if details == nil || details.ActualCost() == nil {
		budget.left = -1
		return nil, &Error{
			Type:   apiservercel.ErrorTypeInternal,
			Detail: fmt.Sprintf("runtime cost could not be calculated for expression: %v, no further expression will be run", p.source),
		}
	}
	if budget.spend(details.ActualCost()); budget.left < 0 {
		return nil, outOfBudget()
	}
	if err != nil {
		return nil, &Error{
			Type: apiservercel.ErrorTypeInvalid, Detail: fmt.Sprintf("expression '%v' resulted in error: %v", p.source, err), Cause: err,
		}
	}
	return value, nil
}

func outOfBudget() *Error {
	return &Error{
		Type: apiservercel.ErrorTypeInvalid, Cause: apiservercel.ErrOutOfBudget,
		Detail: "validation failed due to running out of cost budget, no further validation rules will be run",
	}
}

// activation gives a program the values of its variables, and stops its loops when the context ends. The library's own way of stopping
// ends one loop at a time, which a loop around it takes for a failed element and goes on.
type activation struct {
	ctx     context.Context
	values  map[string]any
	asked   uint
	stopped bool
}

// interrupted is the name under which loops ask, after each element, whether to stop.
const interrupted = "#interrupted"

// ResolveName implements [interpreter.Activation].
func (a *activation) ResolveName(name string) (any, bool) {
	if name != interrupted {
		v, ok := a.values[name]
		return v, ok
	}
	if a.asked++; a.asked%celconfig.CheckFrequency == 0 {
		a.stopped = a.stopped || a.ctx.Err() != nil
	}
	return a.stopped, a.stopped
}

// Parent implements [interpreter.Activation].
func (a *activation) Parent() interpreter.Activation { return nil }

// Ends reports whether an error of [Program.Eval] is one after which no other expression of the decision may be evaluated.
func Ends(err error) bool {
	return errors.Is(err, apiservercel.ErrOutOfBudget) || errors.Is(err, apiservercel.ErrInternal)
}
