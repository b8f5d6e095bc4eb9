package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHandshakeNamesAuthorities sees clients told which certificates are of use, by the authorities of the moment: their bundles are
// read again while the server runs.
func TestHandshakeNamesAuthorities(t *testing.T) {
	var authorities atomic.Pointer[x509.CertPool]
	cfg := config(t, &stages{})
	cfg.ClientCAs = authorities.Load
	h := listen(t, cfg, true)
	for _, names := range [][]string{nil, {"first"}, {"second", "third"}} {
		pool := x509.NewCertPool()
		for _, name := range names {
			pool.AddCert(&x509.Certificate{Raw: []byte(name), RawSubject: []byte(name)})
		}
		authorities.Store(pool)
		if d := cmp.Diff(names, acceptable(t, h)); d != "" {
			t.Errorf("authorities (-want +got):\n%s", d)
		}
	}
}

// acceptable are the names of authorities that the server asks for a certificate of.
func acceptable(t *testing.T, h *host) (names []string) {
	t.Helper()
	conn, err := h.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // Nothing was sent.
	cfg := h.tls.Clone()
	cfg.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		for _, name := range request.AcceptableCAs {
			names = append(names, string(name))
		}
		return &tls.Certificate{}, nil
	}
	if err := tls.Client(conn, cfg).HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return names
}
