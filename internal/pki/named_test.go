package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/internal/pki"
)

// pair makes a self-signed certificate for the names.
func pair(t *testing.T, commonName string, names ...string) *pki.KeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k, err := pki.OpenKeyPair(filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestChooseByName(t *testing.T) {
	choose := pki.Choose([]pki.Named{
		{KeyPair: pair(t, "wild", "*.example.com")},
		{KeyPair: pair(t, "given", "ignored.example.org"), Names: []string{"api.example.com", "*.example.net"}},
		{KeyPair: pair(t, "own", "api.example.com", "own.example.com")},
		{KeyPair: pair(t, "late", "own.example.com")},
	}, pair(t, "others"))
	for _, tt := range []struct{ name, asked, want string }{
		{"a given name before one in a certificate", "api.example.com", "given"},
		{"names have no case", "API.Example.COM", "given"},
		{"an exact name before a wildcard", "own.example.com", "own"},
		{"a wildcard of a certificate", "x.example.com", "wild"},
		{"a wildcard stands for one label", "a.b.example.com", "others"},
		{"a given wildcard", "x.example.net", "given"},
		{"names in a certificate do not count beside given ones", "ignored.example.org", "others"},
		{"an unknown name", "example.com", "others"},
		{"no name", "", "others"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choose(&tls.ClientHelloInfo{ServerName: tt.asked})
			if err != nil {
				t.Fatal(err)
			}
			if cn := got.Leaf.Subject.CommonName; cn != tt.want {
				t.Errorf("%q is shown the certificate %q, want %q", tt.asked, cn, tt.want)
			}
		})
	}
}
