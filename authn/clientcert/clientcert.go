// Package clientcert authenticates x509 client certificates.
//
// The TLS layer asks for a certificate and proves that the client holds its key (tls.RequestClientCert); whether
// it may be trusted is decided here, for each request, against the authorities of the moment. So a change of the
// authorities takes effect on open connections and on resumed sessions, not only on new ones.
//
// The subject's common name is the user, its organizations are the groups, and an attribute of type
// 1.3.6.1.4.1.57683.2, if there is one, is the uid. The certificate must be good for client authentication. One that
// verifies but has no common name gets no opinion.
//
// Verified leaves are remembered by their SHA-256 until the first certificate of the chain expires or the
// authorities change, 4096 leaves at most; failures are not remembered.
//
// Limits: revocation is for authn/revocation; there is no OCSP, as in Kubernetes. A chain over [MaxChain] certificates, [MaxChainBytes]
// bytes or with an RSA key over [MaxRSABits] is refused before any signature is checked.
package clientcert

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// Bounds of what a client may present: certificates, their total size in bytes, and the size of an RSA key.
const (
	MaxChain      = 8
	MaxChainBytes = 64 << 10
	MaxRSABits    = 8192
)

const cacheSize = 4096

// uidAttribute is the type of the subject attribute that carries the user's uid.
func uidAttribute() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}
}

// Authenticator trusts the authorities of one file. It is safe for concurrent use.
type Authenticator struct {
	path   string
	now    func() time.Time
	loaded atomic.Pointer[trust]
}

// trust is one version of the authorities, with what was verified against it.
type trust struct {
	fileSum [sha256.Size]byte
	roots   *x509.CertPool
	// authorities are what roots holds.
	authorities []*x509.Certificate
	verified    *lru.Cache[[sha256.Size]byte, verified]
}

// verified is a leaf that was found good, with the time in which all of its chain is.
type verified struct {
	result              *authn.Result // nil for a leaf without a common name
	fault               error         // why the leaf names nobody, though it verifies
	notBefore, notAfter time.Time
}

// Open reads the bundle of authorities at path (PEM). now is the clock that validity is judged by.
func Open(path string, now func() time.Time) (*Authenticator, error) {
	a := &Authenticator{path: path, now: now}
	if _, err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload reads the bundle again and reports whether its content changed. On an error the authorities that were last
// good stay in use; on a change everything verified against the old ones is forgotten.
func (a *Authenticator) Reload() (changed bool, err error) {
	next, err := load(a.path)
	if err != nil {
		return false, fmt.Errorf("client CA file: %w", err)
	}
	if old := a.loaded.Load(); old != nil && old.fileSum == next.fileSum {
		return false, nil
	}
	a.loaded.Store(next)
	return true, nil
}

// Authorities are the certificates in the bundle in use. They must not be changed.
func (a *Authenticator) Authorities() []*x509.Certificate { return a.loaded.Load().authorities }

// Authenticate implements [authn.Authenticator].
func (a *Authenticator) Authenticate(_ context.Context, c authn.Credentials) (*authn.Result, error) {
	if len(c.PeerCertificates) == 0 {
		return nil, nil
	}
	found, err := a.check(c.PeerCertificates)
	if err == nil && found.fault != nil {
		err = fmt.Errorf("client certificate %s: %w", describe(c.PeerCertificates[0]), found.fault)
	}
	if err != nil {
		return nil, err
	}
	return found.result, nil
}

// Verify reports whether the chain, leaf first, leads to one of the authorities and is good for client authentication, whomever the
// leaf names.
func (a *Authenticator) Verify(presented []*x509.Certificate) error {
	if len(presented) == 0 {
		return errors.New("no client certificate was presented")
	}
	_, err := a.check(presented)
	return err
}

func (a *Authenticator) check(presented []*x509.Certificate) (verified, error) {
	leaf, trust, now := presented[0], a.loaded.Load(), a.now()
	sum := sha256.Sum256(leaf.Raw)
	if known, ok := trust.verified.Get(sum); ok && !now.Before(known.notBefore) && !now.After(known.notAfter) {
		return known, nil
	}
	if err := checkBounds(presented); err != nil {
		return verified{}, err
	}
	chain, err := trust.verify(presented, now)
	if err != nil {
		return verified{}, fmt.Errorf("client certificate %s: %w", describe(leaf), err)
	}
	found := verified{notBefore: leaf.NotBefore, notAfter: leaf.NotAfter}
	for _, cert := range chain {
		if cert.NotBefore.After(found.notBefore) {
			found.notBefore = cert.NotBefore
		}
		if cert.NotAfter.Before(found.notAfter) {
			found.notAfter = cert.NotAfter
		}
	}
	if leaf.Subject.CommonName != "" {
		found.result, found.fault = result(leaf, sum)
	}
	trust.verified.Add(sum, found)
	return found, nil
}

func (t *trust) verify(presented []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         t.roots,
		Intermediates: x509.NewCertPool(), // never nil: the system's certificates are not asked
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range presented[1:] {
		opts.Intermediates.AddCert(cert)
	}
	chains, err := presented[0].Verify(opts)
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

func checkBounds(presented []*x509.Certificate) error {
	if len(presented) > MaxChain {
		return fmt.Errorf("client certificate: %d certificates were presented, the limit is %d", len(presented), MaxChain)
	}
	size := 0
	for _, cert := range presented {
		size += len(cert.Raw)
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > MaxRSABits {
			return fmt.Errorf("client certificate: an RSA key of %d bits was presented, the limit is %d", key.N.BitLen(), MaxRSABits)
		}
	}
	if size > MaxChainBytes {
		return fmt.Errorf("client certificate: %d bytes were presented, the limit is %d", size, MaxChainBytes)
	}
	return nil
}

func result(leaf *x509.Certificate, sum [sha256.Size]byte) (*authn.Result, error) {
	uid, err := uidOf(leaf)
	if err != nil {
		return nil, err
	}
	id := "X509SHA256=" + hex.EncodeToString(sum[:])
	return &authn.Result{
		User: api.User{
			Name:   leaf.Subject.CommonName,
			UID:    uid,
			Groups: leaf.Subject.Organization,
			Extra:  map[string][]string{api.ExtraCredentialID: {id}},
		},
		Method:       "x509",
		CredentialID: id,
	}, nil
}

// uidOf refuses a subject with two uids, and one that is empty or not a text: which user it means is not certain.
func uidOf(leaf *x509.Certificate) (string, error) {
	uid, found := "", false
	for _, attribute := range leaf.Subject.Names {
		if !attribute.Type.Equal(uidAttribute()) {
			continue
		}
		text, ok := attribute.Value.(string)
		switch {
		case found:
			return "", errors.New("the subject has more than one uid")
		case !ok || text == "":
			return "", errors.New("the subject's uid is empty or not a text")
		}
		uid, found = text, true
	}
	return uid, nil
}

// describe names a certificate for the log without trusting its text.
func describe(cert *x509.Certificate) string {
	return fmt.Sprintf("SN=%x CN=%.64q", cert.SerialNumber, cert.Subject.CommonName)
}
