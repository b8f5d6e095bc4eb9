package clientcert

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse/gatehouse/internal/pki"
)

// Bounds of the bundle: its size in bytes and how many authorities it may hold.
const (
	maxBundleBytes = 4 << 20
	maxAuthorities = 1000
)

func load(path string) (*trust, error) {
	data, err := pki.ReadPublic(path, maxBundleBytes)
	if err != nil {
		return nil, err
	}
	authorities, err := parseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cache, err := lru.New[[sha256.Size]byte, verified](cacheSize)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, cert := range authorities {
		roots.AddCert(cert)
	}
	return &trust{fileSum: sha256.Sum256(data), roots: roots, authorities: authorities, verified: cache}, nil
}

const certificateBlock = "CERTIFICATE"

// parseBundle takes every CERTIFICATE block and skips blocks of other types, as bundles often hold. A block that is cut
// off or damaged is an error: the decoder would skip it, and with it an authority.
func parseBundle(data []byte) (authorities []*x509.Certificate, err error) {
	count := 0
	begun := bytes.Count(data, []byte("-----BEGIN "+certificateBlock+"-----"))
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != certificateBlock {
			continue
		}
		if count++; count > maxAuthorities {
			return nil, fmt.Errorf("more than %d certificates", maxAuthorities)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", count, err)
		}
		authorities = append(authorities, cert)
	}
	switch {
	case begun == 0:
		return nil, errors.New("no certificate in PEM form was found")
	case count != begun:
		return nil, fmt.Errorf("%d of %d certificates are damaged", begun-count, begun)
	}
	return authorities, nil
}
