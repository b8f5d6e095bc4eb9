package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Most objects give most policies nothing to say: a pod without hostPath, privileged, capabilities and so on cannot violate a rule about
// those. To ask Rego nevertheless, for every pod, was a sixth of what a CREATE cost. So each validate policy is looked through once, when
// it is compiled, for the names of fields without which its deny rule cannot hold (its need), and a review puts an object only to the
// policies whose need it meets.
//
// Why this is safe. In Rego a body holds only if each of its expressions does, and an expression with a reference that leads nowhere does
// not hold. So the names in a reference are needed where it stands in the open: not under a negation, in a comprehension, in an
// alternative of and/or, or under with. Of a rule with several bodies one must hold, so that the need is a list of alternatives. Where the
// reference starts at a variable or a rule, its names must be those of the input too: that is only said of values that are part of the
// input, or built from such parts in ways that are understood (see below), and never of names that some policy makes up in an object of its
// own. Whatever is not understood is taken as needing nothing, and the policy is asked. The tests compare every answer with that of Rego
// alone, for the library and for policies by chance.
//
// The rejected alternatives: to list the names in the metadata of a policy, where a wrong list would be a hole that nobody sees; to
// remember the answers for objects that look alike, which needs what is analyzed here as well, and memory that clients can fill; to rely on
// Rego's own index of rules, which sees references that start at the input and have no variable, so that nothing about containers is
// indexed. The cost is this file, and that a policy that would fail is not seen to fail by objects that it cannot be about.

// maxAlternatives bounds a need; one that is not expressed in so many is not looked for.
const maxAlternatives = 64

// fieldName is a name, or the beginning of one, that an object can have somewhere.
type fieldName struct {
	text   string
	prefix bool
}

func (n fieldName) String() string {
	if n.prefix {
		return n.text + "*"
	}
	return n.text
}

// need is a condition on the names that an object has: all of one alternative. An alternative without names is always met; no alternative
// is never.
type need [][]fieldName

// nothing is the need that every object meets.
func nothing() need { return need{{}} }

func (n need) isNothing() bool {
	return slices.ContainsFunc(n, func(a []fieldName) bool { return len(a) == 0 })
}

func (n need) or(other need) need {
	if both := append(slices.Clip(n), other...); len(both) <= maxAlternatives && !both.isNothing() {
		return both
	}
	return nothing()
}

