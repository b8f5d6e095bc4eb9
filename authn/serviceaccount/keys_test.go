package serviceaccount_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

func block(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func file(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// forms are the PEM forms of a key, by name; whether it holds the private half is in the value.
func forms(t *testing.T) (rsaKey, ecKey crypto.Signer, all map[string]struct {
	data    string
	key     crypto.Signer
	private bool
},
) {
	r, e := newRSAKey(t), newECKey(t, elliptic.P256())
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, certErr := x509.CreateCertificate(rand.Reader, template, template, r.Public(), r)
	sec1, sec1Err := x509.MarshalECPrivateKey(e)
	pkcs8, pkcs8Err := x509.MarshalPKCS8PrivateKey(r)
	pkix, pkixErr := x509.MarshalPKIXPublicKey(e.Public())
	type form = struct {
		data    string
		key     crypto.Signer
		private bool
	}
	return r, e, map[string]form{
		"RSA PKCS #1":           {block(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil), r, true},
		"ECDSA SEC 1":           {block(t, "EC PRIVATE KEY", sec1, sec1Err), e, true},
		"ECDSA with parameters": {block(t, "EC PARAMETERS", []byte{6, 0}, nil) + block(t, "EC PRIVATE KEY", sec1, sec1Err), e, true},
		"PKCS #8":               {block(t, "PRIVATE KEY", pkcs8, pkcs8Err), r, true},
		"PKIX":                  {block(t, "PUBLIC KEY", pkix, pkixErr), e, false},
		"RSA public PKCS #1":    {block(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey), nil), r, false},
		"a certificate":         {block(t, "CERTIFICATE", cert, certErr), r, false},
	}
}

func TestLoadKeys(t *testing.T) {
	rsaKey, ecKey, all := forms(t)
	for name, f := range all {
		t.Run(name, func(t *testing.T) {
			path := file(t, f.data)
			public, err := serviceaccount.LoadPublicKeys(path)
			if err != nil || len(public) != 1 || keyID(t, public[0]) != keyID(t, f.key.Public()) {
				t.Errorf("public keys: %v, %v", public, err)
			}
			signing, err := serviceaccount.LoadSigningKey(path)
			if (err == nil) != f.private {
				t.Fatalf("signing key: %v, %v", signing, err)
			}
			if f.private && keyID(t, signing.Public()) != keyID(t, f.key.Public()) {
				t.Error("the signing key is another")
			}
		})
	}
	both, err := serviceaccount.LoadPublicKeys(file(t, all["a certificate"].data+all["PKIX"].data))
	if err != nil || len(both) != 2 {
		t.Fatalf("two keys in a file: %v, %v", both, err)
	}
	for _, signing := range []crypto.Signer{rsaKey, ecKey} {
		if _, err := serviceaccount.NewKeys(signing, both); err != nil {
			t.Error(err)
		}
	}
}

func TestLoadKeysRefuses(t *testing.T) {
	_, _, all := forms(t)
	good := all["RSA PKCS #1"].data
	for name, data := range map[string]string{
		"empty":            "",
		"no PEM":           "hello",
		"cut off":          good[:len(good)/2],
		"cut off after":    good + good[:len(good)/2],
		"a damaged block":  strings.Replace(good, "MII", "M!I", 1) + good,
		"not a key":        block(t, "RSA PRIVATE KEY", []byte("x"), nil),
		"encrypted":        block(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil),
		"too many blocks":  strings.Repeat(good, serviceaccount.MaxKeys+1),
		"over the limit":   strings.Repeat("\n", 1<<20+1),
		"of no known type": block(t, "OPENSSH PRIVATE KEY", []byte("x"), nil),
	} {
		path := file(t, data)
		if key, err := serviceaccount.LoadSigningKey(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "MII") {
			t.Errorf("%s: signing key %v, %v", name, key, err)
		}
		if keys, err := serviceaccount.LoadPublicKeys(path); err == nil {
			t.Errorf("%s: public keys %v", name, keys)
		}
	}
}

func TestNewKeysRefuses(t *testing.T) {
	good := newECKey(t, elliptic.P256())
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224 := newECKey(t, elliptic.P224())
	many := make([]crypto.PublicKey, serviceaccount.MaxKeys+1)
	for name, tc := range map[string]struct {
		signing crypto.Signer
		public  []crypto.PublicKey
	}{
		"no signing key":             {nil, []crypto.PublicKey{good.Public()}},
		"no counterpart":             {good, []crypto.PublicKey{newECKey(t, elliptic.P256()).Public()}},
		"no public key":              {good, nil},
		"Ed25519":                    {ed, []crypto.PublicKey{edPublic}},
		"Ed25519 beside a good one":  {good, []crypto.PublicKey{good.Public(), edPublic}},
		"P-224":                      {p224, []crypto.PublicKey{p224.Public()}},
		"a short RSA key":            {good, []crypto.PublicKey{good.Public(), &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}},
		"a huge RSA key":             {good, []crypto.PublicKey{good.Public(), &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16<<10), E: 65537}}},
		"too many keys":              {good, many},
		"a shared secret as the key": {good, []crypto.PublicKey{good.Public(), []byte("secret")}},
	} {
		if keys, err := serviceaccount.NewKeys(tc.signing, tc.public); err == nil || keys != nil {
			t.Errorf("%s: got %v, %v", name, keys, err)
		}
	}
}
