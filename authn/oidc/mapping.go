package oidc

import (
	"errors"
	"fmt"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"k8s.io/apimachinery/pkg/util/validation/field"
	authncel "k8s.io/apiserver/pkg/authentication/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// mapping holds the compiled expressions of an issuer. Those that are not configured are nil.
type mapping struct {
	username, groups, uid authncel.ClaimsMapper
	extra                 authncel.ClaimsMapper
	claimRules            authncel.ClaimsMapper
	userRules             authncel.UserMapper
}

func (m *mapping) usesClaims() bool {
	return m.username != nil || m.groups != nil || m.uid != nil || m.extra != nil || m.claimRules != nil
}

// lazyCompiler makes the environments of CEL when the first expression is compiled: many configurations have none.
type lazyCompiler struct{ made authncel.Compiler }

func (l *lazyCompiler) get() authncel.Compiler {
	if l.made == nil {
		l.made = authncel.NewDefaultCompiler()
	}
	return l.made
}

// building is a mapping in the making, with what is wrong about it.
type building struct {
	compiler      *lazyCompiler
	mapping       mapping
	errs          field.ErrorList
	email         bool // the user name uses claims.email
	emailVerified bool // some expression looks at claims.email_verified
}

func compileMapping(compiler *lazyCompiler, j *JWT, path *field.Path) (*mapping, field.ErrorList) {
	b := &building{compiler: compiler}
	b.claimRules(j.ClaimValidationRules, path.Child("claimValidationRules"))
	b.mappings(&j.ClaimMappings, path.Child("claimMappings"))
	b.userRules(j.UserValidationRules, path.Child("userValidationRules"))
	return &b.mapping, b.errs
}

func (b *building) fail(errs ...*field.Error) { b.errs = append(b.errs, errs...) }

func (b *building) claim(e authncel.ExpressionAccessor, path *field.Path) (authncel.CompilationResult, bool) {
	return b.compiled(e, path, b.compiler.get().CompileClaimsExpression)
}

func (b *building) compiled(e authncel.ExpressionAccessor, path *field.Path,
	compile func(authncel.ExpressionAccessor) (authncel.CompilationResult, error),
) (authncel.CompilationResult, bool) {
	result, err := compile(e)
	if err != nil {
		b.fail(celError(path, e.GetExpression(), err))
		return result, false
	}
	return result, true
}

func celError(path *field.Path, expression string, err error) *field.Error {
	var e *apiservercel.Error
	if errors.As(err, &e) && e.Type == apiservercel.ErrorTypeInvalid {
		return field.Invalid(path, expression, e.Detail)
	}
	return field.InternalError(path, err)
}

func (b *building) claimRules(rules []ClaimValidationRule, path *field.Path) {
	claims, expressions := map[string]bool{}, map[string]bool{}
	var results []authncel.CompilationResult
	for i, r := range rules {
		path := path.Index(i)
		switch {
		case r.Claim != "" && r.Expression != "":
			b.fail(field.Invalid(path, r.Claim, "claim and expression can't both be set"))
		case r.Claim == "" && r.Expression == "":
			b.fail(field.Required(path, "claim or expression is required"))
		case r.Claim != "":
			if r.Message != "" {
				b.fail(field.Invalid(path.Child("message"), r.Message, "may not be specified when claim is set"))
			}
			if claims[r.Claim] {
				b.fail(field.Duplicate(path.Child("claim"), r.Claim))
			}
			claims[r.Claim] = true
		case expressions[r.Expression]:
			b.fail(field.Duplicate(path.Child("expression"), r.Expression))
		default:
			if r.RequiredValue != "" {
				b.fail(field.Invalid(path.Child("requiredValue"), r.RequiredValue, "may not be specified when expression is set"))
			}
			expressions[r.Expression] = true
			if result, ok := b.claim(&authncel.ClaimValidationCondition{Expression: r.Expression, Message: r.Message}, path.Child("expression")); ok {
				results = append(results, result)
				b.emailVerified = b.emailVerified || selects(result.AST, "email_verified")
			}
		}
	}
	if len(results) > 0 {
		b.mapping.claimRules = authncel.NewClaimsMapper(results)
	}
}

func (b *building) mappings(m *ClaimMappings, path *field.Path) {
	if result, ok := b.prefixed(&m.Username, path.Child("username"), true); ok {
		b.email, b.emailVerified = selects(result.AST, "email"), b.emailVerified || selects(result.AST, "email_verified")
		b.mapping.username = authncel.NewClaimsMapper([]authncel.CompilationResult{result})
	}
	if result, ok := b.prefixed(&m.Groups, path.Child("groups"), false); ok {
		b.mapping.groups = authncel.NewClaimsMapper([]authncel.CompilationResult{result})
	}
	switch {
	case m.UID.Claim != "" && m.UID.Expression != "":
		b.fail(field.Invalid(path.Child("uid"), "", "claim and expression can't both be set"))
	case m.UID.Expression != "":
		if result, ok := b.claim(&authncel.ClaimMappingExpression{Expression: m.UID.Expression}, path.Child("uid", "expression")); ok {
			b.mapping.uid = authncel.NewClaimsMapper([]authncel.CompilationResult{result})
		}
	}
	b.extras(m.Extra, path.Child("extra"))
	if b.email && !b.emailVerified {
		b.fail(field.Invalid(path.Child("username", "expression"), m.Username.Expression,
			"claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or "+
				"claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"))
	}
}

func (b *building) prefixed(p *PrefixedClaim, path *field.Path, required bool) (result authncel.CompilationResult, ok bool) {
	switch {
	case p.Expression != "" && p.Claim != "":
		b.fail(field.Invalid(path, "", "claim and expression can't both be set"))
	case p.Expression == "" && p.Claim == "" && required:
		b.fail(field.Required(path, "claim or expression is required"))
	case p.Expression != "":
		if p.Prefix != nil {
			b.fail(field.Invalid(path.Child("prefix"), *p.Prefix, "may not be specified when expression is set"))
		}
		return b.claim(&authncel.ClaimMappingExpression{Expression: p.Expression}, path.Child("expression"))
	case p.Claim != "" && p.Prefix == nil:
		b.fail(field.Required(path.Child("prefix"), "prefix is required when claim is set. It can be set to an empty string to disable prefixing"))
	}
	return result, false
}

func (b *building) extras(extras []ExtraMapping, path *field.Path) {
	seen := map[string]bool{}
	var results []authncel.CompilationResult
	for i, e := range extras {
		path := path.Index(i)
		b.fail(validateExtraKey(e.Key, path.Child("key"))...)
		switch {
		case seen[e.Key]:
			b.fail(field.Duplicate(path.Child("key"), e.Key))
		case e.ValueExpression == "":
			b.fail(field.Required(path.Child("valueExpression"), ""))
		default:
			accessor := &authncel.ExtraMappingExpression{Key: e.Key, Expression: e.ValueExpression}
			if result, ok := b.claim(accessor, path.Child("valueExpression")); ok {
				results = append(results, result)
				b.emailVerified = b.emailVerified || selects(result.AST, "email_verified")
			}
		}
		seen[e.Key] = true
	}
	if len(results) > 0 {
		b.mapping.extra = authncel.NewClaimsMapper(results)
	}
}

func (b *building) userRules(rules []UserValidationRule, path *field.Path) {
	seen := map[string]bool{}
	var results []authncel.CompilationResult
	for i, r := range rules {
		path := path.Index(i).Child("expression")
		switch {
		case r.Expression == "":
			b.fail(field.Required(path, ""))
		case seen[r.Expression]:
			b.fail(field.Duplicate(path, r.Expression))
		default:
			accessor := &authncel.UserValidationCondition{Expression: r.Expression, Message: r.Message}
			if result, ok := b.compiled(accessor, path, b.compiler.get().CompileUserExpression); ok {
				results = append(results, result)
			}
		}
		seen[r.Expression] = true
	}
	if len(results) > 0 {
		b.mapping.userRules = authncel.NewUserMapper(results)
	}
}

// selects reports whether an expression looks at a member of claims by its name, plainly or optionally.
func selects(a *celgo.Ast, member string) (found bool) {
	ofClaims := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "claims" }
	ast.PreOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			s := e.AsSelect()
			found = found || (ofClaims(s.Operand()) && s.FieldName() == member)
		case ast.CallKind:
			c := e.AsCall()
			if args := c.Args(); c.FunctionName() == operators.OptSelect && len(args) == 2 && ofClaims(args[0]) && args[1].Kind() == ast.LiteralKind {
				found = found || args[1].AsLiteral().Value() == member
			}
		}
	}))
	return found
}

// ruleError says which rule a token does not meet.
func ruleError(expression, message string) error {
	return fmt.Errorf("validation expression '%s' failed: %s", expression, message)
}
