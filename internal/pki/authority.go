package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// How long certificates are good for, how long before their end leaves are renewed, and how far back their beginning
// lies, for clients whose clock is behind.
const (
	AuthorityValidity = 10 * 365 * 24 * time.Hour
	LeafValidity      = 365 * 24 * time.Hour
	RenewBefore       = 30 * 24 * time.Hour
	backdate          = 5 * time.Minute
)

// MaxNameBytes bounds the name, the uid and each group of a client certificate.
const MaxNameBytes = 256

const authorityName = "gatehouse-ca"

// Authority issues certificates. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
	now  func() time.Time
}

// Pair is a certificate and its private key, both in PEM form.
type Pair struct {
	Cert, Key []byte
}

// Client is who a client certificate is for.
type Client struct {
	// Name is the user name; required.
	Name string
	// Groups the user is in.
	Groups []string
	// UID tells apart users of one name; may be empty.
	UID string
	// Validity of the certificate. Zero means [LeafValidity]; it never outlives the authority.
	Validity time.Duration
}

// OpenAuthority reads the authority that [Ensure] has made under dir. now is the clock that validity counts from.
func OpenAuthority(dir string, now func() time.Time) (*Authority, error) {
	return readAuthority(filepath.Join(dir, subdir), now)
}

// CertPEM returns the authority's certificate, by which its clients know the server.
func (a *Authority) CertPEM() []byte { return append([]byte(nil), a.pem...) }

// ClientCert issues a certificate for a new key.
func (a *Authority) ClientCert(c Client) (Pair, error) {
	template, err := clientTemplate(c)
	if err != nil {
		return Pair{}, err
	}
	return a.issue(template, c.Validity)
}

func clientTemplate(c Client) (*x509.Certificate, error) {
	if c.Name == "" {
		return nil, errors.New("client certificate: the user name is empty")
	}
	if c.Validity < 0 {
		return nil, errors.New("client certificate: the validity is negative")
	}
	for _, s := range append([]string{c.Name, c.UID}, c.Groups...) {
		if len(s) > MaxNameBytes {
			return nil, fmt.Errorf("client certificate: a name of %d bytes, the limit is %d", len(s), MaxNameBytes)
		}
	}
	subject := pkix.Name{CommonName: c.Name, Organization: c.Groups}
	if c.UID != "" {
		uid := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2} // the attribute that Kubernetes reads a uid from
		subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: uid, Value: c.UID}}
	}
	return &x509.Certificate{
		Subject:     subject,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, nil
}

// issue completes the template and signs it for a new key.
func (a *Authority) issue(template *x509.Certificate, validity time.Duration) (Pair, error) {
	if validity == 0 {
		validity = LeafValidity
	}
	now := a.now()
	leaf := *template
	leaf.NotBefore, leaf.NotAfter = now.Add(-backdate), now.Add(validity)
	leaf.BasicConstraintsValid = true
	if leaf.NotAfter.After(a.cert.NotAfter) {
		leaf.NotAfter = a.cert.NotAfter
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &leaf, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign certificate of %q: %w", leaf.Subject.CommonName, err)
	}
	return Pair{Cert: encodeCert(der), Key: keyPEM}, nil
}

// ensureAuthority reads the authority in dir, or makes one where there is none. A key without a certificate is what a
// crash between the two writes leaves behind, and is used.
func ensureAuthority(dir string, now func() time.Time) (a *Authority, made bool, err error) {
	a, err = readAuthority(dir, now)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return a, false, err
	}
	if _, err := ReadPrivate(filepath.Join(dir, caCert), maxPEMBytes); !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%s has lost its key: restore %s, or remove the certificate to begin anew with a new authority",
			filepath.Join(dir, caCert), filepath.Join(dir, caKey))
	}
	key, err := readKey(filepath.Join(dir, caKey))
	if errors.Is(err, fs.ErrNotExist) {
		var keyPEM []byte
		if key, keyPEM, err = newKey(); err == nil {
			err = WriteFile(filepath.Join(dir, caKey), keyPEM)
		}
	}
	if err != nil {
		return nil, false, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: authorityName},
		NotBefore:             now().Add(-backdate),
		NotAfter:              now().Add(AuthorityValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs leaves only
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, false, fmt.Errorf("sign certificate of the authority: %w", err)
	}
	if err := WriteFile(filepath.Join(dir, caCert), encodeCert(der)); err != nil {
		return nil, false, err
	}
	a, err = readAuthority(dir, now)
	return a, true, err
}

func readAuthority(dir string, now func() time.Time) (*Authority, error) {
	certPath, keyPath := filepath.Join(dir, caCert), filepath.Join(dir, caKey)
	certPEM, err := ReadPrivate(certPath, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	keyPEM, err := ReadPrivate(keyPath, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w: restore them from a backup, or remove both to begin anew with a new authority", certPath, keyPath, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of an authority", certPath)
	}
	if t := now(); t.Before(pair.Leaf.NotBefore) || t.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("%s is valid from %s to %s only: set the clock, or remove it and its key to begin anew with a new authority",
			certPath, pair.Leaf.NotBefore.Format(time.DateOnly), pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &Authority{cert: pair.Leaf, key: key, pem: certPEM, now: now}, nil
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func readKey(path string) (crypto.Signer, error) {
	data, err := ReadPrivate(path, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "EC PRIVATE KEY" {
		return nil, fmt.Errorf("%s holds no ECDSA private key", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
