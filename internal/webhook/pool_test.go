package webhook_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/internal/webhook"
)

// TestPool guards the bounds of answers and that endpoints with other authorities do not share what was verified.
func TestPool(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = io.WriteString(w, strings.Repeat("x", webhook.MaxAnswerBytes+1))
			return
		}
		if len(r.Header["Authorization"])+len(r.TLS.PeerCertificates) > 0 {
			t.Error("a credential was sent")
		}
		_, _ = io.WriteString(w, r.URL.RawQuery)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	pool := webhook.NewPool()
	t.Cleanup(func() { _ = pool.Close() })
	for i := range webhook.MaxClients + 1 {
		a, err := pool.Post(t.Context(), webhook.Endpoint{URL: fmt.Sprintf("%s/%d", s.URL, i%3), CABundle: append(ca, fmt.Sprint("\n", i)...)}, "q=1", nil)
		if err != nil || a.Code != http.StatusOK || string(a.Body) != "q=1" {
			t.Fatalf("%+v %v", a, err)
		}
	}
	if _, err := pool.Post(t.Context(), webhook.Endpoint{URL: s.URL + "/0"}, "", nil); err == nil {
		t.Error("an endpoint was trusted that the authorities of the system do not know")
	}
	if _, err := pool.Post(t.Context(), webhook.Endpoint{URL: s.URL + "/large", CABundle: ca}, "", nil); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a large answer: %v", err)
	}
}
