package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// TestStoredWebhooksChangeOtherVersions has a webhook about one version of a kind see and patch what is written in another.
func TestStoredWebhooksChangeOtherVersions(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			t.Error(err)
			return
		}
		q, kind := review.Request, admissionv1.PatchTypeJSONPatch
		if q.Kind.Version != "v2" || q.RequestKind.Version != "v1" || !strings.Contains(string(q.Object.Raw), `"apiVersion":"autoscaling/v2"`) {
			t.Errorf("asked about %v as %v: %s", q.RequestKind, q.Kind, q.Object.Raw)
		}
		review.Request, review.Response = nil, &admissionv1.AdmissionResponse{
			UID: q.UID, Allowed: true, PatchType: &kind, Patch: []byte(`[{"op":"replace","path":"/spec/minReplicas","value":6}]`),
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(s.Close)
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	p := startResources(t, "ServiceAccount")
	t.Cleanup(func() { _ = p.closeAll() })
	for _, o := range [][3]string{
		{"", "namespaces", `{"metadata":{"name":"ns"}}`},
		{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", fmt.Sprintf(`{"metadata":{"name":"m"},"webhooks":[{"name":"h.example.org","sideEffects":"None",`+
			`"admissionReviewVersions":["v1"],"clientConfig":{"url":%q,"caBundle":%q},"rules":[{"apiGroups":["autoscaling"],"apiVersions":["v2"],"operations":["CREATE"],`+
			`"resources":["horizontalpodautoscalers"]}]}]}`, s.URL, ca)},
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
