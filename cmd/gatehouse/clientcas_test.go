package main

import (
	"crypto/tls"
	"strings"
	"testing"
)

// acceptedAuthorities are the subjects that the server names when it asks for a client certificate.
func acceptedAuthorities(t *testing.T, l *live) (names [][]byte) {
	t.Helper()
	config := &tls.Config{RootCAs: l.roots, GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		names = request.AcceptableCAs
		return &tls.Certificate{}, nil
	}}
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", strings.TrimPrefix(l.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	return names
}
