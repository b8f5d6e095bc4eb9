package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// request is made by an administrator and not by the server itself, which policies do not judge.
func (p *parts) request(t *testing.T, verb, group, plural, namespace, name, body string) error {
	t.Helper()
	info := api.RequestInfo{IsResource: true, Verb: verb, Group: group, Version: "v1", Resource: plural, Namespace: namespace, Name: name}
	permit, err := authz.Chain{}.Permit(t.Context(), api.User{Name: "admin", Groups: []string{api.GroupMasters}}, info)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.resources.Create(t.Context(), permit, resource.Body{Data: []byte(body)}, resource.Write{})
	if _, e := p.mirror.Fresh(t.Context()); e != nil {
		t.Fatal(e)
	}
	return err
}

// TestStoredPoliciesAreInForce has policies, bindings and parameters come from where clients write them.
func TestStoredPoliciesAreInForce(t *testing.T) {
	p := startResources(t, "ServiceAccount")
	const group = "admissionregistration.k8s.io"
	must := func(group, plural, namespace, body string) {
		t.Helper()
		if err := p.request(t, "create", group, plural, namespace, "", body); err != nil {
			t.Fatal(err)
		}
	}
	rules := `"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]}`
	must("", "namespaces", "", `{"metadata":{"name":"ns","labels":{"tier":"x"}}}`)
	must("", "configmaps", "ns", `{"metadata":{"name":"max"},"data":{"max":"1"}}`)
	must(group, "validatingadmissionpolicies", "", `{"metadata":{"name":"small"},"spec":{"paramKind":{"apiVersion":"v1","kind":"ConfigMap"},`+rules+
		`,"validations":[{"expression":"size(object.data) <= int(params.data.max) || namespaceObject.metadata.labels.tier != 'x'","message":"too large"}]}}`)
	body := `{"metadata":{"name":"c%d"},"data":{"a":"1","b":"2"}}`
	if err := p.request(t, "create", "", "configmaps", "ns", "", fmt.Sprintf(body, 1)); err != nil {
		t.Errorf("a policy without a binding is in force: %v", err)
	}
	for _, ref := range []string{`{"name":"max","parameterNotFoundAction":"Deny"}`, `{"selector":{},"parameterNotFoundAction":"Deny"}`} {
		must(group, "validatingadmissionpolicybindings", "", fmt.Sprintf(
			`{"metadata":{"name":"b%d"},"spec":{"policyName":"small","validationActions":["Deny"],"paramRef":%s}}`, len(ref), ref))
		if err := p.request(t, "create", "", "configmaps", "ns", "", fmt.Sprintf(body, len(ref))); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("got %v", err)
		}
	}
}

// TestStoredMutationsAreInForce has a mutation go through two versions of a kind, and its result be defaulted.
func TestStoredMutationsAreInForce(t *testing.T) {
	p := startResources(t, "ServiceAccount")
	const group = "admissionregistration.k8s.io"
	for _, o := range [][3]string{
		{"", "namespaces", `{"metadata":{"name":"ns"}}`},
		{group, "mutatingadmissionpolicies", `{"metadata":{"name":"m"},"spec":{"reinvocationPolicy":"Never","matchConstraints":{"resourceRules":[{"apiGroups":["autoscaling"],` +
			`"apiVersions":["v2"],"operations":["CREATE"],"resources":["horizontalpodautoscalers"]}]},"mutations":[{"patchType":"ApplyConfiguration",` +
			`"applyConfiguration":{"expression":"Object{spec: Object.spec{minReplicas: int(object.spec.maxReplicas) - 1}}"}}]}}`},
		{group, "mutatingadmissionpolicybindings", `{"metadata":{"name":"m"},"spec":{"policyName":"m"}}`},
	} {
		if err := p.request(t, "create", o[0], o[1], "", "", o[2]); err != nil {
			t.Fatal(err)
		}
	}
	info := api.RequestInfo{IsResource: true, Verb: "create", Group: "autoscaling", Version: "v1", Resource: "horizontalpodautoscalers", Namespace: "ns"}
	permit, err := authz.Chain{}.Permit(t.Context(), api.User{Name: "admin", Groups: []string{api.GroupMasters}}, info)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"metadata":{"name":"h"},"spec":{"maxReplicas":7,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}`
	result, err := p.resources.Create(t.Context(), permit, resource.Body{Data: []byte(body)}, resource.Write{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(result.Item.JSON), `"minReplicas":6`) {
		t.Errorf("got %s", result.Item.JSON)
	}
}
