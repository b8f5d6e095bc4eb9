package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// selfSignedValidity is that of kube-apiserver's own self-signed certificates.
const selfSignedValidity = 365 * 24 * time.Hour

// ensureKeys finds or makes the key material and decides what to serve with.
func (w *wiring) ensureKeys() error {
	o := w.options
	if w.dir != nil {
		m, err := pki.Ensure(w.dir.Path(), pki.Options{
			Clock: time.Now, Server: w.url, BindAddress: o.BindAddress, ServiceIP: serviceAddress(o), ExtraNames: extraNames(o),
		})
		if err != nil {
			return err
		}
		w.material = m
		w.servingCert, w.servingKey = m.ServingCert, m.ServingKey
	}
	switch {
	case o.TLSCertFile != "":
		w.servingCert, w.servingKey = o.TLSCertFile, o.TLSPrivateKeyFile
	case o.CertDir != "":
		w.servingCert, w.servingKey = filepath.Join(o.CertDir, "apiserver.crt"), filepath.Join(o.CertDir, "apiserver.key")
		return ensureSelfSigned(w.servingCert, w.servingKey, o)
	}
	return nil
}

// serviceAddress is that of the service "kubernetes": the first address of the first range.
func serviceAddress(o *flags.Options) netip.Addr {
	return o.ServiceClusterIPRanges[0].Addr().Next()
}

func extraNames(o *flags.Options) []string {
	var names []string
	if o.ExternalHostname != "" {
		names = append(names, o.ExternalHostname)
	}
	if o.AdvertiseAddress.IsValid() {
		names = append(names, o.AdvertiseAddress.String())
	}
	return names
}

// ensureSelfSigned makes a self-signed serving certificate where kube-apiserver would, if there is neither a certificate nor
// a key. Half a pair is an error, because one of the two was put there by somebody.
func ensureSelfSigned(certFile, keyFile string, o *flags.Options) error {
	_, certErr := os.Stat(certFile)
	_, keyErr := os.Stat(keyFile)
	switch noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist); {
	case noCert && noKey:
	case noCert || noKey:
		return fmt.Errorf("of %s and %s only one is there: add the other, or remove it to have both made", certFile, keyFile)
	default:
		return errors.Join(certErr, keyErr)
	}
	if err := os.MkdirAll(filepath.Dir(certFile), 0o700); err != nil {
		return fmt.Errorf("make the directory for certificates: %w: choose another with --cert-dir", err)
	}
	certPEM, keyPEM, err := selfSigned(o, time.Now())
	if err != nil {
		return err
	}
	// The key first: a certificate is only there if its key is.
	if err := pki.WriteFile(keyFile, keyPEM); err != nil {
		return err
	}
	return pki.WriteFile(certFile, certPEM)
}

func selfSigned(o *flags.Options, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a serving key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: fmt.Sprintf("gatehouse@%d", now.Unix())},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(selfSignedValidity),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses:  []net.IP{{127, 0, 0, 1}, net.IPv6loopback, serviceAddress(o).AsSlice()},

		BasicConstraintsValid: true,
		IsCA:                  true, // clients that trust the file trust it as an authority
	}
	if !o.BindAddress.IsUnspecified() {
		template.IPAddresses = append(template.IPAddresses, o.BindAddress.WithZone("").AsSlice())
	}
	for _, name := range extraNames(o) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the serving certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the serving key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}
