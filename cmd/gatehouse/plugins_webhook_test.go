package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStoredWebhooksAreAsked has configurations come from where clients write them, with selectors and conditions; a Service does not lead to where
// only this server gets.
func TestStoredWebhooksAreAsked(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	p := startResources(t, "ServiceAccount")
	t.Cleanup(func() { _ = p.closeAll() })
	for _, name := range []string{"with", "without", "behind"} {
		if err := p.request(t, "create", "", "namespaces", "", "", fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"hook":%q}}}`, name, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.request(t, "create", "", "services", "behind", "",
		`{"metadata":{"name":"metadata"},"spec":{"type":"ExternalName","externalName":"169.254.169.254"}}`); err != nil {
		t.Fatal(err)
	}
	hook := func(resource, name, namespace, client string) {
		t.Helper()
		body := fmt.Sprintf(`{"metadata":{"name":%q},"webhooks":[{"name":"h.example.org","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":%s,`+
			`"namespaceSelector":{"matchLabels":{"hook":%q}},"matchConditions":[{"name":"c","expression":"object.metadata.name != 'free'"}],`+
			`"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]}]}`, name, client, namespace)
		if err := p.request(t, "create", "admissionregistration.k8s.io", resource, "", "", body); err != nil {
			t.Fatal(err)
		}
	}
	hook("validatingwebhookconfigurations", "v", "with", fmt.Sprintf(`{"url":%q,"caBundle":%q}`, s.URL, ca))
	hook("mutatingwebhookconfigurations", "m", "behind", `{"service":{"namespace":"behind","name":"metadata"}}`)
	for _, test := range []struct{ namespace, name, want string }{
		{"with", "asked", `failed calling webhook "h.example.org": failed to call webhook: the server responded with the status code 418`},
		{"with", "free", ""},
		{"without", "asked", ""},
		{"behind", "asked", "address not allowed"},
	} {
		err := p.request(t, "create", "", "configmaps", test.namespace, "", fmt.Sprintf(`{"metadata":{"name":%q}}`, test.name))
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s/%s: %v", test.namespace, test.name, err)
		}
	}
}
