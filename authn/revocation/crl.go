package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const crlBlock = "X509 CRL"

// crl is a revocation list whose signature was verified.
type crl struct {
	authority              []byte // identifier of the key that signed it; empty if it names none
	number                 *big.Int
	thisUpdate, nextUpdate time.Time
	serials                map[string]struct{} // big-endian
}

// parseCRLs reads lists in PEM or one in DER. before are those in use, which none may be older than.
func parseCRLs(data []byte, authorities []*x509.Certificate, before map[string][]*crl) (map[string][]*crl, error) {
	ders, err := crlsIn(data)
	if err != nil {
		return nil, err
	}
	lists := map[string][]*crl{}
	for i, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("list %d: %w", i+1, err)
		}
		made, err := newCRL(list, authorities)
		if err == nil {
			err = made.noOlder(before[string(list.RawIssuer)])
		}
		if err != nil {
			return nil, fmt.Errorf("list %d, of %.128q: %w", i+1, list.Issuer.String(), err)
		}
		lists[string(list.RawIssuer)] = append(lists[string(list.RawIssuer)], made)
	}
	return lists, nil
}

func crlsIn(data []byte) (ders [][]byte, err error) {
	begun := bytes.Count(data, []byte("-----BEGIN "))
	if begun == 0 {
		return [][]byte{data}, nil
	}
	for read := 0; ; read++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			if read != begun {
				return nil, fmt.Errorf("%d of %d PEM blocks are damaged", begun-read, begun)
			}
			return ders, nil
		}
		if block.Type != crlBlock {
			return nil, fmt.Errorf("PEM block %d is a %.32q, want %s", read+1, block.Type, crlBlock)
		}
		ders = append(ders, block.Bytes)
	}
}

func newCRL(list *x509.RevocationList, authorities []*x509.Certificate) (*crl, error) {
	if err := signedByOne(list, authorities); err != nil {
		return nil, err
	}
	for _, extension := range list.Extensions {
		if extension.Critical {
			return nil, fmt.Errorf("it has a critical extension (%s): delta lists and those that hold only some certificates are not supported", extension.Id)
		}
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("it does not say when the next one is due")
	}
	made := &crl{
		authority: list.AuthorityKeyId, number: list.Number, thisUpdate: list.ThisUpdate, nextUpdate: list.NextUpdate,
		serials: make(map[string]struct{}, len(list.RevokedCertificateEntries)),
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, extension := range entry.Extensions {
			if extension.Critical {
				return nil, fmt.Errorf("an entry has a critical extension (%s): indirect lists are not supported", extension.Id)
			}
		}
		made.serials[string(entry.SerialNumber.Bytes())] = struct{}{}
	}
	return made, nil
}

func signedByOne(list *x509.RevocationList, authorities []*x509.Certificate) error {
	for _, a := range authorities {
		if bytes.Equal(a.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(a) == nil {
			return nil
		}
	}
	return errors.New("none of the client authorities has signed it")
}

// noOlder refuses a list that somebody put back.
func (c *crl) noOlder(before []*crl) error {
	for _, old := range before {
		if !bytes.Equal(old.authority, c.authority) {
			continue
		}
		if (old.number != nil && c.number != nil && c.number.Cmp(old.number) < 0) || c.thisUpdate.Before(old.thisUpdate) {
			return errors.New("it is older than the one in use")
		}
	}
	return nil
}

// startSkew is allowed for a list that was issued by a machine whose clock is ahead.
const startSkew = time.Minute

// check judges a certificate of the list's issuer.
func (c *crl) check(cert *x509.Certificate, now time.Time) error {
	if len(c.authority) > 0 && len(cert.AuthorityKeyId) > 0 && !bytes.Equal(c.authority, cert.AuthorityKeyId) {
		return nil // It is of another key of an authority by the same name.
	}
	if _, listed := c.serials[string(cert.SerialNumber.Bytes())]; listed {
		return errListed
	}
	if now.After(c.nextUpdate) || now.Before(c.thisUpdate.Add(-startSkew)) {
		return errOverdue
	}
	return nil
}