// and forgets the other need where the alternatives of both would be too many.
func (n need) and(other need) need {
	if other.isNothing() || len(n)*len(other) > maxAlternatives {
		return n
	}
	both := make(need, 0, len(n)*len(other))
	for _, a := range n {
		for _, b := range other {
			all := slices.Clone(a)
			for _, name := range b {
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
			both = append(both, all)
		}
	}
	return both
}

// String lists the alternatives as in "a b | c"; it is empty for no need.
func (n need) String() string {
	if n.isNothing() {
		return ""
	}
	alternatives := make([]string, len(n))
	for i, a := range n {
		alternatives[i] = strings.Trim(fmt.Sprint(a), "[]")
	}
	return strings.Join(alternatives, " | ")
}

// analysis finds the needs of compiled rules.
type analysis struct {
	compiler *ast.Compiler
	// given are names that are no sign of the object: those of the input's other parts, and those of objects that policies make.
	given map[string]bool
	needs map[*ast.Rule]need // of the rules looked through
	clean map[any]bool       // of the rules and comprehensions looked at; false for those under way, so that none proves itself
}

func newAnalysis(s *Set) (*analysis, error) {
	a := &analysis{compiler: s.compiler, given: map[string]bool{}, needs: map[*ast.Rule]need{}, clean: map[any]bool{}}
	empty, err := (&Review{}).input(new(values))
	if err != nil {
		return nil, err
	}
	a.give(ast.NewTerm(ast.NewObject(empty...)))
	a.given["parameters"] = true
	for _, p := range s.policies {
		a.give(p.parameters)
	}
	for _, m := range s.compiler.Modules {
		a.give(m)
	}
	return a, nil
}

// give adds the names of all objects within x.
func (a *analysis) give(x any) {
	ast.WalkTerms(x, func(t *ast.Term) bool {
		if o, ok := t.Value.(ast.Object); ok {
			for _, key := range o.Keys() {
				if name, ok := key.Value.(ast.String); ok {
					a.given[string(name)] = true
				}
			}
		}
		return false
	})
}

// scope is a body with those around it. In a solution of a body all of its expressions hold, and those of the bodies around it.
type scope struct {
	body  ast.Body
	outer *scope
	clean map[ast.Var]bool // of the variables looked at; false for those under way
}

func newScope(body ast.Body, outer *scope) *scope {
	return &scope{body: body, outer: outer, clean: map[ast.Var]bool{}}
}

// anyFact tries the expressions of the body that say something about each of its solutions.
func (s *scope) anyFact(f func(*ast.Expr) bool) bool {
	return slices.ContainsFunc(s.body, func(e *ast.Expr) bool {
		_, plain := e.Terms.([]*ast.Term)
		return plain && !e.Negated && len(e.With) == 0 && f(e)
	})
}

// anyOf is the need of the rules of which one must hold; nothing if there are none, which is not for this to judge.
func (a *analysis) anyOf(rules []*ast.Rule) need {
	if len(rules) == 0 {
		return nothing()
	}
	var all need
	for _, r := range rules {
		if all = all.or(a.rule(r)); all.isNothing() {
			return all
		}
	}
	return all
}

func (a *analysis) rule(r *ast.Rule) need {
	if r.Default {
		return nothing()
	}
	if known, ok := a.needs[r]; ok {
		return known
	}
	a.needs[r] = nothing() // Rego has no recursion; if it had, this would be on the safe side
	n := a.body(newScope(r.Body, nil))
	if r.Else != nil {
		n = n.or(a.rule(r.Else))
	}
	a.needs[r] = n
	return n
}

func (a *analysis) body(s *scope) need {
	all := nothing()
	for _, e := range s.body {
		if !e.Negated && len(e.With) == 0 {
			all = all.and(a.expression(s, e))
		}
	}
	return all
}

func (a *analysis) expression(s *scope, e *ast.Expr) need {
	switch terms := e.Terms.(type) {
	case *ast.Term:
		return a.term(s, terms)
	case []*ast.Term:
		all := nothing()
		if called := a.compiler.GetRulesExact(e.Operator()); len(called) > 0 {
			all = a.anyOf(called)
		}
		for _, operand := range e.Operands() {
			all = all.and(a.term(s, operand))
		}
		return all.and(a.prefix(s, e))
	default: // some, every, and, or, not
		return nothing()
	}
}

// prefix is the need of startswith(name, "text"), where name runs over the names of something that is clean.
func (a *analysis) prefix(s *scope, e *ast.Expr) need {
	if e.Operator().String() != ast.StartsWith.Name || len(e.Operands()) != 2 {
		return nothing()
	}
	v, isVar := e.Operand(0).Value.(ast.Var)
	text, isText := e.Operand(1).Value.(ast.String)
	if !isVar || !isText || !s.anyFact(func(e *ast.Expr) bool { return a.runsOverNames(s, e, v) }) {
		return nothing()
	}
	for name := range a.given {
		if strings.HasPrefix(name, string(text)) {
			return nothing()
		}
	}
	return need{{{text: string(text), prefix: true}}}
}

// term is the need of a term that must be defined.
func (a *analysis) term(s *scope, t *ast.Term) need {
	ref, ok := t.Value.(ast.Ref)
	if !ok {
		return nothing()
	}
	rules, rest := a.resolve(ref)
	all := nothing()
	if len(rules) > 0 && (isComplete(rules) || len(rest) > 0) {
		all = a.anyOf(rules) // a set that nobody puts anything in is defined, its elements are not
	}
	if len(rest) == 0 || !a.cleanHead(s, ref, rules) {
		return all
	}
	var names []fieldName
	for _, part := range rest {
		if name, ok := part.Value.(ast.String); ok && !a.given[string(name)] {
			names = append(names, fieldName{text: string(name)})
		}
	}
	return all.and(need{names})
}

// resolve finds the rules that a reference starts with, if it starts with rules, and what is behind the start.
func (a *analysis) resolve(ref ast.Ref) (rules []*ast.Rule, rest ast.Ref) {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return nil, ref[1:]
	}
	node := a.compiler.RuleTree
	for i, part := range ref {
		if node = node.Child(part.Value); node == nil {
			return nil, nil
		}
		if len(node.Values) > 0 {
			if len(node.Children) > 0 {
				return nil, nil // what the rules say is mixed with what other rules say about parts of it
			}
			return node.Values, ref[i+1:]
		}
	}
	return nil, nil
}

// isComplete says whether the rules give one value, and do not each add to a set or an object.
func isComplete(rules []*ast.Rule) bool {
	return !slices.ContainsFunc(rules, func(r *ast.Rule) bool {
		return r.Head.RuleKind() != ast.SingleValue || !r.Head.Ref().IsGround()
	})
}

// A value is clean if it is part of the input, or made in a way by which it has no object with a name that neither the input has nor given
// lists, and no set, whose elements can be asked for like fields. A variable is clean if one fact about it says so: facts hold together.

