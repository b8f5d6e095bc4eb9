package admission_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
)

func rule(verbs, group, resources string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ",")}
}

// held is an index in which alice may read pods and write roles in default, eve may escalate and bind there as well, and root may
// everything.
func held() *rbac.Index {
	x := rbac.New()
	grant := func(user string, cluster bool, rules ...rbacv1.PolicyRule) {
		meta := metav1.ObjectMeta{Name: user, Namespace: "default"}
		subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
		if cluster {
			x.ApplyClusterRole(&rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules})
			x.ApplyClusterRoleBinding(&rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: clusterRole(user)})
			return
		}
		x.ApplyRole(&rbacv1.Role{ObjectMeta: meta, Rules: rules})
		x.ApplyRoleBinding(&rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: role(user)})
	}
	grant("alice", false, rule("get,list", "", "pods"))
	grant("eve", false, rule("escalate,bind", rbacv1.GroupName, "roles,clusterroles"))
	grant("binder", false, rbacv1.PolicyRule{Verbs: []string{"bind"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{"root"}})
	grant("root", true, rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}})
	return x
}

func role(name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}
}

func clusterRole(name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
}

// rbacAttributes is a create of the object by the user in default, or at the cluster scope where the object has no namespace; with an old
// object it is an update.
func rbacAttributes(t *testing.T, user string, object, old runtime.Object, groups ...string) *admission.Attributes {
	t.Helper()
	resource, namespace := "", "default"
	switch object.(type) {
	case *rbacv1.Role:
		resource = "roles"
	case *rbacv1.RoleBinding:
		resource = "rolebindings"
	case *rbacv1.ClusterRole:
		resource, namespace = "clusterroles", ""
	case *rbacv1.ClusterRoleBinding:
		resource, namespace = "clusterrolebindings", ""
	}
	a := &admission.Attributes{
		Permit: permit(t, api.User{Name: user, Groups: append([]string{api.GroupAuthenticated}, groups...)}, api.RequestInfo{
			Verb: "create", Group: rbacv1.GroupName, Version: "v1", Resource: resource, Namespace: namespace,
		}),
		Operation: admission.Create, Resource: rbacv1.SchemeGroupVersion.WithResource(resource),
		Namespace: namespace, Name: "new", Object: object,
	}
	if old != nil {
		a.Operation, a.OldObject = admission.Update, old
	}
	return a
}

func TestEscalationOfRoles(t *testing.T) {
	const notHeld = `roles.rbac.authorization.k8s.io "new" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:`
	secrets := &rbacv1.Role{Rules: []rbacv1.PolicyRule{rule("get", "", "secrets")}}
	labelled := secrets.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	collected := secrets.DeepCopy()
	collected.Finalizers = []string{"example.com/f"}
	collected.OwnerReferences = []metav1.OwnerReference{{Name: "o"}}
	for name, test := range map[string]struct {
		user        string
		object, old runtime.Object
		groups      []string
		message     string // empty for admitted
	}{
		"what the user holds":          {user: "alice", object: &rbacv1.Role{Rules: []rbacv1.PolicyRule{rule("get", "", "pods")}}},
		"what the user does not hold":  {user: "alice", object: secrets, message: notHeld + "\n" + `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`},
		"the text of several rules":    {user: "alice", object: &rbacv1.Role{Rules: []rbacv1.PolicyRule{rule("get,watch", "", "secrets"), rule("delete", "", "pods"), rule("list", "", "secrets"), {Verbs: []string{"get"}, APIGroups: []string{"apps"}, Resources: []string{"deployments"}, ResourceNames: []string{"a", "b"}}}}, message: notHeld},
		"who may escalate":             {user: "eve", object: secrets},
		"who holds everything":         {user: "root", object: secrets},
		"an administrator by group":    {user: "admin", object: secrets, groups: []string{api.GroupMasters}},
		"an update of the labels":      {user: "alice", object: labelled, old: secrets, message: notHeld},
		"an update for the collector":  {user: "alice", object: collected, old: secrets},
		"a role for the whole cluster": {user: "eve", object: &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{rule("get", "", "pods")}}, message: `clusterroles.rbac.authorization.k8s.io "new" is forbidden: user "eve"`},
	} {
		t.Run(name, func(t *testing.T) {
			checkEscalation(t, rbacAttributes(t, test.user, test.object, test.old, test.groups...), test.message)
		})
	}
}

func TestEscalationTextJoinsVerbsAndSortsRules(t *testing.T) {
	x := held()
	a := rbacAttributes(t, "alice", &rbacv1.Role{Rules: []rbacv1.PolicyRule{
		rule("watch", "", "secrets"), rule("delete", "", "pods"), rule("get", "", "secrets"),
	}}, nil)
	_, message := refusal(t, admission.Escalation{Rules: x, Authorizer: x}.Validate(t.Context(), a))
	_, lines, _ := strings.Cut(message, "held:\n")
	want := `{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}` + "\n" + `{APIGroups:[""], Resources:["secrets"], Verbs:["watch" "get"]}`
	if lines != want {
		t.Errorf("got\n%s\nwant\n%s", lines, want)
	}
}

