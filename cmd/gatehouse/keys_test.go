package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

func compatibleOptions(dir string) *flags.Options {
	return &flags.Options{
		CertDir: dir, BindAddress: netip.MustParseAddr("10.1.2.3"), ExternalHostname: "api.example.com",
		ServiceClusterIPRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
	}
}

// kube-apiserver makes a pair in --cert-dir and finds it there again; clients that pinned it must not be cut off.
func TestCertDirIsFilledOnce(t *testing.T) {
	w := wiring{options: compatibleOptions(filepath.Join(t.TempDir(), "certs"))}
	if err := w.ensureKeys(); err != nil {
		t.Fatal(err)
	}
	first := readPair(t, &w)
	for _, name := range []string{"api.example.com", "10.1.2.3", "10.0.0.1", "127.0.0.1", "kubernetes.default.svc"} {
		if err := first.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(first.Leaf)
	if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots}); err != nil {
		t.Errorf("a client that trusts the certificate refuses it: %v", err)
	}
	if err := w.ensureKeys(); err != nil {
		t.Fatal(err)
	}
	if again := readPair(t, &w); !again.Leaf.Equal(first.Leaf) {
		t.Error("the second start made another certificate")
	}
}

func TestCertDirWithHalfAPair(t *testing.T) {
	dir := t.TempDir()
	w := wiring{options: compatibleOptions(dir)}
	if err := w.ensureKeys(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "apiserver.key")); err != nil {
		t.Fatal(err)
	}
	before := read(t, filepath.Join(dir, "apiserver.crt"))
	if err := w.ensureKeys(); err == nil || !strings.Contains(err.Error(), "only one is there") {
		t.Errorf("error = %v, want one that says what is missing", err)
	}
	if after := read(t, filepath.Join(dir, "apiserver.crt")); after != before {
		t.Error("somebody's certificate was replaced")
	}
}

func TestGivenCertificateIsServed(t *testing.T) {
	o := compatibleOptions(filepath.Join(t.TempDir(), "certs"))
	o.TLSCertFile, o.TLSPrivateKeyFile = "given.crt", "given.key"
	w := wiring{options: o, material: &pki.Material{ServingCert: "made.crt"}}
	if err := w.ensureKeys(); err != nil {
		t.Fatal(err)
	}
	if w.servingCert != "given.crt" || w.servingKey != "given.key" {
		t.Errorf("serves with %s and %s", w.servingCert, w.servingKey)
	}
	if notes := w.notes(); len(notes) != 1 || !strings.Contains(notes[0], "given.crt") {
		t.Errorf("notes = %q, want a warning that admin.kubeconfig may not trust it", notes)
	}
	if _, err := os.Stat(o.CertDir); err == nil {
		t.Error("the directory for certificates was made although it is not used")
	}
}

func readPair(t *testing.T, w *wiring) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(w.servingCert, w.servingKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
