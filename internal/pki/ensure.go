package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Names of the files, all but the kubeconfig in a directory of their own.
const (
	subdir            = "pki"
	caCert            = "ca.crt"
	caKey             = "ca.key"
	servingName       = "serving"
	adminName         = "admin"
	adminGroup        = "system:masters" // allowed everything
	serviceAccountKey = "service-account.key"
	adminKubeconfig   = adminName + kubeconfigSuffix
)

const serviceAccountBits = 2048

// Options say what the serving certificate and the kubeconfig are for.
type Options struct {
	// Clock is what validity counts from; required.
	Clock func() time.Time
	// Server is the URL that the kubeconfig points to; required.
	Server string
	// BindAddress and ServiceIP (the address of the service "kubernetes") are added to the serving certificate, unless
	// they are zero or unspecified.
	BindAddress, ServiceIP netip.Addr
	// ExtraNames are further host names and IP addresses for the serving certificate.
	ExtraNames []string
}

// Material says where everything is. All but Changed are paths.
type Material struct {
	CACert            string
	ServingCert       string
	ServingKey        string
	ServiceAccountKey string
	AdminCert         string
	AdminKey          string
	AdminKubeconfig   string
	// Changed lists the files that this call has made or renewed.
	Changed []string
}

// Ensure makes under dir what is missing and renews what is due: a leaf that ends within [RenewBefore], was signed by
// another authority, has other names than asked for or does not fit its key, and a kubeconfig that points
// elsewhere. All else is used as it is. It must not run in two processes on one directory at a time.
func Ensure(dir string, opts Options) (*Material, error) {
	if opts.Clock == nil || opts.Server == "" {
		return nil, errors.New("key material: the clock or the server's URL is missing")
	}
	for _, name := range opts.ExtraNames {
		if !isHost(name) {
			return nil, fmt.Errorf("key material: %q is neither a host name nor an IP address", name)
		}
	}
	keys := filepath.Join(dir, subdir)
	for _, d := range []string{dir, keys} {
		if err := ensureDir(d); err != nil {
			return nil, err
		}
	}
	m := &Material{
		CACert:      filepath.Join(keys, caCert),
		ServingCert: filepath.Join(keys, servingName+".crt"), ServingKey: filepath.Join(keys, servingName+".key"),
		AdminCert: filepath.Join(keys, adminName+".crt"), AdminKey: filepath.Join(keys, adminName+".key"),
		ServiceAccountKey: filepath.Join(keys, serviceAccountKey),
		AdminKubeconfig:   filepath.Join(dir, adminKubeconfig),
	}
	authority, made, err := ensureAuthority(keys, opts.Clock)
	if err != nil {
		return nil, err
	}
	m.note(made, m.CACert)
	if err := m.ensureLeaf(authority, m.ServingCert, m.ServingKey, servingTemplate(opts)); err != nil {
		return nil, err
	}
	admin, err := clientTemplate(Client{Name: adminName, Groups: []string{adminGroup}})
	if err != nil {
		return nil, err
	}
	if err := m.ensureLeaf(authority, m.AdminCert, m.AdminKey, admin); err != nil {
		return nil, err
	}
	if err := m.ensureServiceAccountKey(); err != nil {
		return nil, err
	}
	if err := m.ensureKubeconfig(authority, opts.Server); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Material) note(changed bool, path string) {
	if changed {
		m.Changed = append(m.Changed, path)
	}
}

func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return len(validation.IsDNS1123Subdomain(name)) == 0 || len(validation.IsWildcardDNS1123Subdomain(name)) == 0
}

func servingTemplate(opts Options) *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "gatehouse"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	names := []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"127.0.0.1", "::1",
	}
	for _, addr := range []netip.Addr{opts.BindAddress, opts.ServiceIP} {
		if addr.IsValid() && !addr.IsUnspecified() {
			names = append(names, addr.Unmap().WithZone("").String())
		}
	}
	names = append(names, opts.ExtraNames...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if addr, err := netip.ParseAddr(name); err == nil {
			t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return t
}

func (m *Material) ensureLeaf(a *Authority, certPath, keyPath string, want *x509.Certificate) error {
	cert, certErr := ReadPrivate(certPath, maxPEMBytes)
	key, keyErr := ReadPrivate(keyPath, maxPEMBytes)
	for _, err := range []error{certErr, keyErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if certErr == nil && keyErr == nil && a.stillGood(cert, key, want) {
		return nil
	}
	pair, err := a.issue(want, 0)
	if err != nil {
		return err
	}
	// The key first: after a crash in between the pair does not fit and is made anew.
	if err := WriteFile(keyPath, pair.Key); err != nil {
		return err
	}
	m.note(true, certPath)
	return WriteFile(certPath, pair.Cert)
}

// stillGood reports whether a leaf can be used as it is.
func (a *Authority) stillGood(certPEM, keyPEM []byte, want *x509.Certificate) bool {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return false
	}
	leaf, roots, now := pair.Leaf, x509.NewCertPool(), a.now()
	roots.AddCert(a.cert)
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: want.ExtKeyUsage,
	})
	return err == nil && leaf.NotAfter.Sub(now) >= RenewBefore &&
		leaf.Subject.CommonName == want.Subject.CommonName &&
		slices.Equal(leaf.Subject.Organization, want.Subject.Organization) &&
		slices.Equal(leaf.DNSNames, want.DNSNames) &&
		slices.EqualFunc(leaf.IPAddresses, want.IPAddresses, net.IP.Equal)
}

// ensureServiceAccountKey never replaces a key, not even a damaged one: every token was signed with it.
func (m *Material) ensureServiceAccountKey() error {
	data, err := ReadPrivate(m.ServiceAccountKey, maxPEMBytes)
	if err == nil {
		if block, _ := pem.Decode(data); block != nil && block.Type == "RSA PRIVATE KEY" {
			if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
				return nil
			}
		}
		return fmt.Errorf("%s holds no RSA private key: restore it from a backup, or remove it to make a new one, which ends all tokens",
			m.ServiceAccountKey)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, serviceAccountBits)
	if err != nil {
		return fmt.Errorf("make service-account key: %w", err)
	}
	m.note(true, m.ServiceAccountKey)
	return WriteFile(m.ServiceAccountKey, pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
	}))
}
