package admission_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
)

const clientSigner = certificatesv1.KubeAPIServerClientSignerName

// certificates are the three plugins about certificates.
func certificates(a authz.Authorizer) *admission.Chain {
	return &admission.Chain{Validators: []admission.Validator{
		admission.CertificateApproval{Authorizer: a}, admission.CertificateSigning{Authorizer: a}, admission.CertificateSubjectRestriction{},
	}}
}

// signers is a chain in which each user has one right on signers: mallory none, exact on one by name, domain on all of
// kubernetes.io, other on those of another domain, signer to sign, and root everything.
func signers() authz.Chain {
	x := rbac.New()
	for user, r := range map[string]rbacv1.PolicyRule{
		"exact":  {Verbs: []string{"approve"}, ResourceNames: []string{clientSigner}},
		"domain": {Verbs: []string{"approve"}, ResourceNames: []string{"kubernetes.io/*"}},
		"other":  {Verbs: []string{"approve", "sign"}, ResourceNames: []string{"example.com/*", "kubernetes.io/legacy-unknown"}},
		"signer": {Verbs: []string{"sign"}, ResourceNames: []string{clientSigner}},
		"root":   {Verbs: []string{"*"}},
	} {
		r.APIGroups, r.Resources = []string{certificatesv1.GroupName}, []string{"signers"}
		x.ApplyClusterRole(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: []rbacv1.PolicyRule{r}})
		x.ApplyClusterRoleBinding(&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: clusterRole(user),
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		})
	}
	return authz.Chain{Allowers: []authz.Authorizer{x}}
}

func pemCSR(t testing.TB, organizations ...string) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "mallory", Organization: organizations},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// csrUpdate is an update of the subresource of a request for clientSigner by the user, as change makes it.
func csrUpdate(t *testing.T, user, subresource string, change func(*certificatesv1.CertificateSigningRequest)) *admission.Attributes {
	t.Helper()
	old := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: clientSigner},
	}
	now := old.DeepCopy()
	if change != nil {
		change(now)
	}
	return &admission.Attributes{
		Permit: permit(t, api.User{Name: user}, api.RequestInfo{
			Verb: "update", Group: certificatesv1.GroupName, Version: "v1", Resource: "certificatesigningrequests", Subresource: subresource, Name: "r",
		}),
		Operation: admission.Update, Resource: certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"),
		Subresource: subresource, Name: "r", Object: now, OldObject: old,
	}
}

func condition(kind certificatesv1.RequestConditionType) func(*certificatesv1.CertificateSigningRequest) {
	return func(c *certificatesv1.CertificateSigningRequest) {
		c.Status.Conditions = append(c.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind})
	}
}

func signed(c *certificatesv1.CertificateSigningRequest) {
	c.Status.Certificate = []byte("certificate")
}

// TestCertificatesNeedTheRightToTheirSigner guards against a user who approves its own request for any identity with nothing but
// update on the approval.
func TestCertificatesNeedTheRightToTheirSigner(t *testing.T) {
	const (
		approve = `certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver-client"`
		sign    = `certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to sign requests with signerName "kubernetes.io/kube-apiserver-client"`
	)
	approved, denied := condition(certificatesv1.CertificateApproved), condition(certificatesv1.CertificateDenied)
	for name, test := range map[string]struct {
		user, subresource string
		change            func(*certificatesv1.CertificateSigningRequest)
		message           string
	}{
		"approval without the right":                {"mallory", "approval", approved, approve},
		"denial without the right":                  {"mallory", "approval", denied, approve},
		"approval by the right to another signer":   {"other", "approval", approved, approve},
		"approval by the right to sign":             {"signer", "approval", approved, approve},
		"approval by the signer's name":             {"exact", "approval", approved, ""},
		"denial by the signer's name":               {"exact", "approval", denied, ""},
		"approval by the signer's domain":           {"domain", "approval", approved, ""},
		"approval by the right to all":              {"root", "approval", approved, ""},
		"the request names the signer, not the old": {"other", "approval", func(c *certificatesv1.CertificateSigningRequest) { approved(c); c.Spec.SignerName = "example.com/x" }, approve},
		"certificate without the right":             {"mallory", "status", signed, sign},
		"certificate by the right to approve":       {"exact", "status", signed, sign},
		"certificate by the right to sign":          {"signer", "status", signed, ""},
		"failure without the right":                 {"mallory", "status", condition(certificatesv1.CertificateFailed), sign},
		"status that changes labels only":           {"mallory", "status", func(c *certificatesv1.CertificateSigningRequest) { c.Labels = map[string]string{"a": "b"} }, ""},
		"the request itself":                        {"mallory", "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := certificates(signers()).Validate(t.Context(), csrUpdate(t, test.user, test.subresource, test.change))
			code, got := refusal(t, err)
			if got != test.message || (code != 0 && code != 403) {
				t.Errorf("got  %d %s\nwant %s", code, got, test.message)
			}
		})
	}
}

