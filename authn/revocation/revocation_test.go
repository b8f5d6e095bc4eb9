package revocation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// node is a certificate with its key.
type node struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func issue(t testing.TB, parent *node, name string, serial int64) *node {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), BasicConstraintsValid: true,
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		parent = &node{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &node{cert, key}
}

// list makes a revocation list of the serials.
func (n *node) list(t testing.TB, number int64, serials []int64, changes ...func(*x509.RevocationList)) string {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: start.Add(time.Duration(number) * time.Minute), NextUpdate: start.Add(time.Hour)}
	for _, s := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: start})
	}
	for _, change := range changes {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, n.cert, n.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func present(nodes ...*node) authn.Credentials {
	var c authn.Credentials
	for _, n := range nodes {
		c.PeerCertificates = append(c.PeerCertificates, n.cert)
	}
	return c
}

func TestCRL(t *testing.T) {
	ca, namesake, stranger := issue(t, nil, "ca", 1), issue(t, nil, "ca", 2), issue(t, nil, "other", 3)
	good, bad := issue(t, ca, "good", 16), issue(t, ca, "bad", 17)
	now := start.Add(10 * time.Minute)
	file := filepath.Join(t.TempDir(), "crl.pem")
	write(t, file, ca.list(t, 5, []int64{17, 300}))
	l, err := revocation.Open(revocation.Options{
		CRLFile: file, Clock: func() time.Time { return now },
		Authorities: func() []*x509.Certificate { return []*x509.Certificate{ca.cert, stranger.cert} },
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, c authn.Credentials, revoked bool) {
		t.Helper()
		err := l.Revoked(c, &authn.Result{})
		if (err != nil) != revoked || (err != nil && !errors.Is(err, authn.ErrRevoked)) {
			t.Errorf("%s: %v, want revoked: %v", name, err, revoked)
		}
	}
	check("one that is not listed", present(good), false)
	check("one that is listed", present(bad), true)
	check("one that is listed, behind another", present(good, bad), true)
	check("the same serial of an authority without a list", present(issue(t, stranger, "bad", 17)), false)
	check("the same serial of another key by the authority's name", present(issue(t, namesake, "bad", 17)), false)
	check("no certificate", present(), false)

	refused := map[string]struct{ text, says string }{
		"a list of a stranger":          {issue(t, nil, "ca", 9).list(t, 6, nil), "none of the client authorities has signed it"},
		"an older list put back":        {ca.list(t, 4, nil), "older than the one in use"},
		"text":                          {"nothing", "list 1"},
		"a certificate":                 {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})), "want X509 CRL"},
		"a list that is cut off":        {ca.list(t, 6, nil)[:100], "damaged"},
		"a list that holds only a part": {ca.list(t, 6, nil, critical), "critical extension"},
		"a good list beside a bad one":  {ca.list(t, 6, nil) + issue(t, nil, "x", 9).list(t, 1, nil), "list 2"},
	}
	for name, tc := range refused {
		write(t, file, tc.text)
		if changed, err := l.Reload(); changed || err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, %v; want %q", name, changed, err, tc.says)
		}
		check("after "+name, present(bad), true)
	}
	write(t, file, ca.list(t, 6, []int64{16}))
	if changed, err := l.Reload(); !changed || err != nil {
		t.Errorf("a newer list: %v, %v", changed, err)
	}
	check("listed by the newer list", present(good), true)
	check("not listed any more", present(bad), false)
	now = start.Add(time.Hour + time.Second)
	check("the list is overdue", present(bad), true)
	check("an authority without a list", present(issue(t, stranger, "x", 17)), false)
	now = start
	check("the list is of the future", present(bad), true)
}

func critical(l *x509.RevocationList) {
	l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}
}

