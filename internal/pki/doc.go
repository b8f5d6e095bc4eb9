// Package pki keeps the key material of a server that was started without any: a certificate authority, a
// serving certificate, an administrator's client certificate with a kubeconfig, and the key that signs
// service-account tokens.
//
// [Ensure] makes what is missing and renews what is due; it never replaces an authority or a signing key, because
// everything that trusts them would stop working. Files are 0600 in directories of 0700, owned by the user of the
// process; anything wider is refused with the command that mends it. Each file is replaced whole and is on disk when
// the call returns, so a crash leaves either the old or the new one.
//
// Certificates use ECDSA P-256: small handshakes, and every TLS client speaks it. The service-account key is RSA 2048:
// RS256 is the one algorithm that OpenID Connect requires of all who verify such tokens (cloud identity federation
// among them), and it verifies faster.
//
// Limits: keys live in files; there is no revocation, so an issued client certificate is good until it
// expires or the authority is replaced.
package pki
