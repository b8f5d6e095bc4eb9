package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/internal/pki"
)

// wired is a whole server with its own etcd, reached over TLS.
type wired struct {
	url       string
	authority *pki.Authority
}

// startWired runs the command serve with the flags until the test ends.
func startWired(t *testing.T, args ...string) *wired {
	t.Helper()
	l := startServer(t, "", args...)
	authority, err := pki.OpenAuthority(l.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &wired{l.url, authority}
}

// caller is a user with a certificate.
type caller struct {
	wired  *wired
	client *http.Client
}

// as returns a user of the server.
func (w *wired) as(t *testing.T, name string, groups ...string) *caller {
	t.Helper()
	issued, err := w.authority.ClientCert(pki.Client{Name: name, Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.authority.CertPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{w, &http.Client{Transport: transport, Timeout: time.Minute}}
}

// do sends a request, "VERB /path", and returns the code and what the answer says: the message of a Status, or all of it.
func (c *caller) do(t *testing.T, request, body string) (int, string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, c.wired.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	var status struct{ Kind, Message string }
	if json.Unmarshal(data, &status) == nil && status.Kind == "Status" {
		return resp.StatusCode, status.Message
	}
	return resp.StatusCode, string(data)
}

// must sends a request that has to succeed, and returns the answer.
func (c *caller) must(t *testing.T, request, body string) string {
	t.Helper()
	code, text := c.do(t, request, body)
	if code >= 300 {
		t.Fatalf("%s: %d %s", request, code, text)
	}
	return text
}

// eventually sends a request until it gets the code: what decides about it is fed from the caches, a moment after the write.
func (c *caller) eventually(t *testing.T, request string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyLimit)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		code, text := c.do(t, request, "")
		if code == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %d %s, want %d", request, code, text, want)
		}
	}
}
