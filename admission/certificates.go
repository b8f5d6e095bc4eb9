package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// MaxCSRBytes bounds the spec.request that is parsed, as PEM. A request with an RSA key of 16,384 bits has a tenth of it.
const MaxCSRBytes = 64 << 10

// The three plugins of this file keep users from having certificates made that they may not have, and decide like those of their names in
// kube-apiserver. They are Validators about certificates.k8s.io/v1 only, and do not ask the server's own loops. Refusals are 403.

// CertificateApproval asks that who approves or denies a request may approve for its signer.
type CertificateApproval struct {
	// Authorizer is required.
	Authorizer authz.Authorizer
}

// Validate checks every write of the approval, one that takes a condition away included.
func (c CertificateApproval) Validate(ctx context.Context, a *Attributes) error {
	if !a.signs("approval", Update) {
		return nil
	}
	return a.checkSigner(ctx, c.Authorizer, "approve")
}

// CertificateSigning asks that who signs a request may sign for its signer.
type CertificateSigning struct {
	// Authorizer is required.
	Authorizer authz.Authorizer
}

// Validate checks those writes of the status that change what a client waits for: the certificate, or the condition that there will be none.
func (c CertificateSigning) Validate(ctx context.Context, a *Attributes) error {
	if !a.signs("status", Update) {
		return nil
	}
	now, err := signingRequest(a.Object)
	if err != nil {
		return err
	}
	was, err := signingRequest(a.OldObject)
	if err != nil {
		return err
	}
	if bytes.Equal(now.Status.Certificate, was.Status.Certificate) && apiequality.Semantic.DeepEqual(now.Status.Conditions, was.Status.Conditions) {
		return nil
	}
	return a.checkSigner(ctx, c.Authorizer, "sign")
}

// CertificateSubjectRestriction refuses requests for client certificates in system:masters. The subject is looked at for the one signer whose certificates this
// server believes without a further check of what they name.
type CertificateSubjectRestriction struct{}

// Validate checks creates.
func (CertificateSubjectRestriction) Validate(_ context.Context, a *Attributes) error {
	if !a.signs("", Create) {
		return nil
	}
	csr, err := signingRequest(a.Object)
	if err != nil {
		return err
	}
	return a.checkSubject(csr)
}

// signs reports whether somebody, and not the server, does this to a certificate signing request.
func (a *Attributes) signs(subresource string, operation Operation) bool {
	return a.Resource.Group == certificatesv1.GroupName && a.Resource.Resource == "certificatesigningrequests" &&
		a.Subresource == subresource && a.Operation == operation && !a.Permit.IsSystem()
}

// checkSigner refuses who has no right to the signer. The stored one decides: neither subresource writes the spec.
func (a *Attributes) checkSigner(ctx context.Context, authorizer authz.Authorizer, verb string) error {
	if _, err := signingRequest(a.Object); err != nil {
		return err
	}
	was, err := signingRequest(a.OldObject)
	if err != nil {
		return err
	}
	signer := was.Spec.SignerName
	if mayUseSigner(ctx, authorizer, a.Permit.User(), verb, signer) {
		return nil
	}
	return a.Forbidden(fmt.Errorf("user not permitted to %s requests with signerName %q", verb, signer))
}

// mayUseSigner asks for the signer by its name and then for all signers of its domain. An error is a no.
func mayUseSigner(ctx context.Context, authorizer authz.Authorizer, user api.User, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		decision, _, err := authorizer.Authorize(ctx, user, api.RequestInfo{
			IsResource: true, Verb: verb, Group: certificatesv1.GroupName, Version: "*", Resource: "signers", Name: name,
		})
		if err == nil && decision == authz.Allow {
			return true
		}
	}
	return false
}

// checkSubject refuses a request for a client certificate that would make its holder an administrator whom no role
// limits, and one whose subject cannot be told.
func (a *Attributes) checkSubject(csr *certificatesv1.CertificateSigningRequest) error {
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	request, err := parseCSR(csr.Spec.Request)
	if err != nil {
		return a.Forbidden(fmt.Errorf("unable to check the subject: spec.request: %w", err))
	}
	if slices.Contains(request.Subject.Organization, api.GroupMasters) {
		return a.Forbidden(fmt.Errorf("use of %s signer with %s group is not allowed", csr.Spec.SignerName, api.GroupMasters))
	}
	return nil
}

// parseCSR reads the first PEM block, as signers do. Its errors do not quote the data.
func parseCSR(data []byte) (*x509.CertificateRequest, error) {
	if len(data) > MaxCSRBytes {
		return nil, fmt.Errorf("larger than %d bytes", MaxCSRBytes)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, errors.New("this is no PKCS #10 certificate request")
	}
	return request, nil
}

// signingRequest refuses what reaches the check undecoded.
func signingRequest(object any) (*certificatesv1.CertificateSigningRequest, error) {
	csr, ok := object.(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return nil, api.Internal(fmt.Errorf("admission: signer check of a %T", object))
	}
	return csr, nil
}
