package serviceaccount

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
)

// Paths at which a server answers with the documents, and how many seconds clients may cache them.
const (
	DiscoveryPath  = "/.well-known/openid-configuration"
	JWKSPath       = "/openid/v1/jwks"
	DocumentMaxAge = 3600
)

// jwk is a public key (RFC 7517, RFC 7518).
type jwk struct {
	Use string `json:"use"`
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Crv string `json:"crv,omitempty"`
	Alg string `json:"alg"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// JWKS is the document of the keys that verify tokens (RFC 7517), or nil if the issuer is not an https URL or has no
// JWKSURI: then there is no document and its path answers 404.
func (i *Issuer) JWKS() []byte {
	if !i.external {
		return nil
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for _, v := range i.opts.Keys.current.Load().all {
		set.Keys = append(set.Keys, v.jwk())
	}
	return mustMarshal(set)
}

// Discovery is the OpenID Connect discovery document of the issuer, or nil under the same condition as [Issuer.JWKS].
func (i *Issuer) Discovery() []byte {
	if !i.external {
		return nil
	}
	var algorithms []string
	for _, v := range i.opts.Keys.current.Load().all {
		algorithms = append(algorithms, v.methods[0])
	}
	slices.Sort(algorithms)
	return mustMarshal(struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{
		i.opts.Issuer, i.opts.JWKSURI, []string{"id_token"}, []string{"public"}, slices.Compact(algorithms),
	})
}

func (v *verifier) jwk() jwk {
	k := jwk{Use: "sig", Kid: v.id, Alg: v.methods[0]}
	switch public := v.public.(type) {
	case *rsa.PublicKey:
		k.Kty, k.N = "RSA", encode(public.N.Bytes())
		k.E = encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		k.Kty, k.Crv = "EC", public.Curve.Params().Name
		k.X, k.Y = coordinates(public)
	}
	return k
}

// coordinates are as long as the curve's field, leading zeros included (RFC 7518, 6.2.1.2).
func coordinates(public *ecdsa.PublicKey) (x, y string) {
	point, err := public.Bytes() // 0x04, x, y
	if err != nil {
		return "", "" // not reached: newVerifier has encoded this key before
	}
	size := (len(point) - 1) / 2
	return encode(point[1 : 1+size]), encode(point[1+size:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// mustMarshal is for values made of strings, which cannot fail to encode.
func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