func TestDenyList(t *testing.T) {
	ca := issue(t, nil, "ca", 1)
	leaf := issue(t, ca, "alice", 0xabc)
	sum := sha256.Sum256(leaf.cert.RawSubjectPublicKeyInfo)
	const head = "apiVersion: authn.gatehouse.dev/v1\nkind: DenyList\n"
	token := &authn.Result{CredentialID: "JTI=one", User: api.User{UID: "u1"}}
	inExtra := &authn.Result{User: api.User{Extra: map[string][]string{api.ExtraCredentialID: {"JTI=one"}}}}
	tests := map[string]struct {
		list    string
		cred    authn.Credentials
		res     *authn.Result
		revoked bool
	}{
		"an empty list":             {"", present(leaf), token, false},
		"a certificate":             {"certificates: [{issuer: 'CN=ca,O=Example', serial: 0ABC}]", present(leaf), token, true},
		"with colons":               {"certificates: [{issuer: 'CN=ca,O=Example', serial: '0a:bc'}]", present(leaf), token, true},
		"another serial":            {"certificates: [{issuer: 'CN=ca,O=Example', serial: abd}]", present(leaf), token, false},
		"another issuer":            {"certificates: [{issuer: 'CN=cb,O=Example', serial: abc}]", present(leaf), token, false},
		"a certificate and a token": {"certificates: [{issuer: 'CN=ca,O=Example', serial: abc}]", present(leaf), inExtra, true},
		"a key":                     {"keys: ['" + hex.EncodeToString(sum[:]) + "']", present(leaf), token, true},
		"a key in capitals":         {"keys: ['" + strings.ToUpper(hex.EncodeToString(sum[:])) + "']", present(leaf), token, true},
		"another key":               {"keys: ['" + strings.Repeat("ab", 32) + "']", present(leaf), token, false},
		"a token":                   {"tokens: [one]", present(), token, true},
		"a token as it is recorded": {"tokens: ['JTI=one']", present(), inExtra, true},
		"another token":             {"tokens: [on]", present(), token, false},
		"a user":                    {"uids: [u1]", present(), token, true},
		"a user without a uid":      {"uids: [u1]", present(), inExtra, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "deny.yaml")
			write(t, file, head+tc.list)
			l, err := revocation.Open(revocation.Options{DenyFile: file, Clock: time.Now, Authorities: func() []*x509.Certificate { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Revoked(tc.cred, tc.res); errors.Is(err, authn.ErrRevoked) != tc.revoked || (err != nil) != tc.revoked {
				t.Errorf("error = %v, want revoked: %v", err, tc.revoked)
			}
		})
	}
	for name, tc := range map[string]struct{ text, says string }{
		"another kind":           {"apiVersion: v1\nkind: List\n", "want authn.gatehouse.dev/v1 and DenyList"},
		"an unknown field":       {head + "users: [u1]", "users"},
		"a repeated field":       {head + "uids: [u1]\nuids: [u2]", "uids"},
		"a decimal with letters": {head + "certificates: [{issuer: a, serial: 12x}]", "certificates[0]: the serial"},
		"no issuer":              {head + "certificates: [{serial: '12'}]", "issuer is missing"},
		"as openssl shows it":    {head + "certificates: [{issuer: 'O = Example, CN = ca', serial: '12'}]", "certificates[0]: the issuer"},
		"with spaces":            {head + "certificates: [{issuer: 'CN=ca, O=Example', serial: '12'}]", "certificates[0]: the issuer"},
		"with slashes":           {head + "certificates: [{issuer: /O=Example/CN=ca, serial: '12'}]", "certificates[0]: the issuer"},
		"by another attribute":   {head + "certificates: [{issuer: 'CN=ca,DC=example', serial: '12'}]", "certificates[0]: the issuer"},
		"with bytes":             {head + "certificates: [{issuer: 'CN=\\C3\\A9', serial: '12'}]", "certificates[0]: the issuer"},
		"a short key":            {head + "keys: [abcd]", "keys[0]"},
		"an empty uid":           {head + "uids: ['']", "uids[0]"},
		"no YAML":                {"{", "yaml"},
	} {
		file := filepath.Join(t.TempDir(), "deny.yaml")
		write(t, file, tc.text)
		_, err := revocation.Open(revocation.Options{DenyFile: file, Clock: time.Now, Authorities: func() []*x509.Certificate { return nil }})
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}

// TestEveryIssuerCanBeNamed: the name of any authority, as it is compared, is one that the list takes.
func TestEveryIssuerCanBeNamed(t *testing.T) {
	for _, name := range []pkix.Name{
		{CommonName: "ca", Organization: []string{"Example", "Other"}, Country: []string{"DE"}, SerialNumber: "1"},
		{CommonName: ` #a,b+c"d\e<f>g;h=i `, Organization: []string{"é ü", "a b", ""}, StreetAddress: []string{"#1"}, PostalCode: []string{"1"}},
		{CommonName: "\\0a", Locality: []string{"x"}, Province: []string{" "}, OrganizationalUnit: []string{","}},
		{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"},
			{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@example.com"},
		}},
	} {
		file := filepath.Join(t.TempDir(), "deny.json")
		list, err := json.Marshal(revocation.DenyList{
			APIVersion: revocation.APIVersion, Kind: revocation.Kind,
			Certificates: []revocation.DeniedCertificate{{Issuer: name.String(), Serial: "07"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, string(list))
		l, err := revocation.Open(revocation.Options{DenyFile: file, Clock: time.Now, Authorities: func() []*x509.Certificate { return nil }})
		if err != nil {
			t.Error(err)
			continue
		}
		cert := &x509.Certificate{Issuer: name, SerialNumber: big.NewInt(7)}
		if err := l.Revoked(authn.Credentials{PeerCertificates: []*x509.Certificate{cert}}, &authn.Result{}); !errors.Is(err, authn.ErrRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that is broken must not undo what it said, nor keep the other from being read.
func TestBrokenFileDoesNotUndoTheOther(t *testing.T) {
	ca := issue(t, nil, "ca", 1)
	leaf := issue(t, ca, "alice", 7)
	dir := t.TempDir()
	crl, deny := filepath.Join(dir, "crl"), filepath.Join(dir, "deny")
	write(t, crl, ca.list(t, 1, nil))
	write(t, deny, "apiVersion: authn.gatehouse.dev/v1\nkind: DenyList\nuids: [u1]\n")
	l, err := revocation.Open(revocation.Options{
		CRLFile: crl, DenyFile: deny, Clock: func() time.Time { return start.Add(5 * time.Minute) },
		Authorities: func() []*x509.Certificate { return []*x509.Certificate{ca.cert} },
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, deny, "{")
	write(t, crl, ca.list(t, 2, []int64{7}))
	if changed, err := l.Reload(); !changed || err == nil {
		t.Errorf("reload: %v, %v; want a change and an error", changed, err)
	}
	if err := l.Revoked(present(leaf), &authn.Result{}); err == nil {
		t.Error("the list of the authority was not read")
	}
	if err := l.Revoked(present(), &authn.Result{User: api.User{UID: "u1"}}); err == nil {
		t.Error("what was denied is allowed again")
	}
}

func FuzzDenyList(f *testing.F) {
	f.Add("apiVersion: authn.gatehouse.dev/v1\nkind: DenyList\nuids: [u1]\nkeys: [ab]\ncertificates: [{issuer: a, serial: ff}]")
	f.Add("{")
	dir := f.TempDir()
	n := 0
	f.Fuzz(func(t *testing.T, text string) {
		n++
		file := filepath.Join(dir, fmt.Sprint(n))
		write(t, file, text)
		l, err := revocation.Open(revocation.Options{DenyFile: file, Clock: time.Now, Authorities: func() []*x509.Certificate { return nil }})
		if (l == nil) != (err != nil) {
			t.Errorf("%q: %v, %v", text, l, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCRL changes a good list: whatever is taken is signed, and so says what the authority said.
func FuzzCRL(f *testing.F) {
	ca := issue(f, nil, "ca", 1)
	bad := issue(f, ca, "bad", 17)
	f.Add(ca.list(f, 1, []int64{17}))
	f.Add("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
	f.Add("\x30\x00")
	file := filepath.Join(f.TempDir(), "crl")
	f.Fuzz(func(t *testing.T, text string) {
		write(t, file, text)
		l, err := revocation.Open(revocation.Options{
			CRLFile: file, Clock: func() time.Time { return start.Add(5 * time.Minute) },
			Authorities: func() []*x509.Certificate { return []*x509.Certificate{ca.cert} },
		})
		if err != nil {
			return
		}
		if l.Revoked(present(bad), &authn.Result{}) == nil {
			t.Errorf("%q was taken for a list that does not hold the certificate", text)
		}
	})
}
