package rbac

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

//go:embed defaults.yaml
var defaultsYAML []byte

const (
	bootstrapLabel    = "kubernetes.io/bootstrapping"
	bootstrapValue    = "rbac-defaults"
	aggregateToPrefix = "rbac.authorization.k8s.io/aggregate-to-"
	coreGroup         = "core"  // how the table writes the empty group
	allPaths          = "url:*" // how the table writes the path "*"
)

// Defaults returns the roles and bindings that Kubernetes 1.36 creates at its first start, roles before
// bindings: 69 ClusterRoles, 7 Roles, 50 ClusterRoleBindings and 7 RoleBindings. The aggregated roles admin,
// edit and view have their rules already. Each call returns fresh objects. It panics if the embedded table is
// broken, which the tests of this package exclude.
func Defaults() []runtime.Object {
	objects, err := parseDefaults(defaultsYAML)
	if err != nil {
		panic("rbac: embedded defaults.yaml: " + err.Error())
	}
	return objects
}

// defaultsTable is the form of defaults.yaml.
type defaultsTable struct {
	ClusterRoles        []defaultRole       `json:"clusterRoles"`
	Roles               []defaultRole       `json:"roles"`
	ClusterRoleBindings map[string][]string `json:"clusterRoleBindings"`
	RoleBindings        []defaultBinding    `json:"roleBindings"`
}

type defaultRole struct {
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	AggregateTo string   `json:"aggregateTo"`
	Aggregates  string   `json:"aggregates"`
	Rules       []string `json:"rules"`
}

type defaultBinding struct {
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	Role      string   `json:"role"`
	Subjects  []string `json:"subjects"`
}

func parseDefaults(data []byte) ([]runtime.Object, error) {
	var table defaultsTable
	if err := yaml.UnmarshalStrict(data, &table); err != nil {
		return nil, err
	}
	var objects []runtime.Object
	clusterRoles := make([]*rbacv1.ClusterRole, 0, len(table.ClusterRoles))
	for _, r := range table.ClusterRoles {
		role, err := r.clusterRole()
		if err != nil {
			return nil, err
		}
		clusterRoles = append(clusterRoles, role)
	}
	for _, filled := range AggregateAll(clusterRoles) {
		i := slices.IndexFunc(clusterRoles, func(r *rbacv1.ClusterRole) bool { return r.Name == filled.Name })
		clusterRoles[i] = filled
	}
	for _, r := range clusterRoles {
		objects = append(objects, r)
	}
	for _, r := range table.Roles {
		role, err := r.role()
		if err != nil {
			return nil, err
		}
		objects = append(objects, role)
	}
	bindings, err := table.bindings()
	return append(objects, bindings...), err
}

func (t *defaultsTable) bindings() ([]runtime.Object, error) {
	var objects []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(t.ClusterRoleBindings)) {
		subjects, err := parseSubjects(t.ClusterRoleBindings[name])
		if err != nil {
			return nil, fmt.Errorf("cluster role binding %q: %w", name, err)
		}
		objects = append(objects, &rbacv1.ClusterRoleBinding{
			TypeMeta: typeMeta("ClusterRoleBinding"), ObjectMeta: defaultMeta("", name),
			RoleRef: roleRef("ClusterRole", name), Subjects: subjects,
		})
	}
	for _, b := range t.RoleBindings {
		subjects, err := parseSubjects(b.Subjects)
		if err != nil {
			return nil, fmt.Errorf("role binding %q: %w", b.Name, err)
		}
		objects = append(objects, &rbacv1.RoleBinding{
			TypeMeta: typeMeta("RoleBinding"), ObjectMeta: defaultMeta(b.Namespace, b.Name),
			RoleRef: roleRef("Role", b.Role), Subjects: subjects,
		})
	}
	return objects, nil
}

func (r *defaultRole) clusterRole() (*rbacv1.ClusterRole, error) {
	rules, err := parseRules(r.Rules)
	if err != nil {
		return nil, fmt.Errorf("cluster role %q: %w", r.Name, err)
	}
	if r.Namespace != "" {
		return nil, fmt.Errorf("cluster role %q has a namespace", r.Name)
	}
	role := &rbacv1.ClusterRole{TypeMeta: typeMeta("ClusterRole"), ObjectMeta: defaultMeta("", r.Name), Rules: rules}
	if r.AggregateTo != "" {
		role.Labels[aggregateToPrefix+r.AggregateTo] = "true"
	}
	if r.Aggregates != "" {
		role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{aggregateToPrefix + r.Aggregates: "true"}},
		}}
	}
	return role, nil
}

func (r *defaultRole) role() (*rbacv1.Role, error) {
	rules, err := parseRules(r.Rules)
	if err != nil {
		return nil, fmt.Errorf("role %q: %w", r.Name, err)
	}
	if r.Namespace == "" || r.AggregateTo != "" || r.Aggregates != "" {
		return nil, fmt.Errorf("role %q needs a namespace and cannot aggregate", r.Name)
	}
	return &rbacv1.Role{TypeMeta: typeMeta("Role"), ObjectMeta: defaultMeta(r.Namespace, r.Name), Rules: rules}, nil
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

func defaultMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{bootstrapLabel: bootstrapValue},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func roleRef(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func parseRules(lines []string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	for _, line := range lines {
		r, err := parseRule(line)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// parseRule reads "VERBS PATHS" or "VERBS GROUPS RESOURCES [NAMES]", fields separated by one space.
func parseRule(line string) (rbacv1.PolicyRule, error) {
	fields := strings.Split(line, " ")
	if len(fields) < 2 || len(fields) > 4 {
		return rbacv1.PolicyRule{}, fmt.Errorf("rule %q: want 2 to 4 fields, have %d", line, len(fields))
	}
	lists := make([][]string, len(fields))
	for i, f := range fields {
		lists[i] = strings.Split(f, ",")
		if slices.Contains(lists[i], "") {
			return rbacv1.PolicyRule{}, fmt.Errorf("rule %q: field %d has an empty element", line, i+1)
		}
	}
	r := rbacv1.PolicyRule{Verbs: lists[0]}
	if len(fields) == 2 {
		for _, path := range lists[1] {
			if path == allPaths {
				path = all
			} else if !strings.HasPrefix(path, "/") {
				return rbacv1.PolicyRule{}, fmt.Errorf("rule %q: path %q does not begin with a slash", line, path)
			}
			r.NonResourceURLs = append(r.NonResourceURLs, path)
		}
		return r, nil
	}
	for _, group := range lists[1] {
		if group == coreGroup {
			group = ""
		}
		r.APIGroups = append(r.APIGroups, group)
	}
	r.Resources = lists[2]
	if len(fields) == 4 {
		r.ResourceNames = lists[3]
	}
	return r, nil
}

// parseSubjects reads "User NAME", "Group NAME" and "ServiceAccount NAMESPACE/NAME".
func parseSubjects(texts []string) ([]rbacv1.Subject, error) {
	var subjects []rbacv1.Subject
	for _, text := range texts {
		kind, name, _ := strings.Cut(text, " ")
		s := rbacv1.Subject{Kind: kind, Name: name}
		switch kind {
		case rbacv1.UserKind, rbacv1.GroupKind:
			s.APIGroup = rbacv1.GroupName
		case rbacv1.ServiceAccountKind:
			s.Namespace, s.Name, _ = strings.Cut(name, "/")
		default:
			return nil, fmt.Errorf("subject %q is of no known kind", text)
		}
		if s.Name == "" || strings.Contains(s.Name, " ") {
			return nil, fmt.Errorf("subject %q has no single name", text)
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}
