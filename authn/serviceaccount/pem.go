package serviceaccount

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/gatehouse/gatehouse/internal/pki"
)

const maxPEMBytes = 1 << 20

// LoadSigningKey reads the first RSA or ECDSA private key of a PEM file (PKCS #1, SEC 1 or PKCS #8, not encrypted).
func LoadSigningKey(path string) (crypto.Signer, error) {
	data, err := pki.ReadPublic(path, maxPEMBytes)
	if err != nil {
		return nil, fmt.Errorf("service-account signing key: %w", err)
	}
	var found crypto.Signer
	err = eachBlock(data, func(block *pem.Block) error {
		key, err := parsePrivate(block)
		if key != nil && found == nil {
			found = key
		}
		return err
	})
	if err == nil && found == nil {
		err = errors.New("no RSA or ECDSA private key in PEM form was found")
	}
	if err != nil {
		return nil, fmt.Errorf("service-account signing key %s: %w", path, err)
	}
	return found, nil
}

// LoadPublicKeys reads every key of a PEM file: public keys, certificates, of which the key is taken and nothing else
// is looked at, and private keys, of which the public half is taken.
func LoadPublicKeys(path string) ([]crypto.PublicKey, error) {
	data, err := pki.ReadPublic(path, maxPEMBytes)
	if err != nil {
		return nil, fmt.Errorf("service-account key file: %w", err)
	}
	keys, err := parsePublicKeys(data)
	if err != nil {
		return nil, fmt.Errorf("service-account key file %s: %w", path, err)
	}
	return keys, nil
}

func parsePublicKeys(data []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	err := eachBlock(data, func(block *pem.Block) error {
		key, err := parsePublic(block)
		if key != nil {
			keys = append(keys, key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no RSA or ECDSA key in PEM form was found")
	}
	return keys, nil
}

// eachBlock refuses a file with a damaged block, which the decoder would skip.
func eachBlock(data []byte, do func(*pem.Block) error) error {
	begun, read := bytes.Count(data, []byte("-----BEGIN ")), 0
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if read++; read > MaxKeys {
			return fmt.Errorf("more than %d PEM blocks", MaxKeys)
		}
		if err := do(block); err != nil {
			return fmt.Errorf("PEM block %d (%s): %w", read, block.Type, err)
		}
	}
	if read != begun {
		return fmt.Errorf("%d of %d PEM blocks are damaged", begun-read, begun)
	}
	return nil
}

// parsePublic returns nil, nil for a block of a type that holds no key, such as EC PARAMETERS.
func parsePublic(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	key, err := parsePrivate(block)
	if key == nil || err != nil {
		return nil, err
	}
	return key.Public(), nil
}

// parsePrivate returns nil, nil for a block of a type that holds no private key.
func parsePrivate(block *pem.Block) (crypto.Signer, error) {
	switch block.Type {
	case "RSA PRIVATE KEY":
		return signer(x509.ParsePKCS1PrivateKey(block.Bytes))
	case "EC PRIVATE KEY":
		return signer(x509.ParseECPrivateKey(block.Bytes))
	case "PRIVATE KEY":
		return signer(x509.ParsePKCS8PrivateKey(block.Bytes))
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted")
	}
	return nil, nil
}

func signer[K any](key K, err error) (crypto.Signer, error) {
	if err != nil {
		return nil, err
	}
	s, ok := any(key).(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return s, nil
}
