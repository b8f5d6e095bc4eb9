package celpolicy

import (
	"context"
	"errors"
	"fmt"
	"maps"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/gatehouse/gatehouse/internal/cel"
)

// expression is one of a policy's, compiled or with why it does not compile. The zero expression is one that the policy does not have.
type expression struct {
	program *cel.Program
	err     error
}

func compile(scope *cel.Scope, source string, want ...*celgo.Type) expression {
	p, err := scope.Compile(source, cel.Stored, want...)
	return expression{p, err}
}

// result is what one expression evaluated to, or why it did not; neither of an expression that there is not.
type result struct {
	value ref.Val
	err   error
}

// isFalse reports whether the value is false, as opposed to no value.
func (r result) isFalse() bool { return r.value == types.False }

// common is what the expressions of a policy share.
type common struct {
	variables  *cel.Variables
	conditions []expression
}

// compileCommon compiles variables, each of which sees those before it, and match conditions.
func compileCommon(
	scopes *cel.Admission, hasParams bool, variables []admissionregistrationv1.Variable, conditions []admissionregistrationv1.MatchCondition,
) (common, *cel.Scope) {
	c := common{variables: cel.NewVariables(len(variables))}
	scope := scopes.ScopeFor(cel.Has{Params: hasParams, Authorizer: true}, c.variables)
	for _, v := range variables {
		p, err := scope.Compile(v.Expression, cel.Stored)
		c.variables.Add(v.Name, p, err)
	}
	for _, m := range conditions {
		c.conditions = append(c.conditions, compile(scope, m.Expression, celgo.BoolType))
	}
	return c, scope
}

// evaluate evaluates expressions one after the other, with variables that they share. An error is one after which nothing more of
// the policy may be evaluated; what is wrong with a single expression is part of its result.
func (c *common) evaluate(ctx context.Context, list []expression, values map[string]any, budget *cel.Budget) ([]result, error) {
	values = maps.Clone(values)
	c.variables.Bind(ctx, values, budget)
	results := make([]result, len(list))
	for i, e := range list {
		switch {
		case e.err != nil:
			results[i].err = fmt.Errorf("compilation error: %w", e.err)
		case e.program != nil:
			value, err := e.program.Eval(ctx, values, budget)
			if cel.Ends(err) {
				return nil, err
			}
			results[i] = result{value, err}
		}
	}
	return results, nil
}

// applies asks the match conditions. A false one says no whatever errors there are besides. They do not see the namespace.
func (c *common) applies(ctx context.Context, values map[string]any) (bool, error) {
	if len(c.conditions) == 0 {
		return true, nil
	}
	values = maps.Clone(values)
	values[cel.NamespaceName] = nil
	results, err := c.evaluate(ctx, c.conditions, values, cel.NewBudget(cel.MatchBudget))
	if err != nil {
		return false, err
	}
	var errs []error
	for _, r := range results {
		if r.isFalse() {
			return false, nil
		}
		if r.err != nil {
			errs = append(errs, r.err)
		}
	}
	if len(errs) > 0 {
		return false, utilerrors.NewAggregate(errs)
	}
	return true, nil
}

// over is the error of a request whose time is over, in place of whatever its expressions made of that.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(errOver, context.Cause(ctx), err)
	}
	return nil
}

var errOver = errors.New("celpolicy: the request ended before its policies were evaluated")