func TestAdministratorsAndTheServerApproveForAnySigner(t *testing.T) {
	c := certificates(signers())
	a := csrUpdate(t, "admin", "approval", condition(certificatesv1.CertificateApproved))
	a.Permit = permit(t, api.User{Name: "admin", Groups: []string{api.GroupMasters}}, a.Permit.Info())
	if err := c.Validate(t.Context(), a); err != nil {
		t.Errorf("system:masters: %v", err)
	}
	a.Permit = authz.System("test", a.Permit.Info())
	if err := certificates(broken{}).Validate(t.Context(), a); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// TestSignerCheckFailsClosed guards against an error, or an object of another form, that is taken for a yes.
func TestSignerCheckFailsClosed(t *testing.T) {
	a := csrUpdate(t, "root", "approval", condition(certificatesv1.CertificateApproved))
	if code, _ := refusal(t, certificates(broken{}).Validate(t.Context(), a)); code != 403 {
		t.Errorf("authorizer that fails: %d", code)
	}
	for name, change := range map[string]func(*admission.Attributes){
		"new": func(a *admission.Attributes) { a.Object = &metav1.PartialObjectMetadata{} },
		"old": func(a *admission.Attributes) { a.OldObject = &metav1.PartialObjectMetadata{} },
	} {
		a := csrUpdate(t, "root", "approval", nil)
		change(a)
		if code, _ := refusal(t, certificates(signers()).Validate(t.Context(), a)); code != 500 {
			t.Errorf("%s object undecoded: %d", name, code)
		}
	}
}

// TestClientCertificatesOfMastersAreNotRequested guards against a certificate for system:masters, whom no role limits.
func TestClientCertificatesOfMastersAreNotRequested(t *testing.T) {
	const (
		forbidden = `certificatesigningrequests.certificates.k8s.io "r" is forbidden: `
		notRead   = forbidden + "unable to check the subject: spec.request: "
		noMasters = forbidden + "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
	)
	for name, test := range map[string]struct {
		signer  string
		request []byte
		message string // a prefix; empty for admitted
	}{
		"masters":                       {clientSigner, pemCSR(t, api.GroupMasters), noMasters},
		"masters behind another group":  {clientSigner, pemCSR(t, "dev", api.GroupMasters), noMasters},
		"masters after text":            {clientSigner, append([]byte("text\n"), pemCSR(t, api.GroupMasters)...), noMasters},
		"another group":                 {clientSigner, pemCSR(t, "dev"), ""},
		"no group":                      {clientSigner, pemCSR(t), ""},
		"masters for another signer":    {"example.com/x", pemCSR(t, api.GroupMasters), ""},
		"nothing":                       {clientSigner, nil, notRead + `PEM block type`},
		"another block":                 {clientSigner, []byte(strings.ReplaceAll(string(pemCSR(t)), "CERTIFICATE REQUEST", "CERTIFICATE")), notRead + `PEM block type`},
		"a block that is no request":    {clientSigner, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte("x")}), notRead + "this is no PKCS #10"},
		"over the bound":                {clientSigner, append(make([]byte, admission.MaxCSRBytes), pemCSR(t)...), notRead + "larger than"},
		"unreadable for another signer": {"example.com/x", []byte("x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := csrUpdate(t, "mallory", "", func(c *certificatesv1.CertificateSigningRequest) {
				c.Spec.SignerName, c.Spec.Request = test.signer, test.request
			})
			a.Operation, a.OldObject = admission.Create, nil
			code, got := refusal(t, certificates(signers()).Validate(t.Context(), a))
			if (code == 0) != (test.message == "") || (code != 0 && code != 403) || !strings.HasPrefix(got, test.message) {
				t.Errorf("got  %d %s\nwant %s", code, got, test.message)
			}
		})
	}
}

// never fails the test when it is asked.
type never struct{ t *testing.T }

func (n never) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	n.t.Error("the authorizer was asked")
	return authz.Deny, "", nil
}

func TestSignerCheckIsAboutCertificatesOnly(t *testing.T) {
	c := certificates(never{t})
	a := csrUpdate(t, "mallory", "approval", nil)
	a.Operation, a.Object = admission.Delete, nil
	for name, a := range map[string]*admission.Attributes{"pod": podAttributes(t, "default"), "deletion": a} {
		if err := c.Validate(t.Context(), a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzSubjectOfCSR checks that a request is admitted for the client signer only if its subject can be read and is not in system:masters.
func FuzzSubjectOfCSR(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Add([]byte("x"))
	f.Add(pemCSR(f, "dev"))
	f.Add(pemCSR(f, api.GroupMasters))
	f.Fuzz(func(t *testing.T, request []byte) {
		a := csrUpdate(t, "mallory", "", func(c *certificatesv1.CertificateSigningRequest) { c.Spec.Request = request })
		a.Operation, a.OldObject = admission.Create, nil
		if certificates(never{t}).Validate(t.Context(), a) != nil {
			return
		}
		block, _ := pem.Decode(request)
		if block == nil {
			t.Fatalf("%q was admitted", request)
		}
		parsed, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || slices.Contains(parsed.Subject.Organization, api.GroupMasters) {
			t.Fatalf("%q was admitted: %v", request, err)
		}
	})
}
