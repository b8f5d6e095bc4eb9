package rbac

import (
	"context"
	"errors"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// maxMissing bounds how many missing roles one reason or error mentions.
const maxMissing = 16

// Authorize allows the request if a role bound to the user has a rule for it, and otherwise has no opinion; it
// never denies. The reason of an Allow names the binding; the reason of no opinion names roles that the user's
// bindings refer to and that do not exist. The error is always nil.
func (x *Index) Authorize(_ context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	q := newQuery(info)
	namespace := info.Namespace
	if !info.IsResource {
		namespace = "" // paths are not in namespaces: only cluster-wide bindings can grant them
	}
	var granted *grant
	var missing missingRoles
	x.visit(user, namespace, func(g *grant, r *role) bool {
		switch {
		case r == nil:
			missing.add(g.binding)
		case r.allows(&q):
			granted = g
			return false
		}
		return true
	})
	if granted != nil {
		return authz.Allow, granted.reason(), nil
	}
	return authz.NoOpinion, missing.reason(), nil
}

// RulesFor returns every rule the user holds in the namespace, cluster-wide ones included; with an empty
// namespace only the latter. The error, if any, says which roles are bound but missing: the rules are then all
// that is known. The rules are the caller's to keep but share memory with the index: they must not be changed.
func (x *Index) RulesFor(user api.User, namespace string) (rules []rbacv1.PolicyRule, incomplete error) {
	var missing missingRoles
	x.visit(user, namespace, func(g *grant, r *role) bool {
		if r == nil {
			missing.add(g.binding)
		} else {
			rules = append(rules, r.rules...)
		}
		return true
	})
	return rules, missing.err()
}

// RoleRules returns the rules of the role that a binding in namespace ("" for a ClusterRoleBinding) refers to.
// A role that does not exist is a 404 [api.Error]; a reference that can name no role is another error. The
// rules must not be changed.
func (x *Index) RoleRules(roleRef rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	b := newBinding(x.seed, namespace, "", roleRef, nil)
	r := x.current.Load().roleOf(b)
	if r == nil {
		return nil, b.missing()
	}
	return r.rules, nil
}

// visit calls yield for each grant of the user, cluster-wide ones first, until it returns false. The role is
// nil where the binding refers to one that does not exist. A user without a name has no grants.
func (x *Index) visit(user api.User, namespace string, yield func(*grant, *role) bool) {
	if user.Name == "" {
		return
	}
	s := x.current.Load()
	if !x.visitScope(s, "", user, yield) || namespace == "" {
		return
	}
	x.visitScope(s, namespace, user, yield)
}

func (x *Index) visitScope(s *snapshot, namespace string, user api.User, yield func(*grant, *role) bool) bool {
	if !x.visitSubject(s, subject{namespace: namespace, name: user.Name}, yield) {
		return false
	}
	for _, group := range user.Groups {
		if !x.visitSubject(s, subject{namespace: namespace, group: true, name: group}, yield) {
			return false
		}
	}
	return true
}

func (x *Index) visitSubject(s *snapshot, who subject, yield func(*grant, *role) bool) bool {
	list, _ := s.grants.get(hashOf(x.seed, who), who)
	for _, g := range list {
		if !yield(g, s.roleOf(g.binding)) {
			return false
		}
	}
	return true
}

// roleOf returns the role that the binding refers to, or nil if there is none.
func (s *snapshot) roleOf(b *binding) *role {
	if b.badRef {
		return nil
	}
	r, _ := s.roles.get(b.roleHash, b.role)
	return r
}

// missingRoles collects, in order and without repetition, what bindings refer to in vain.
type missingRoles struct {
	texts []string
	more  bool
}

func (m *missingRoles) add(b *binding) {
	text := b.missing().Error()
	switch {
	case slices.Contains(m.texts, text):
	case len(m.texts) == maxMissing:
		m.more = true
	default:
		m.texts = append(m.texts, text)
	}
}

func (m *missingRoles) reason() string {
	if err := m.err(); err != nil {
		return "RBAC: " + err.Error()
	}
	return ""
}

func (m *missingRoles) err() error {
	if len(m.texts) == 0 {
		return nil
	}
	text := strings.Join(m.texts, ", ")
	if m.more {
		text += ", and more"
	}
	if len(m.texts) > 1 {
		text = "[" + text + "]"
	}
	return errors.New(text)
}
