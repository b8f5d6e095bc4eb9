// Package cel compiles and evaluates the expressions that API objects and configuration files hold, in the Common Expression Language
// with the libraries, the limits and the error texts of kube-apiserver 1.36.
//
// A [Scope] says what an expression may refer to, and makes a [Program] of it. A program is safe for concurrent use. One evaluation costs
// at most [PerCallLimit], the evaluations of one decision together at most what their [Budget] holds, and a context that has ended stops
// them within a hundred iterations. There is no clock, no network and no state in an expression, but for the authorizer that a caller gives it.
//
// Environments are built when the first expression of their scope is compiled, so a server without expressions never builds one.
package cel

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Limits in units of cost, of which a million take about a tenth of a second.
const (
	// PerCallLimit is what one evaluation may cost.
	PerCallLimit = celconfig.PerCallLimit
	// BindingBudget is what all expressions of an admission policy may cost for one binding and one set of parameters.
	BindingBudget = celconfig.RuntimeCELCostBudget
	// MatchBudget is what the match conditions of one policy or webhook may cost together.
	MatchBudget = celconfig.RuntimeCELCostBudgetMatchConditions
)

// Mode is which vocabulary an expression is compiled with.
type Mode = environment.Type

// Modes.
const (
	// New is for expressions that a client writes. It has what the release before this one knows too, so that a rollback can read them.
	New Mode = environment.NewExpressions
	// Stored is for expressions that are stored or stand in a file. It has everything that was ever accepted.
	Stored Mode = environment.StoredExpressions
)

// Error is why an expression does not compile, or what went wrong when it was evaluated. Its text is for clients. It is
// [apiservercel.ErrOutOfBudget] for errors.Is if the budget did not suffice.
type Error = apiservercel.Error

// Variable is a name that expressions may use.
type Variable struct {
	Name string
	// Object is the type with its fields; nil if Type says all.
	Object *apiservercel.DeclType
	// Type is the type if Object is nil; nil for a value whose type is not known before it is evaluated.
	Type *cel.Type
}

// Scope is what expressions may refer to. It is safe for concurrent use.
type Scope struct {
	build func() (*environment.EnvSet, error)
}

// NewScope makes a scope with the libraries of Kubernetes and the given variables.
func NewScope(variables ...Variable) *Scope {
	return &Scope{sync.OnceValues(func() (*environment.EnvSet, error) {
		return extend(environment.MustBaseEnvSet(rollback()), variables, boundedQuantities())
	})}
}

// rollback is the release to which a server of this release can be rolled back.
func rollback() *version.Version { return version.MajorMinor(1, 35) }

// With returns a scope that has more variables.
func (s *Scope) With(variables ...Variable) *Scope { return s.extended(variables, nil) }

// extended returns a scope that has more variables and libraries.
func (s *Scope) extended(variables []Variable, libraries []cel.EnvOption) *Scope {
	return &Scope{sync.OnceValues(func() (*environment.EnvSet, error) {
		set, err := s.build()
		if err != nil {
			return nil, err
		}
		return extend(set, variables, libraries)
	})}
}

func extend(set *environment.EnvSet, variables []Variable, libraries []cel.EnvOption) (*environment.EnvSet, error) {
	options := environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0)}
	for _, v := range variables {
		t := v.Type
		switch {
		case v.Object != nil:
			t = v.Object.CelType()
			options.DeclTypes = append(options.DeclTypes, v.Object)
		case t == nil:
			t = cel.DynType
		}
		options.EnvOptions = append(options.EnvOptions, cel.Variable(v.Name, t))
	}
	options.EnvOptions = append(options.EnvOptions, libraries...)
	return set.Extend(options)
}

// Compile checks an expression and makes a program of it. Its result must be of one of the wanted types; without any, every type
// will do. The error is an [*Error]; it is internal only if the server is at fault.
func (s *Scope) Compile(expression string, mode Mode, want ...*cel.Type) (*Program, error) {
	set, err := s.build()
	if err != nil {
		return nil, &Error{Type: apiservercel.ErrorTypeInternal, Detail: fmt.Sprintf("unexpected error loading CEL environment: %v", err), Cause: err}
	}
	env, err := set.Env(mode)
	if err != nil {
		return nil, &Error{Type: apiservercel.ErrorTypeInternal, Detail: fmt.Sprintf("unexpected error loading CEL environment: %v", err), Cause: err}
	}
	ast, issues := env.Compile(expression)
	if issues != nil {
		return nil, &Error{
			Type: apiservercel.ErrorTypeInvalid, Detail: "compilation failed: " + issues.String(), Cause: apiservercel.NewCompilationError(issues),
		}
	}
	if err := checkType(ast.OutputType(), want); err != nil {
		return nil, err
	}
	program, err := env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	if err != nil {
		return nil, &Error{Type: apiservercel.ErrorTypeInternal, Detail: "program instantiation failed: " + err.Error(), Cause: err}
	}
	return &Program{source: expression, program: program, ast: ast, env: env}, nil
}

// checkType holds what an expression makes against what is wanted of it.
func checkType(got *cel.Type, want []*cel.Type) error {
	if len(want) == 0 {
		return nil
	}
	for _, w := range want {
		if got.IsExactType(w) {
			return nil
		}
	}
	text := fmt.Sprintf("must evaluate to one of %v but got %v", want, got)
	if len(want) == 1 {
		text = fmt.Sprintf("must evaluate to %v but got %v", want[0], got)
	}
	return &Error{Type: apiservercel.ErrorTypeInvalid, Detail: text}
}
