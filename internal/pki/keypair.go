package pki

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// maxPEMBytes bounds each certificate and key file.
const maxPEMBytes = 1 << 20

// KeyPair is a serving certificate read from two files, for use as [tls.Config.GetCertificate]. The caller decides
// when to look at the files again. It is safe for concurrent use.
type KeyPair struct {
	certFile, keyFile string
	current           atomic.Pointer[loadedPair]
}

type loadedPair struct {
	cert, key   string
	certificate *tls.Certificate
}

// OpenKeyPair reads the pair; certFile may hold intermediates after the leaf.
func OpenKeyPair(certFile, keyFile string) (*KeyPair, error) {
	k := &KeyPair{certFile: certFile, keyFile: keyFile}
	if _, err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the files again and reports whether they changed. On an error the pair that was last good stays in
// use; a certificate and a key that do not belong together, as between two writes of a renewal, are such an error.
func (k *KeyPair) Reload() (changed bool, err error) {
	cert, err := ReadPublic(k.certFile, maxPEMBytes)
	if err != nil {
		return false, fmt.Errorf("serving certificate: %w", err)
	}
	key, err := ReadPublic(k.keyFile, maxPEMBytes)
	if err != nil {
		return false, fmt.Errorf("serving key: %w", err)
	}
	if old := k.current.Load(); old != nil && old.cert == string(cert) && old.key == string(key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("serving certificate %s with key %s: %w", k.certFile, k.keyFile, err)
	}
	k.current.Store(&loadedPair{cert: string(cert), key: string(key), certificate: &pair})
	return true, nil
}

// GetCertificate returns the pair that was last read successfully, whatever name the client asked for.
func (k *KeyPair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return k.current.Load().certificate, nil
}
