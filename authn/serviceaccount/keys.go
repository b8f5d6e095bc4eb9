package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

// Bounds of the key material: how many verification keys, and the size of an RSA key in bits.
const (
	MaxKeys    = 64
	MinRSABits = 2048
	MaxRSABits = 8192
)

// Keys are the key that signs tokens and the keys that verify them. They are replaced as a whole; it is safe for
// concurrent use.
type Keys struct {
	current atomic.Pointer[keySet]
}

// keySet is immutable.
type keySet struct {
	private crypto.Signer
	signer  *verifier // the verifier of what private signs
	all     []*verifier
	byID    map[string]*verifier
}

// verifier is a public key with its identifier and the algorithms it may be used with, the preferred one first.
type verifier struct {
	id      string
	public  crypto.PublicKey
	methods []string
}

// NewKeys takes the key to sign with (RSA of 2048 to 8192 bits, or ECDSA on P-256, P-384 or P-521) and the public
// keys to verify with, among which the signing key's must be: tokens would be issued that nobody accepts.
func NewKeys(signing crypto.Signer, verification []crypto.PublicKey) (*Keys, error) {
	k := &Keys{}
	if err := k.Replace(signing, verification); err != nil {
		return nil, err
	}
	return k, nil
}

// Replace exchanges all keys. Tokens that were verified with a key that is gone are refused from now on. On an error
// the old keys stay.
func (k *Keys) Replace(signing crypto.Signer, verification []crypto.PublicKey) error {
	if len(verification) > MaxKeys {
		return fmt.Errorf("%d service-account keys, the limit is %d", len(verification), MaxKeys)
	}
	set := &keySet{private: signing, byID: map[string]*verifier{}}
	for i, public := range verification {
		v, err := newVerifier(public)
		if err != nil {
			return fmt.Errorf("service-account key %d: %w", i+1, err)
		}
		if set.byID[v.id] == nil {
			set.byID[v.id] = v
			set.all = append(set.all, v)
		}
	}
	switch signing.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return fmt.Errorf("the service-account signing key is a %T, want an RSA or ECDSA private key", signing)
	}
	own, err := newVerifier(signing.Public())
	if err != nil {
		return fmt.Errorf("service-account signing key: %w", err)
	}
	if set.signer = set.byID[own.id]; set.signer == nil {
		return errors.New("the service-account signing key has no counterpart among the keys that verify tokens")
	}
	k.current.Store(set)
	return nil
}

func newVerifier(public crypto.PublicKey) (*verifier, error) {
	v := &verifier{public: public}
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits, want %d to %d", bits, MinRSABits, MaxRSABits)
		}
		v.methods = []string{jwt.SigningMethodRS256.Name, jwt.SigningMethodRS384.Name, jwt.SigningMethodRS512.Name}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			v.methods = []string{jwt.SigningMethodES256.Name}
		case elliptic.P384():
			v.methods = []string{jwt.SigningMethodES384.Name}
		case elliptic.P521():
			v.methods = []string{jwt.SigningMethodES512.Name}
		default:
			return nil, errors.New("an ECDSA key on another curve than P-256, P-384 and P-521")
		}
	default:
		return nil, fmt.Errorf("a key of type %T, want RSA or ECDSA", public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	v.id = base64.RawURLEncoding.EncodeToString(sum[:])
	return v, nil
}

// sign makes the compact form of a token with these claims.
func (s *keySet) sign(c *claims) (string, error) {
	method := jwt.GetSigningMethod(s.signer.methods[0])
	token := &jwt.Token{
		Method: method,
		Header: map[string]any{"alg": method.Alg(), "kid": s.signer.id},
		Claims: c,
	}
	return token.SignedString(s.private)
}

func (v *verifier) accepts(method string) bool { return slices.Contains(v.methods, method) }

// allMethods lists every algorithm that some kind of key here signs with: no symmetric one, and not "none".
func allMethods() []string {
	return []string{
		jwt.SigningMethodRS256.Name, jwt.SigningMethodRS384.Name, jwt.SigningMethodRS512.Name,
		jwt.SigningMethodES256.Name, jwt.SigningMethodES384.Name, jwt.SigningMethodES512.Name,
	}
}
