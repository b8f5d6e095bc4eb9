package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestNodesOverTheWire is two kubelets with certificates, and what the one gets of the other's.
func TestNodesOverTheWire(t *testing.T) {
	w := startWired(t, "--authorization-mode=Node,RBAC")
	admin := w.as(t, "admin", "system:masters")
	one, two := w.as(t, "system:node:n1", "system:nodes"), w.as(t, "system:node:n2", "system:nodes")
	for _, n := range []string{"n1", "n2"} {
		admin.must(t, "POST /api/v1/nodes", `{"metadata":{"name":"`+n+`"}}`)
		admin.must(t, "POST /api/v1/namespaces/default/secrets", `{"metadata":{"name":"of-`+n+`"}}`)
		admin.must(t, "POST /api/v1/namespaces/default/pods", `{"metadata":{"name":"on-`+n+`"},"spec":{"nodeName":"`+n+`",
			"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"v","secret":{"secretName":"of-`+n+`"}}]}}`)
	}
	one.eventually(t, "GET /api/v1/namespaces/default/secrets/of-n1", http.StatusOK)
	two.eventually(t, "GET /api/v1/namespaces/default/secrets/of-n2", http.StatusOK)
	const none = "no relationship found between node 'n1' and this object"
	tests := []struct {
		request string
		code    int
		says    string
	}{
		{"GET /api/v1/namespaces/default/secrets/of-n2", 403, `secrets "of-n2" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": ` + none},
		{"GET /api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dof-n1", 200, ""},
		{"GET /api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dof-n2", 403, none},
		{"GET /api/v1/secrets", 403, "can only read namespaced object of this type"},
		{"GET /api/v1/namespaces/default/pods/on-n2", 403, none},
		{"GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1", 200, ""},
		{"GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn2", 403, "can only list/watch pods with spec.nodeName field selector"},
		{"GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn2&fieldSelector=spec.nodeName%3Dn1", 403, "can only list/watch pods with spec.nodeName field selector"},
		{"GET /api/v1/watch/namespaces/default/pods/on-n2?fieldSelector=spec.nodeName%3Dn1", 403, none},
		{"GET /api/v1/nodes/n1", 200, ""},
		{"GET /api/v1/nodes/n2", 403, "node 'n1' cannot read 'n2', only its own Node object"},
		{"DELETE /api/v1/nodes/n1", 403, `nodes "n1" is forbidden: User "system:node:n1" cannot delete resource "nodes" in API group "" at the cluster scope`},
		{"GET /version", 200, ""}, // from RBAC, which is asked after Node
	}
	for _, tt := range tests {
		if code, text := one.do(t, tt.request, ""); code != tt.code || !strings.HasSuffix(text, tt.says) {
			t.Errorf("%s: %d %s, want %d %s", tt.request, code, text, tt.code, tt.says)
		}
	}
	code, text := one.do(t, "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", `{"spec":{"namespace":"default"}}`)
	if code != 201 || !strings.Contains(text, `"incomplete":true`) || !strings.Contains(text, `"node authorizer does not support user rule resolution"`) {
		t.Errorf("rules: %d %s", code, text)
	}
	// The name without the group is an ordinary user without roles, and so is the group without the name.
	for _, stranger := range []*caller{w.as(t, "system:node:n1"), w.as(t, "n1", "system:nodes")} {
		if code, text := stranger.do(t, "GET /api/v1/namespaces/default/secrets/of-n1", ""); code != 403 {
			t.Errorf("a stranger: %d %s", code, text)
		}
	}
	admin.must(t, "DELETE /api/v1/namespaces/default/pods/on-n1?gracePeriodSeconds=0", "")
	one.eventually(t, "GET /api/v1/namespaces/default/secrets/of-n1", http.StatusForbidden)
}
