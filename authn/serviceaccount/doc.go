// Package serviceaccount issues and verifies the bearer tokens of service accounts: signed JWTs bound to the account
// and, if asked for, to a pod, a secret or a node.
//
// [Issuer] answers TokenRequests and renders the documents by which others verify the tokens (JWKS and OpenID
// Connect discovery). [Authenticator] verifies them. Both read the key material from one [Keys], which can be
// replaced while they run.
//
// A token is accepted only if all of this holds: it is at most 16 KiB of three canonical base64url segments; its header
// has the members alg, kid and typ and no others; kid names a key of ours and alg is one that this kind of key
// signs with; the signature verifies; no claim is repeated; issuer and audience are ours; exp is in the future, nbf and
// iat are not (one minute of clock skew is allowed for those two, none for exp); the subject is the account the
// private claims name; and the account and the bound object exist, with the uid in the token, and were not marked
// for deletion more than a minute ago.
//
// What follows from the token's bytes alone, the signature and the claims, is remembered for ten seconds under the
// token's SHA-256 and only for the set of keys it was verified with. What can change, the expiry, the audience and the
// existence of the objects, is checked for every request: that is a few map lookups, and it makes the deletion of an account
// effective at once.
//
// [Legacy] verifies the tokens that are kept in Secrets, which older clusters have and administrators still make.
//
// Limits: there is no external signer.
package serviceaccount
