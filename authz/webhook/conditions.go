package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// MaxConditions is how many match conditions a webhook may have.
const MaxConditions = 64

// Conditions are compiled match conditions. Nil matches everything.
type Conditions struct{ matcher authorizationcel.CELMatcher }

// Compile compiles expressions, which read the review as "request". The path is that of the list; errors are those that
// kube-apiserver gives. Without expressions the conditions are nil.
func Compile(path *field.Path, expressions []string) (*Conditions, field.ErrorList) {
	if len(expressions) > MaxConditions {
		return nil, field.ErrorList{field.TooMany(path, len(expressions), MaxConditions)}
	}
	if len(expressions) == 0 {
		return nil, nil
	}
	compiler := authorizationcel.NewDefaultCompiler()
	c := &Conditions{}
	var errs field.ErrorList
	for i, expression := range expressions {
		at := path.Index(i).Child("expression")
		switch {
		case strings.TrimSpace(expression) == "":
			errs = append(errs, field.Required(at, ""))
			continue
		case slices.Contains(expressions[:i], expression):
			errs = append(errs, field.Duplicate(at, expression))
			continue
		}
		compiled, err := compiler.CompileCELExpression(&authorizationcel.SubjectAccessReviewMatchCondition{Expression: expression})
		if err != nil {
			errs = append(errs, celError(at, expression, err))
			continue
		}
		c.matcher.CompilationResults = append(c.matcher.CompilationResults, compiled)
		c.matcher.UsesFieldSelector = c.matcher.UsesFieldSelector || compiled.UsesFieldSelector
		c.matcher.UsesLabelSelector = c.matcher.UsesLabelSelector || compiled.UsesLabelSelector
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return c, nil
}

func celError(at *field.Path, expression string, err error) *field.Error {
	var e *apiservercel.Error
	switch {
	case !errors.As(err, &e):
		return field.InternalError(at, fmt.Errorf("error is not cel error: %w", err))
	case e.Type == apiservercel.ErrorTypeRequired:
		return field.Required(at, e.Detail)
	case e.Type == apiservercel.ErrorTypeInvalid:
		return field.Invalid(at, expression, e.Detail)
	}
	return field.InternalError(at, e)
}

// match reports whether no condition is false. An error means that none is, but that one could not be evaluated.
func (c *Conditions) match(ctx context.Context, spec *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	if c == nil {
		return true, nil
	}
	matches, err := c.matcher.Eval(ctx, &authorizationv1.SubjectAccessReview{Spec: *spec})
	if err == nil {
		// An evaluation that was cut short says nothing.
		err = ctx.Err()
	}
	return matches, err
}
