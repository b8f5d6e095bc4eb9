package cel

import (
	"context"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"
)

// VariablesName is the variable whose fields are the named expressions of a policy.
const VariablesName = "variables"

// Variables are the named expressions of one policy, which others refer to as variables.NAME. Each is evaluated where it is first used, and
// at most once for a [Variables.Bind]. It may be used concurrently once all have been added.
type Variables struct {
	object *apiservercel.DeclType
	list   []named
	none   bool // there will be none
}

type named struct {
	name    string
	program *Program
	err     error
}

// NewVariables returns a set to which n variables will be added.
func NewVariables(n int) *Variables {
	return &Variables{object: apiservercel.NewObjectType("kubernetes."+VariablesName, map[string]*apiservercel.DeclField{}), none: n == 0}
}

// Variable is what a scope must be given for its expressions to see the variables that have been added before they are compiled.
func (v *Variables) Variable() Variable { return Variable{Name: VariablesName, Object: v.object} }

// Add makes a variable known to what is compiled from now on. err is why it did not compile; who uses it then fails.
func (v *Variables) Add(name string, p *Program, err error) {
	t := apiservercel.DynType
	if err == nil {
		t = declared(p.Type())
	}
	v.object.Fields[name] = apiservercel.NewDeclField(name, t, true, nil, nil)
	v.list = append(v.list, named{name, p, err})
}

// Bind adds the variables to the values that their expressions are evaluated with. What they cost is taken off the budget.
func (v *Variables) Bind(ctx context.Context, values map[string]any, budget *Budget) {
	m := lazy.NewMapValue(v.object)
	for _, n := range v.list {
		m.Append(n.name, func(*lazy.MapValue) ref.Val { return n.eval(ctx, values, budget) })
	}
	values[VariablesName] = m
}

func (n *named) eval(ctx context.Context, values map[string]any, budget *Budget) ref.Val {
	if n.err != nil {
		return types.NewErr("composited variable %q fails to compile: %v", n.name, n.err)
	}
	value, details, err := n.program.program.Eval(&activation{ctx: ctx, values: values})
	if details == nil {
		return types.NewErr("unable to get evaluation details of variable %q", n.name)
	}
	if details.ActualCost() == nil {
		return types.NewErr("unable to calculate cost of variable %q", n.name)
	}
	if budget.left >= 0 {
		budget.spend(details.ActualCost())
	}
	if err != nil {
		return types.NewErr("composited variable %q fails to evaluate: %v", n.name, err)
	}
	return value
}

// declared is the type of a variable by which the fields and elements of its value are known.
func declared(t *cel.Type) *apiservercel.DeclType {
	for _, simple := range []*apiservercel.DeclType{
		apiservercel.AnyType, apiservercel.BoolType, apiservercel.BytesType, apiservercel.DoubleType, apiservercel.DurationType,
		apiservercel.IntType, apiservercel.NullType, apiservercel.StringType, apiservercel.TimestampType, apiservercel.UintType,
	} {
		if t == simple.CelType() {
			return simple
		}
	}
	if !t.HasTrait(traits.ContainerType) || !t.HasTrait(traits.IndexerType) {
		return apiservercel.DynType
	}
	switch of := t.Parameters(); len(of) {
	case 1:
		return apiservercel.NewListType(declared(of[0]), -1)
	case 2:
		return apiservercel.NewMapType(declared(of[0]), declared(of[1]), -1)
	}
	return apiservercel.DynType
}
