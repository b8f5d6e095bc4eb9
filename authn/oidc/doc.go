// Package oidc authenticates JSON Web Tokens of OpenID Connect issuers, as kube-apiserver's --authentication-config and --oidc-* flags configure
// it.
//
// A token is accepted only if all of this holds: its iss is exactly that of an issuer; it is of three canonical base64url segments; its header
// has no crit; alg is among those allowed, never "none" or a symmetric one, and fits the key; one of the issuer's keys, that which kid
// names if it names one, verifies the signature; no claim is repeated; aud holds one of the audiences; exp is in the
// future; nbf is at most a minute ahead; and every validation rule is met. Claims or CEL expressions make the user.
//
// Keys come from the jwks_uri of the discovery document and are read again every ten minutes, and at once, but at most once a minute, for a
// token whose key is not known. While an issuer does not answer, its keys are good for a day more. Tokens are refused until the
// keys were read for the first time.
//
// [Authenticator.Replace] takes another configuration, which comes into use once all of its issuers have answered.
//
// Bounds: 64 issuers, 64 keys of each, documents of 1 MiB; tokens as for [authn.MaxTokenBytes]; CEL has the cost limit of Kubernetes.
//
// Limits: claims that have to be fetched elsewhere (_claim_names) are refused; egressSelectorType is refused by name; redirects are
// not followed.
package oidc
