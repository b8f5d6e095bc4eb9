package revocation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// The apiVersion and kind of a [DenyList].
const (
	APIVersion = "authn.gatehouse.dev/v1"
	Kind       = "DenyList"
)

// DenyList is the file, in YAML or JSON, in which an operator names what is not to be used any more. Unknown fields and repeated keys are
// refused, and so is an entry that could not match anything.
type DenyList struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Certificates are client certificates, and intermediate ones that clients present.
	Certificates []DeniedCertificate `json:"certificates,omitempty"`
	// Keys are SHA-256 digests, in hexadecimal, of the SubjectPublicKeyInfo of certificates.
	Keys []string `json:"keys,omitempty"`
	// Tokens are the identifiers of tokens (jti), as the audit log shows them behind JTI=.
	Tokens []string `json:"tokens,omitempty"`
	// UIDs are those of users: of a service account, that of the object.
	UIDs []string `json:"uids,omitempty"`
}

// DeniedCertificate names a certificate.
type DeniedCertificate struct {
	// Issuer is the distinguished name of the issuer in the form of RFC 2253, such as CN=ca,O=Example. Attributes other than CN, O, OU, C,
	// L, ST, STREET, POSTALCODE and SERIALNUMBER are an OID and the value in hexadecimal: 1.2.840.113549.1.9.1=#1603...
	Issuer string `json:"issuer"`
	// Serial is the serial number in hexadecimal; colons between the bytes are allowed.
	Serial string `json:"serial"`
}

// denied is a DenyList to look things up in. Its maps may be nil.
type denied struct {
	certificates map[string]bool // by certificateKey
	keys         map[[sha256.Size]byte]bool
	tokens       map[string]bool
	uids         map[string]bool
}

func parseDenyList(data []byte) (*denied, error) {
	var list DenyList
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		return nil, err
	}
	if list.APIVersion != APIVersion || list.Kind != Kind {
		return nil, fmt.Errorf("apiVersion %.64q and kind %.64q: want %s and %s", list.APIVersion, list.Kind, APIVersion, Kind)
	}
	d := &denied{certificates: map[string]bool{}, keys: map[[sha256.Size]byte]bool{}}
	var errs []error
	for i, c := range list.Certificates {
		serial, err := parseSerial(c.Serial)
		if err == nil {
			err = checkIssuer(c.Issuer)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("certificates[%d]: %w", i, err))
			continue
		}
		d.certificates[certificateKey(c.Issuer, serial)] = true
	}
	for i, key := range list.Keys {
		sum, err := hex.DecodeString(strings.ReplaceAll(key, ":", ""))
		if err != nil || len(sum) != sha256.Size {
			errs = append(errs, fmt.Errorf("keys[%d]: it is no SHA-256 in hexadecimal", i))
			continue
		}
		d.keys[[sha256.Size]byte(sum)] = true
	}
	var err error
	d.tokens, err = setOf("tokens", list.Tokens)
	errs = append(errs, err)
	d.uids, err = setOf("uids", list.UIDs)
	return d, errors.Join(append(errs, err)...)
}

func setOf(field string, values []string) (map[string]bool, error) {
	set := make(map[string]bool, len(values))
	for i, v := range values {
		v = strings.TrimPrefix(v, tokenPrefix)
		if v == "" || strings.TrimSpace(v) != v {
			return nil, fmt.Errorf("%s[%d]: it is empty or begins or ends with a space", field, i)
		}
		set[v] = true
	}
	return set, nil
}

// parseSerial reads hexadecimal digits only: a number that could be read in two ways would be denied in the wrong one.
func parseSerial(text string) (*big.Int, error) {
	digits := strings.ReplaceAll(text, ":", "")
	if digits == "" || strings.ContainsFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) }) {
		return nil, fmt.Errorf("the serial %.64q is not hexadecimal", text)
	}
	serial, _ := new(big.Int).SetString(digits, 16)
	return serial, nil
}

// checkIssuer refuses a name that is written in a form in which no certificate's is compared: the entry would be without effect, and
// nobody would know.
func checkIssuer(name string) error {
	if name == "" {
		return errors.New("the issuer is missing")
	}
	const attribute = `(?:(?:CN|O|OU|C|L|ST|STREET|POSTALCODE|SERIALNUMBER)=(?:[^ ,+"\\<>;#]|\\[^0-9A-Fa-f])?(?:[^,+"\\<>;]|\\[^0-9A-Fa-f])*|[0-9]+(?:\.[0-9]+)+=#[0-9a-f]+)`
	if regexp.MustCompile(`\A` + attribute + `(?:[,+]` + attribute + `)*\z`).MatchString(name) {
		return nil
	}
	return fmt.Errorf("the issuer %.128q is not in the form of RFC 2253, such as CN=ca,O=Example: no spaces around , and =, characters as they are, "+
		"and attributes other than CN, O, OU, C, L, ST, STREET, POSTALCODE and SERIALNUMBER as OID=#hexadecimal", name)
}

func certificateKey(issuer string, serial *big.Int) string { return serial.Text(16) + " " + issuer }
