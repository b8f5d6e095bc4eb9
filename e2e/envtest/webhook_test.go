package envtest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	project "github.com/gatehouse/gatehouse/e2e/envtest"
)

const path = "/validate-site"

// needsImage refuses sites without an image.
func needsImage(_ context.Context, req admission.Request) admission.Response {
	site := &corev1.ConfigMap{}
	if err := json.Unmarshal(req.Object.Raw, site); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if site.Data[project.ImageKey] == "" {
		return admission.Denied("a site needs an image")
	}
	return admission.Allowed("")
}

// serving starts the webhook server where envtest has put its certificates.
func serving(t *testing.T) {
	t.Helper()
	at := env.WebhookInstallOptions
	server := webhook.NewServer(webhook.Options{Host: at.LocalServingHost, Port: at.LocalServingPort, CertDir: at.LocalServingCertDir})
	mgr := manager(t, ctrl.Options{WebhookServer: server})
	mgr.GetWebhookServer().Register(path, &admission.Webhook{Handler: admission.HandlerFunc(needsImage)})
	started(t, mgr)
	eventually(t, func() error { return server.StartedChecker()(nil) })
}

func address() string {
	return net.JoinHostPort(env.WebhookInstallOptions.LocalServingHost, strconv.Itoa(env.WebhookInstallOptions.LocalServingPort))
}

// TestWebhookServer asks the webhook as an API server would.
func TestWebhookServer(t *testing.T) {
	serving(t)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(env.WebhookInstallOptions.LocalServingCAData) {
		t.Fatal("no authority")
	}
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	raw, err := json.Marshal(&corev1.ConfigMap{})
	if err != nil {
		t.Fatal(err)
	}
	review, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  &admissionv1.AdmissionRequest{UID: "1", Object: runtime.RawExtension{Raw: raw}},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Post("https://"+address()+path, "application/json", bytes.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
	if answer.Response.Allowed || answer.Response.Result.Message != "a site needs an image" {
		t.Errorf("%+v", answer.Response)
	}
}

// TestAdmissionWebhook lets the API server ask it.
func TestAdmissionWebhook(t *testing.T) {
	ns, c := namespace(t), direct(t)
	serving(t)
	url, fail, none := "https://"+address()+path, registrationv1.Fail, registrationv1.SideEffectClassNone
	hook := &registrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Webhooks: []registrationv1.ValidatingWebhook{{
			Name:                    "site.example.org",
			ClientConfig:            registrationv1.WebhookClientConfig{URL: &url, CABundle: env.WebhookInstallOptions.LocalServingCAData},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
			FailurePolicy:           &fail,
			SideEffects:             &none,
			AdmissionReviewVersions: []string{"v1"},
			Rules: []registrationv1.RuleWithOperations{{
				Operations: []registrationv1.OperationType{registrationv1.Create},
				Rule:       registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}
	if err := c.Create(t.Context(), hook); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), hook); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() error {
		bad := site(ns, "bad")
		delete(bad.Data, project.ImageKey)
		err := c.Create(t.Context(), bad, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "a site needs an image") {
			return fmt.Errorf("create of a site without an image: %w", err)
		}
		return nil
	})
	if err := c.Create(t.Context(), site(ns, "good")); err != nil {
		t.Error(err)
	}
}
