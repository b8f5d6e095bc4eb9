package rbac_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse/gatehouse/authz/rbac"
)

func TestParseDefaultsRefuses(t *testing.T) {
	tests := []struct{ name, table, want string }{
		{"an unknown field", "clusterRoles: [{name: a, rule: []}]", "unknown field"},
		{"a repeated key", "clusterRoles: []\nclusterRoles: []", "already"},
		{"a rule of one field", "clusterRoles: [{name: a, rules: [get]}]", "2 to 4 fields"},
		{"two spaces", "clusterRoles: [{name: a, rules: ['get  core pods']}]", "empty element"},
		{"a path without a slash", "clusterRoles: [{name: a, rules: [get pods]}]", "begin with a slash"},
		{"a cluster role in a namespace", "clusterRoles: [{name: a, namespace: b}]", "has a namespace"},
		{"a role in none", "roles: [{name: a}]", "needs a namespace"},
		{"an aggregating role", "roles: [{name: a, namespace: b, aggregates: c}]", "cannot aggregate"},
		{"a subject of no kind", "clusterRoleBindings: {a: [jane]}", "no known kind"},
		{"a subject without a name", "clusterRoleBindings: {a: ['User ']}", "no single name"},
		{"an account without a name", "roleBindings: [{name: a, namespace: b, role: c, subjects: [ServiceAccount x/]}]", "no single name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if objects, err := rbac.ParseDefaults([]byte(tt.table)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseDefaults = %v, %v; want an error with %q", objects, err, tt.want)
			}
		})
	}
}

// FuzzParseRule: a line is refused or written back as it was.
func FuzzParseRule(f *testing.F) {
	for _, line := range []string{"get core pods", "* * *", "* url:*", "get /a,/b/*", "get,list core,apps pods/log,x a,b", "get", "a b c d e", "get core ,"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := rbac.ParseRule(line)
		if err != nil {
			return
		}
		if got := formatRule(r); got != line {
			t.Errorf("%q was read as %q", line, got)
		}
	})
}

func formatRule(r rbacv1.PolicyRule) string {
	fields := []string{strings.Join(r.Verbs, ",")}
	if len(r.NonResourceURLs) > 0 {
		list := append([]string{}, r.NonResourceURLs...)
		for i, p := range list {
			if p == "*" {
				list[i] = "url:*"
			}
		}
		return fields[0] + " " + strings.Join(list, ",")
	}
	list := append([]string{}, r.APIGroups...)
	for i, g := range list {
		if g == "" {
			list[i] = "core"
		}
	}
	fields = append(fields, strings.Join(list, ","), strings.Join(r.Resources, ","))
	if len(r.ResourceNames) > 0 {
		fields = append(fields, strings.Join(r.ResourceNames, ","))
	}
	return strings.Join(fields, " ")
}
