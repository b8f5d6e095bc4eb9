package extension

import (
	"errors"
	"fmt"
	"strings"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/internal/cel"
	"github.com/gatehouse/gatehouse/rules"
)

// maxExpressions bounds the expressions of one object that are compiled. A body of 3 MiB has room for a hundred thousand, which would take minutes.
const maxExpressions = 1000

// maxConditions bounds the match conditions of a webhook or policy.
const maxConditions = 64

// compiler compiles the expressions of one object while its rules are asked, in the order in which they may refer to one another.
type compiler struct {
	scopes    *cel.Admission
	params    bool            // whether expressions may refer to parameters
	variables *cel.Variables  // nil if they may not refer to variables
	stored    map[string]bool // those that the stored object has, which are compiled with all that was ever accepted
	made      map[cel.Has]*cel.Scope
	compiled  int
}

// scope returns the scope with what is asked for. Those with variables are made for each object.
func (k *compiler) scope(has cel.Has) *cel.Scope {
	if k.variables == nil {
		return k.scopes.Scope(has)
	}
	if k.made[has] == nil {
		if k.made == nil {
			k.made = map[cel.Has]*cel.Scope{}
		}
		k.made[has] = k.scopes.ScopeFor(has, k.variables)
	}
	return k.made[has]
}

// check compiles an expression and adds what is wrong with it. shown is how the answer quotes it.
func (k *compiler) check(
	c *rules.Checker, at *field.Path, scope *cel.Scope, expression, shown string, want ...*celgo.Type,
) (*cel.Program, error) {
	if k.compiled++; k.compiled > maxExpressions {
		err := fmt.Errorf("more than %d expressions", maxExpressions)
		if k.compiled == maxExpressions+1 {
			c.Add(field.Forbidden(at, fmt.Sprintf("an object must not have more than %d expressions", maxExpressions)))
		}
		return nil, err
	}
	mode := cel.New
	if k.stored[shown] {
		mode = cel.Stored
	}
	p, err := scope.Compile(expression, mode, want...)
	if err != nil {
		c.Add(compileError(at, shown, err))
	}
	return p, err
}

// compileError is the cause for an expression that does not compile.
func compileError(at *field.Path, shown string, err error) *field.Error {
	var e *cel.Error
	if errors.As(err, &e) && !cel.Ends(e) {
		return field.Invalid(at, shown, e.Detail)
	}
	return field.InternalError(at, err)
}

// conditions are the rules of match conditions, which see neither variables nor, in webhooks, parameters.
func (k *compiler) conditions(c *rules.Checker, at *field.Path, list []admissionv1.MatchCondition) {
	if len(list) > maxConditions {
		c.Add(field.TooMany(at, len(list), maxConditions))
	}
	scope := k.scopes.Scope(cel.Has{Params: k.params, Authorizer: true})
	seen := make(map[string]bool, len(list))
	for i, m := range list {
		if expression := strings.TrimSpace(m.Expression); expression == "" {
			c.Add(field.Required(at.Index(i).Child("expression"), ""))
		} else {
			_, _ = k.check(c, at.Index(i).Child("expression"), scope, expression, expression, celgo.BoolType)
		}
		if m.Name == "" {
			c.Add(field.Required(at.Index(i).Child("name"), ""))
			continue
		}
		for _, msg := range utilvalidation.IsQualifiedName(m.Name) {
			c.Add(field.Invalid(at.Index(i).Child("name"), m.Name, msg))
		}
		if seen[m.Name] {
			c.Add(field.Duplicate(at.Index(i).Child("name"), m.Name))
		}
		seen[m.Name] = true
	}
}

// webhookConditions are the rules of the match conditions of a webhook.
func webhookConditions(scopes *cel.Admission) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *[]admissionv1.MatchCondition) {
		k := &compiler{scopes: scopes, stored: map[string]bool{}}
		for _, h := range storedHooks(c) {
			for _, m := range h.conditions {
				k.stored[m.Expression] = true
			}
		}
		k.conditions(c, c.Path(), *v)
	})
}

// named are the rules of variables, of which each sees those before it.
func (k *compiler) named(c *rules.Checker, set *rules.Set, list []admissionv1.Variable) {
	for i := range list {
		v := &list[i]
		rules.InIndex(c, set, v, nil, i, "spec", "variables")
		if isBlank(v.Expression) {
			continue
		}
		at := c.At("spec", "variables").Index(i).Child("expression")
		p, err := k.check(c, at, k.scope(cel.Has{Params: k.params, Authorizer: true}), v.Expression, v.Expression)
		k.variables.Add(v.Name, p, err)
	}
}

// sameConditions reports whether an update leaves alone what decides about match conditions, which are then not looked at again.
func sameConditions(params, oldParams *admissionv1.ParamKind, list, oldList []admissionv1.MatchCondition) bool {
	return apiequality.Semantic.DeepEqual(params, oldParams) && apiequality.Semantic.DeepEqual(list, oldList)
}
