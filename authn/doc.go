// Package authn turns the credentials of a request into a user, or refuses the request.
//
// The rule it keeps: a credential that was presented and is not valid ends in 401, never in the
// anonymous user. Where two credentials come with one request, a valid client certificate wins over the
// bearer token, and a valid bearer token over a certificate that does not verify.
//
// [FromRequest] reads the credentials, [Chain] asks the authenticators in order, [IdentityHeaders.Strip] removes what
// could be taken for an identity later on, and [ImpersonationFrom] reads a request to act as somebody else, which
// the caller must have authorized before it takes effect. The authenticators themselves are in the packages below
// this one.
//
// Limits: an Authorization header of 16 KiB, [MaxImpersonationValues] impersonation headers of together
// [MaxImpersonationBytes]. Nothing here performs I/O.
package authn
