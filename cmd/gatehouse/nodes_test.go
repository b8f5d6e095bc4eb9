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

// TestNodesWriteTheirOwn is a kubelet that has been taken over, against a server with the defaults of the hardened profile.
func TestNodesWriteTheirOwn(t *testing.T) {
	w := startWired(t)
	admin, one := w.as(t, "admin", "system:masters"), w.as(t, "system:node:n1", "system:nodes")
	one.must(t, "POST /api/v1/nodes", `{"metadata":{"name":"n1","labels":{"kubernetes.io/hostname":"n1"}}}`)
	admin.must(t, "POST /api/v1/nodes", `{"metadata":{"name":"n2"},"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}`)
	const namespace = "/api/v1/namespaces/default"
	admin.must(t, "POST "+namespace+"/serviceaccounts", `{"metadata":{"name":"sa"}}`)
	uid := map[string]string{}
	for _, n := range []string{"n1", "n2"} {
		text := admin.must(t, "POST "+namespace+"/pods", `{"metadata":{"name":"on-`+n+`"},"spec":{"nodeName":"`+n+`","serviceAccountName":"sa",
			"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}]}}`)
		_, rest, _ := strings.Cut(text, `"uid":"`)
		uid[n], _, _ = strings.Cut(rest, `"`)
	}
	admin.must(t, "POST "+namespace+"/persistentvolumeclaims", `{"metadata":{"name":"c"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`)
	admin.must(t, "POST "+namespace+"/pods", `{"metadata":{"name":"with-claim"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}],
		"volumes":[{"name":"c","persistentVolumeClaim":{"claimName":"c"}}]}}`)
	one.eventually(t, "GET "+namespace+"/pods/on-n1", http.StatusOK)
	one.eventually(t, "GET "+namespace+"/persistentvolumeclaims/c", http.StatusOK)
	token := func(n string) string {
		return `{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"on-` + n + `","uid":"` + uid[n] + `"}}}`
	}
	mirror := func(n, more string) string {
		return `{"metadata":{"name":"m","annotations":{"kubernetes.io/config.mirror":"x"},"ownerReferences":[{"apiVersion":"v1","kind":"Node",` +
			`"name":"` + n + `","uid":"u","controller":true}]},"spec":{"nodeName":"` + n + `"` + more + `,"containers":[{"name":"c","image":"i"}]}}`
	}
	lease := `{"metadata":{"name":"n2","namespace":"kube-node-lease"}}`
	tests := []struct {
		request, body string
		code          int
		says          string
	}{
		{"PATCH /api/v1/nodes/n1/status", `{"status":{"phase":"Running"}}`, 200, ""},
		{"PATCH /api/v1/nodes/n2/status", `{"status":{"phase":"Running"}}`, 403, `nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"`},
		{"PATCH /api/v1/nodes/n2", `{"metadata":{"name":"n1"}}`, 400, ""},
		{"POST /api/v1/nodes", `{"metadata":{"name":"n3"}}`, 403, `nodes "n3" is forbidden: node "n1" is not allowed to modify node "n3"`},
		{"PATCH /api/v1/nodes/n1", `{"metadata":{"labels":{"node-restriction.kubernetes.io/pci":"yes"}}}`, 403, `nodes "n1" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/pci`},
		{"PATCH /api/v1/nodes/n1", `{"metadata":{"labels":{"own":"yes"}}}`, 200, ""},
		{"PATCH /api/v1/nodes/n1", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"y"}]}}`, 403, `node "n1" is not allowed to modify ownerReferences`},
		{"PATCH /api/v1/nodes/n1", `{"spec":{"taints":[{"key":"k","effect":"NoExecute"}]}}`, 403, `node "n1" is not allowed to modify taints`},
		{"DELETE /api/v1/nodes/n1", "", 403, ""},
		{"PATCH " + namespace + "/pods/on-n1/status", `{"status":{"phase":"Running"}}`, 200, ""},
		{"PATCH " + namespace + "/pods/on-n1/status", `{"metadata":{"labels":{"app":"bank"}}}`, 403, `node "n1" cannot update labels through pod status`},
		{"PATCH " + namespace + "/pods/on-n2/status", `{"status":{"phase":"Failed"}}`, 403, `pods "on-n2" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself`},
		{"DELETE " + namespace + "/pods/on-n2", "", 403, `pods "on-n2" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself`},
		{"POST " + namespace + "/pods/on-n2/eviction", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"on-n2"}}`, 403, `node n1 can only evict pods with spec.nodeName set to itself`},
		{"POST " + namespace + "/pods", mirror("n2", ""), 403, `node "n1" can only create pods with spec.nodeName set to itself`},
		{"POST " + namespace + "/pods", strings.Replace(mirror("n1", ""), "config.mirror", "x", 1), 403, `can only create mirror pods`},
		{"POST " + namespace + "/pods", mirror("n1", `,"imagePullSecrets":[{"name":"s"}]`), 403, ""},
		{"POST " + namespace + "/serviceaccounts/sa/token", token("n1"), 201, ""},
		{"POST " + namespace + "/serviceaccounts/sa/token", token("n2"), 403, "node requested token bound to a pod scheduled on a different node"},
		{"POST " + namespace + "/serviceaccounts/sa/token", `{}`, 403, "node requested token not bound to a pod"},
		{"POST " + namespace + "/serviceaccounts/sa/token", strings.Replace(token("n1"), `"spec":{`, `"spec":{"audiences":["bank"],`, 1), 403, `audience "bank" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience`},
		{"PATCH " + namespace + "/persistentvolumeclaims/c/status", `{"status":{"capacity":{"storage":"1Gi"}}}`, 200, ""},
		{"PATCH " + namespace + "/persistentvolumeclaims/c", `{"metadata":{"labels":{"a":"b"}}}`, 403, "can only get individual resources of this type"},
		{"POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", strings.ReplaceAll(lease, "n2", "n1"), 201, ""},
		{"POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease, 403, "can only access node lease with the same name as the requesting node"},
		{"POST /apis/storage.k8s.io/v1/csinodes", `{"metadata":{"name":"n2"},"spec":{"drivers":[]}}`, 403, "can only access CSINode with the same name as the requesting node"},
	}
	for _, tt := range tests {
		if code, text := one.do(t, tt.request, tt.body); code != tt.code || (code >= 400 && !strings.HasSuffix(text, tt.says)) {
			t.Errorf("%s %s: %d %s, want %d %s", tt.request, tt.body, code, text, tt.code, tt.says)
		}
	}
}
