package celpolicy_test

import (
	"context"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/celpolicy"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// only allows one request: verb, resource, namespace and name.
type only string

func (o only) Authorize(_ context.Context, _ api.User, i api.RequestInfo) (authz.Decision, string, error) {
	if string(o) == i.Verb+" "+i.Resource+" "+i.Namespace+" "+i.Name {
		return authz.Allow, "", nil
	}
	return authz.NoOpinion, "", nil
}

// everything allows all.
type everything struct{}

func (everything) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "", nil
}

// TestGrants guards against users who read what they may not by having a policy say what is in it.
func TestGrants(t *testing.T) {
	const kind = "spec: {paramKind: {apiVersion: v1, kind: ConfigMap}}"
	ref := func(s string) string { return "spec: {policyName: p, paramRef: " + s + "}" }
	rule := func(verb, resource, namespace, name string) string {
		return verb + " " + resource + " " + namespace + " " + name
	}
	for name, test := range map[string]struct {
		object, old runtime.Object
		policy      *admissionregistrationv1.ParamKind
		allowed     string
		want        string
	}{
		"a policy without parameters":  {object: parse[vap](t, "spec: {}")},
		"a kind that the user may get": {object: parse[vap](t, kind), allowed: rule("get", "configmaps", "*", "*")},
		"a kind that the user may not get": {
			object: parse[vap](t, kind), allowed: rule("get", "configmaps", "default", "x"),
			want: `spec.paramKind: Forbidden: user "eve" must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`,
		},
		"an update that leaves it alone": {object: parse[mapp](t, kind), old: parse[mapp](t, kind)},
		"an update that adds it": {
			object: parse[mapp](t, kind), old: parse[mapp](t, "spec: {}"),
			want: `spec.paramKind: Forbidden: user "eve" must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`,
		},
		"an object that the user may get": {
			object: parse[vapb](t, ref("{name: x, namespace: prod}")), policy: &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
			allowed: rule("get", "configmaps", "prod", "x"),
		},
		"an object that the user may not get": {
			object: parse[vapb](t, ref("{name: x, namespace: prod}")), policy: &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
			allowed: rule("get", "configmaps", "prod", "y"), want: `spec.paramRef: Forbidden: user "eve" does not have "get" permission on the object referenced by paramRef`,
		},
		"objects that the user may not list": {
			object: parse[mapb](t, ref("{selector: {}}")), policy: &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
			allowed: rule("get", "configmaps", "", ""), want: `spec.paramRef: Forbidden: user "eve" does not have "list" permission on the object referenced by paramRef`,
		},
		"a policy that is not there yet": {
			object: parse[vapb](t, ref("{name: x, namespace: prod}")), allowed: rule("get", "configmaps", "prod", "x"),
			want: `spec.paramRef: Forbidden: unable to get policy p to determine minimum required permissions and user "eve" does not have "get" permission for all groups, versions and resources`,
		},
		"who may read everything": {object: parse[vapb](t, ref("{name: x, namespace: prod}")), allowed: rule("get", "*", "prod", "x")},
	} {
		t.Run(name, func(t *testing.T) {
			c := world{}.config()
			c.Authorizer = only(test.allowed)
			g := celpolicy.Grants{Config: c, Policies: func(bool, string) (*admissionregistrationv1.ParamKind, bool) { return test.policy, test.policy != nil }}
			a := attributes(t, "")
			p, err := authz.Chain{Allowers: []authz.Authorizer{everything{}}}.Permit(t.Context(), api.User{Name: "eve"}, api.RequestInfo{IsResource: true})
			if err != nil {
				t.Fatal(err)
			}
			a.Permit, a.Object, a.Name = p, test.object, "x"
			a.Resource.Group, a.Resource.Version, a.Kind.Group, a.Kind.Kind = admissionregistrationv1.GroupName, "v1", admissionregistrationv1.GroupName, "K"
			if test.old != nil {
				a.Operation, a.OldObject = admission.Update, test.old
			}
			want := ""
			if test.want != "" {
				want = `422 Invalid K.admissionregistration.k8s.io "x" is invalid: ` + test.want
			}
			if got := text(t, g.Validate(t.Context(), a)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
