package rbac

import (
	"cmp"
	"hash/maphash"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// A ref names a role or a binding. An empty namespace means the cluster-wide kind.
type ref struct{ namespace, name string }

func (r ref) compare(other ref) int {
	return cmp.Or(cmp.Compare(r.namespace, other.namespace), cmp.Compare(r.name, other.name))
}

// A binding is a RoleBinding or ClusterRoleBinding, compiled once when the object is seen.
type binding struct {
	ref
	roleKind string
	role     ref
	roleHash uint64
	badRef   bool // the roleRef can name no role; the binding grants nothing
	grants   []grant
}

// A grant is one subject of one binding: what the index finds for a user or group.
type grant struct {
	binding *binding
	subject subject
	// kind, name and namespace are the subject as written, for the reason of a decision.
	kind, name, namespace string
}

// A subject is the key of the index: who holds grants, in which namespace ("" for the whole cluster). A
// service account is indexed by its user name.
type subject struct {
	namespace string
	group     bool
	name      string
}

func newBinding(seed maphash.Seed, namespace, name string, roleRef rbacv1.RoleRef, subjects []rbacv1.Subject) *binding {
	b := &binding{ref: ref{namespace, name}, roleKind: roleRef.Kind, role: ref{name: roleRef.Name}}
	switch {
	case roleRef.APIGroup != "" && roleRef.APIGroup != rbacv1.GroupName:
		b.badRef = true
	case roleRef.Kind == "Role" && namespace != "":
		b.role.namespace = namespace
	case roleRef.Kind != "ClusterRole":
		b.badRef = true
	}
	b.roleHash = hashOf(seed, b.role)
	seen := make(map[subject]bool, len(subjects))
	for _, s := range subjects {
		key, ok := subjectKey(s, namespace)
		if !ok || seen[key] {
			continue
		}
		seen[key] = true
		g := grant{binding: b, subject: key, kind: s.Kind, name: s.Name}
		if s.Kind == rbacv1.ServiceAccountKind {
			g.namespace = s.Namespace
			if g.namespace == "" {
				g.namespace = namespace
			}
		}
		b.grants = append(b.grants, g)
	}
	return b
}

// subjectKey returns false for a subject that can be nobody. Among these is a service account with a colon in
// its name or namespace: joined to a user name it could be read as another account.
func subjectKey(s rbacv1.Subject, namespace string) (subject, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return subject{namespace: namespace, name: s.Name}, s.Name != ""
	case rbacv1.GroupKind:
		return subject{namespace: namespace, group: true, name: s.Name}, s.Name != ""
	case rbacv1.ServiceAccountKind:
		home := s.Namespace
		if home == "" {
			home = namespace
		}
		ok := home != "" && s.Name != "" && !strings.Contains(home+s.Name, ":")
		return subject{namespace: namespace, name: api.ServiceAccountPrefix + home + ":" + s.Name}, ok
	}
	return subject{}, false
}

// reason says which binding allowed a request. It is built in one allocation.
func (g *grant) reason() string {
	var buf [256]byte
	b := append(buf[:0], "RBAC: allowed by "...)
	if g.binding.namespace == "" {
		b = append(b, "ClusterRoleBinding "...)
		b = strconv.AppendQuote(b, g.binding.name)
	} else {
		b = append(b, "RoleBinding "...)
		b = appendQuotedPair(b, g.binding.name, g.binding.namespace)
	}
	b = append(b, " of "...)
	b = append(b, g.binding.roleKind...)
	b = append(b, ' ')
	b = strconv.AppendQuote(b, g.binding.role.name)
	b = append(b, " to "...)
	b = append(b, g.kind...)
	b = append(b, ' ')
	if g.kind == rbacv1.ServiceAccountKind {
		b = appendQuotedPair(b, g.name, g.namespace)
	} else {
		b = strconv.AppendQuote(b, g.name)
	}
	return string(b)
}

func appendQuotedPair(b []byte, name, namespace string) []byte {
	return strconv.AppendQuote(b, name+"/"+namespace)
}

// missing is the error for the role that a binding refers to in vain.
func (b *binding) missing() error {
	if b.badRef {
		return &badRefError{kind: b.roleKind}
	}
	return roleNotFound(b.role)
}

func roleNotFound(r ref) error {
	resource := schema.GroupResource{Group: rbacv1.GroupName, Resource: "role"}
	if r.namespace == "" {
		resource.Resource = "clusterrole"
	}
	return api.NotFound(resource, r.name)
}

type badRefError struct{ kind string }

func (e *badRefError) Error() string {
	return "unsupported role reference kind: " + strconv.Quote(e.kind)
}