// cleanHead says whether what a reference starts with, the input, a variable or the given rules, is clean.
func (a *analysis) cleanHead(s *scope, ref ast.Ref, rules []*ast.Rule) bool {
	if ref.HasPrefix(ast.InputRootRef) {
		return true
	}
	if ref.HasPrefix(ast.DefaultRootRef) {
		return a.cleanRules(rules)
	}
	v, ok := ref[0].Value.(ast.Var)
	return ok && a.cleanVar(s, v)
}

// cleanRule says whether the rule's value is clean; that of a function, where its arguments are.
func (a *analysis) cleanRule(r *ast.Rule) bool {
	return a.once(r, func() bool {
		for each := r; each != nil; each = each.Else {
			s := newScope(each.Body, nil)
			for _, arg := range r.Head.Args {
				if v, ok := arg.Value.(ast.Var); ok {
					s.clean[v] = true
				}
			}
			if !a.cleanTerm(s, each.Head.Value) {
				return false
			}
		}
		return true
	})
}

func (a *analysis) cleanRules(rules []*ast.Rule) bool {
	return len(rules) > 0 && isComplete(rules) && !slices.ContainsFunc(rules, func(r *ast.Rule) bool { return !a.cleanRule(r) })
}

// once remembers the answer of a test.
func (a *analysis) once(of any, test func() bool) bool {
	if _, asked := a.clean[of]; !asked {
		a.clean[of] = false
		a.clean[of] = test()
	}
	return a.clean[of]
}

func (a *analysis) cleanTerm(s *scope, t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Null, ast.Boolean, ast.Number, ast.String:
		return true
	case ast.Var:
		return a.cleanVar(s, v)
	case ast.Ref:
		rules, _ := a.resolve(v)
		return a.cleanHead(s, v, rules)
	case *ast.Array:
		return !v.Until(func(e *ast.Term) bool { return !a.cleanTerm(s, e) })
	case ast.Object:
		return !v.Until(func(key, e *ast.Term) bool {
			_, fixed := key.Value.(ast.String)
			return !fixed || !a.cleanTerm(s, e)
		})
	case *ast.ArrayComprehension:
		return a.once(v, func() bool { return a.cleanTerm(newScope(v.Body, s), v.Term) })
	default:
		return false
	}
}

func (a *analysis) cleanVar(s *scope, v ast.Var) bool {
	if s == nil {
		return false
	}
	if _, asked := s.clean[v]; !asked {
		s.clean[v] = false
		s.clean[v] = s.anyFact(func(e *ast.Expr) bool { return a.makesClean(s, e, v) || a.runsOverNames(s, e, v) }) || a.cleanVar(s.outer, v)
	}
	return s.clean[v]
}

// makesClean says whether the fact gives the variable a clean value.
func (a *analysis) makesClean(s *scope, e *ast.Expr, v ast.Var) bool {
	operands := e.Operands()
	is := func(t *ast.Term) bool { return t.Value.Compare(v) == 0 }
	clean := func(terms ...*ast.Term) bool {
		return !slices.ContainsFunc(terms, func(t *ast.Term) bool { return !a.cleanTerm(s, t) })
	}
	operator := e.Operator()
	switch operator.String() {
	case ast.Equality.Name, ast.Equal.Name, ast.Assign.Name:
		return len(operands) == 2 && (is(operands[0]) && clean(operands[1]) || is(operands[1]) && clean(operands[0]))
	case ast.ArrayConcat.Name:
		return len(operands) == 3 && is(operands[2]) && clean(operands[:2]...)
	case ast.ObjectGet.Name: // a part of the object, or the default
		return len(operands) == 4 && is(operands[3]) && clean(operands[0], operands[2])
	}
	function := a.compiler.GetRulesExact(operator)
	return len(function) > 0 && len(operands) == len(function[0].Head.Args)+1 && is(operands[len(operands)-1]) &&
		clean(operands[:len(operands)-1]...) && a.cleanRules(function)
}

// runsOverNames says whether in the fact the variable stands for the name or the index of a part of something clean.
func (a *analysis) runsOverNames(s *scope, e *ast.Expr, v ast.Var) bool {
	return slices.ContainsFunc(e.Operands(), func(operand *ast.Term) bool {
		ref, ok := operand.Value.(ast.Ref)
		if !ok {
			return false
		}
		rules, rest := a.resolve(ref)
		inside := slices.ContainsFunc(rest, func(part *ast.Term) bool { return part.Value.Compare(v) == 0 })
		return inside && a.cleanHead(s, ref, rules)
	})
}
