package policies

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkReferences refuses references to what no file defines. Rego takes them for data that may come from elsewhere: they
// are undefined, and a rule with a misspelt name in it never denies. Here there is no data from elsewhere. References
// that are computed cannot be checked.
func (s *Set) checkReferences() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.compiler.Modules)) {
		for _, rule := range s.compiler.Modules[name].Rules {
			ast.WalkTerms(rule, func(t *ast.Term) bool {
				ref, ok := t.Value.(ast.Ref)
				if !ok || !ref.HasPrefix(ast.DefaultRootRef) {
					return false
				}
				// The compiler makes terms of its own, with parts of those that were written.
				where := cmp.Or(t.Location, ref[len(ref)-1].Location, ref[0].Location, rule.Location)
				if err := s.lookUp(ref, where); err != nil {
					errs = append(errs, err)
				}
				return false
			})
		}
	}
	return errors.Join(errs...)
}

// lookUp follows the reference to a rule, or as far as it is not computed.
func (s *Set) lookUp(ref ast.Ref, where *ast.Location) error {
	node := s.compiler.RuleTree.Child(ref[0].Value)
	for i, part := range ref[1:] {
		if node != nil && len(node.Values) > 0 {
			return nil // the rest is a part of what the rule gives
		}
		key, ok := part.Value.(ast.String)
		if !ok {
			return nil
		}
		var next *ast.TreeNode
		if node != nil {
			next = node.Child(key)
		}
		if next == nil {
			return fmt.Errorf("%s: %s is not defined by any policy or helper%s", at(where), ref[:i+2], suggest(string(key), childNames(node)))
		}
		node = next
	}
	return nil
}

func childNames(node *ast.TreeNode) []string {
	if node == nil {
		return nil
	}
	var names []string
	for key := range node.Children {
		if name, ok := key.(ast.String); ok {
			names = append(names, string(name))
		}
	}
	return names
}