func TestEscalationByAggregation(t *testing.T) {
	const message = `clusterroles.rbac.authorization.k8s.io "new" is forbidden: must have cluster-admin privileges to use the aggregationRule`
	plain := &rbacv1.ClusterRole{}
	gathering := &rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}}
	for name, test := range map[string]struct {
		user        string
		object, old runtime.Object
		message     string
	}{
		"a role that gathers":             {"alice", gathering, nil, message},
		"a role that begins to gather":    {"alice", gathering, plain, message},
		"a role that ceases to gather":    {"alice", plain, gathering, message},
		"a role that does not":            {"alice", plain, nil, ""},
		"who holds everything may gather": {"root", gathering, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			checkEscalation(t, rbacAttributes(t, test.user, test.object, test.old), test.message)
		})
	}
}

func TestEscalationByBinding(t *testing.T) {
	const notHeld = `is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:`
	for name, test := range map[string]struct {
		user    string
		object  runtime.Object
		message string
	}{
		"a role that the user holds":                      {"alice", &rbacv1.RoleBinding{RoleRef: role("alice")}, ""},
		"a role that it does not hold":                    {"alice", &rbacv1.RoleBinding{RoleRef: clusterRole("root")}, `rolebindings.rbac.authorization.k8s.io "new" ` + notHeld},
		"a role that does not exist":                      {"alice", &rbacv1.RoleBinding{RoleRef: role("nosuch")}, `role.rbac.authorization.k8s.io "nosuch" not found`},
		"who may bind roles may bind a missing one":       {"eve", &rbacv1.RoleBinding{RoleRef: role("nosuch")}, ""},
		"who may bind in a namespace":                     {"eve", &rbacv1.RoleBinding{RoleRef: clusterRole("root")}, ""},
		"who may bind in a namespace, for the cluster":    {"eve", &rbacv1.ClusterRoleBinding{RoleRef: clusterRole("root")}, `clusterrolebindings.rbac.authorization.k8s.io "new" is forbidden`},
		"who may bind one role by name":                   {"binder", &rbacv1.RoleBinding{RoleRef: clusterRole("root")}, ""},
		"who may bind one role by name, for another":      {"binder", &rbacv1.RoleBinding{RoleRef: role("alice")}, `rolebindings.rbac.authorization.k8s.io "new" is forbidden`},
		"who holds everything":                            {"root", &rbacv1.ClusterRoleBinding{RoleRef: clusterRole("root")}, ""},
		"what the user holds only here, for the cluster":  {"alice", &rbacv1.ClusterRoleBinding{RoleRef: clusterRole("root")}, `clusterrolebindings.rbac.authorization.k8s.io "new" ` + notHeld},
		"the right to bind is not for a role elsewhere":   {"eve", &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: "example.com", Kind: "Role", Name: "alice"}}, "*"},
		"the right to bind is not for an unknown kind":    {"eve", &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "User", Name: "x"}}, "*"},
		"the right to bind is not for an empty reference": {"eve", &rbacv1.RoleBinding{}, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			checkEscalation(t, rbacAttributes(t, test.user, test.object, nil), test.message)
		})
	}
}

// checkEscalation expects a refusal that begins with message; "" expects none and "*" any.
func checkEscalation(t *testing.T, a *admission.Attributes, message string) {
	t.Helper()
	x := held()
	err := admission.Escalation{Rules: x, Authorizer: x}.Validate(t.Context(), a)
	code, got := refusal(t, err)
	switch {
	case message == "" && code != 0, message != "" && code == 0:
		t.Errorf("got %d %s, want %q", code, got, message)
	case message != "*" && !strings.HasPrefix(got, message):
		t.Errorf("got  %s\nwant %s", got, message)
	}
}

func TestServersOwnLoopsMayGrant(t *testing.T) {
	x := held()
	a := rbacAttributes(t, "alice", &rbacv1.Role{Rules: []rbacv1.PolicyRule{rule("*", "*", "*")}}, nil)
	a.Permit = authz.System("test", a.Permit.Info())
	if err := (admission.Escalation{Rules: x, Authorizer: x}).Validate(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// broken cannot decide.
type broken struct{}

func (broken) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "", errors.New("no decision")
}

// TestAuthorizerThatFailsGrantsNothing guards against an error that is taken for a yes.
func TestAuthorizerThatFailsGrantsNothing(t *testing.T) {
	a := rbacAttributes(t, "eve", &rbacv1.Role{Rules: []rbacv1.PolicyRule{rule("get", "", "secrets")}}, nil)
	if code, _ := refusal(t, admission.Escalation{Rules: held(), Authorizer: broken{}}.Validate(t.Context(), a)); code != 403 {
		t.Errorf("got %d", code)
	}
}

// TestUnknownFormOfARoleIsRefused guards against a role that reaches the check undecoded.
func TestUnknownFormOfARoleIsRefused(t *testing.T) {
	x := held()
	a := rbacAttributes(t, "alice", &rbacv1.Role{}, nil)
	a.Object = &metav1.PartialObjectMetadata{}
	if code, _ := refusal(t, admission.Escalation{Rules: x, Authorizer: x}.Validate(t.Context(), a)); code != 500 {
		t.Errorf("got %d", code)
	}
}

func TestEscalationIsAboutRBACOnly(t *testing.T) {
	x := held()
	if err := (admission.Escalation{Rules: x, Authorizer: x}).Validate(t.Context(), podAttributes(t, "default")); err != nil {
		t.Error(err)
	}
}
