package cluster

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// leastExpiration is the shortest life of a certificate that may be asked for, in seconds.
const leastExpiration = 600

// legacySigner is the signer of requests that named none, before they had to.
const legacySigner = "kubernetes.io/legacy-unknown"

// checkCSRSpec checks what is asked for. Values that a stored request has may stay as they are.
func checkCSRSpec(c *rules.Checker, s, old *certificatesv1.CertificateSigningRequestSpec) {
	if err := checkRequest(s.Request); err != nil {
		c.Add(field.Invalid(c.At("request"), s.Request, err.Error()))
	}
	checkUsages(c, s, old)
	if s.SignerName == legacySigner && (old == nil || old.SignerName != legacySigner) {
		c.Add(field.Invalid(c.At("signerName"), s.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		checkSignerName(c, s.SignerName)
	}
	if s.ExpirationSeconds != nil && *s.ExpirationSeconds < leastExpiration {
		c.Add(field.Invalid(c.At("expirationSeconds"), *s.ExpirationSeconds, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
}

// checkRequest asks for a PKCS #10 request in PEM that is signed with the key it is about.
func checkRequest(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	return request.CheckSignature()
}

func checkUsages(c *rules.Checker, s, old *certificatesv1.CertificateSigningRequestSpec) {
	if len(s.Usages) == 0 {
		c.Add(field.Required(c.At("usages"), ""))
	}
	known := usages()
	isUnknown := func(u certificatesv1.KeyUsage) bool { return !slices.Contains(known, string(u)) }
	if old == nil || !slices.ContainsFunc(old.Usages, isUnknown) {
		for i, u := range s.Usages {
			if isUnknown(u) {
				c.Add(field.NotSupported(c.At("usages").Index(i), u, known))
			}
		}
	}
	if old != nil && len(slices.Compact(slices.Sorted(slices.Values(old.Usages)))) < len(old.Usages) {
		return
	}
	seen := make(map[certificatesv1.KeyUsage]bool, len(s.Usages))
	for i, u := range s.Usages {
		if seen[u] {
			c.Add(field.Duplicate(c.At("usages").Index(i), u))
		}
		seen[u] = true
	}
}

// usages are the known uses of a certificate, in order.
func usages() []string {
	return []string{
		"any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only",
		"digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement",
		"key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
	}
}

// Parts of a signer's name, "example.com/name", have as many bytes as a domain, and as the name of an object after that of its namespace.
const (
	maxSignerDomain = validation.DNS1123SubdomainMaxLength
	maxSignerName   = maxSignerDomain + 1 + validation.DNS1123LabelMaxLength + 1 + validation.DNS1123SubdomainMaxLength
)

func checkSignerName(c *rules.Checker, name string) {
	if name == "" {
		c.Add(field.Required(c.At("signerName"), ""))
		return
	}
	domain, path, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(path, "/") {
		c.Add(field.Invalid(c.At("signerName"), name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"))
		return
	}
	if len(domain) > maxSignerDomain {
		c.Add(field.TooLong(c.At("signerName"), "", maxSignerDomain))
	}
	checkLabels(c, domain, validation.IsDNS1123Label)
	if !strings.Contains(domain, ".") {
		c.Add(field.Invalid(c.At("signerName"), domain, "should be a domain with at least two segments separated by dots"))
	}
	checkLabels(c, path, validation.IsDNS1123Subdomain)
	if len(name) > maxSignerName {
		c.Add(field.TooLong(c.At("signerName"), "", maxSignerName))
	}
}

// checkLabels checks the parts between dots and tells about the first that is wrong.
func checkLabels(c *rules.Checker, s string, messages func(string) []string) {
	for label := range strings.SplitSeq(s, ".") {
		found := messages(label)
		for _, m := range found {
			c.Add(field.Invalid(c.At("signerName"), s, fmt.Sprintf("validating label %q: %s", label, m)))
		}
		if len(found) > 0 {
			return
		}
	}
}

// checkCertificate asks for certificates where an update sets any, unless what was there already was something else.
func checkCertificate(c *rules.Checker, r, old *csr) {
	if old != nil && (slices.Equal(r.Status.Certificate, old.Status.Certificate) || checkCertificates(old.Status.Certificate) != nil) {
		return
	}
	if err := checkCertificates(r.Status.Certificate); err != nil {
		c.Add(field.Invalid(c.At("status", "certificate"), "<certificate data>", err.Error()))
	}
}

func checkCertificates(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	for blocks := 0; ; blocks++ {
		block, rest := pem.Decode(text)
		switch {
		case block == nil && blocks == 0:
			return errors.New("must contain at least one CERTIFICATE PEM block")
		case block == nil:
			return nil
		case block.Type != "CERTIFICATE":
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		case len(block.Headers) != 0:
			return errors.New("no PEM block headers are permitted")
		}
		certificates, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(certificates) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
		text = rest
	}
}
