// Package revocation knows credentials that must not be used any more, though everything else about them is in order.
//
// There are two sources, each a file that is read again when it changes. [Options.CRLFile] holds certificate revocation lists (RFC 5280) in
// PEM or, one of them, in DER. Each must be signed by an authority whose certificates are accepted; an authority without a list
// is not asked about. [Options.DenyFile] is a [DenyList], in which an operator names certificates, keys, tokens and users.
//
// It fails closed. Once the next update of a list is due and not there, every certificate of its issuer is refused. A file that cannot be
// used does not replace what was last good, and neither does a list with a lower number than the one before.
//
// Limits: no delta lists and no indirect ones, which are refused by name; no OCSP. A file is at most [MaxFileBytes].
package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// MaxFileBytes bounds each of the files, and with it the memory that the lists take.
const MaxFileBytes = 16 << 20

// tokenPrefix begins the identifier of a credential that is a token.
const tokenPrefix = "JTI="

// Options say where the lists are. Authorities and Clock are required, the files are not.
type Options struct {
	// CRLFile holds certificate revocation lists. Empty means that there are none.
	CRLFile string
	// DenyFile holds a [DenyList]. Empty means that there is none.
	DenyFile string
	// Authorities may sign lists. It is asked each time the lists are read.
	Authorities func() []*x509.Certificate
	// Clock is what the validity of lists is judged by.
	Clock func() time.Time
}

// Lists implements [authn.Revocation]. It is safe for concurrent use.
type Lists struct {
	opts   Options
	mu     sync.Mutex // is held while files are read
	loaded atomic.Pointer[state]
}

// state is one version of both files. It is immutable.
type state struct {
	crls    map[string][]*crl // by the raw name of the issuer
	crlSum  [sha256.Size]byte // of the file and the authorities that it was judged by
	deny    *denied
	denySum [sha256.Size]byte
}

// Open reads both files.
func Open(opts Options) (*Lists, error) {
	if opts.Authorities == nil || opts.Clock == nil {
		return nil, errors.New("revocation: authorities or clock are missing")
	}
	l := &Lists{opts: opts}
	l.loaded.Store(&state{deny: &denied{}})
	if _, err := l.Reload(); err != nil {
		return nil, err
	}
	return l, nil
}

// Reload reads the files again and reports whether anything changed. Where one cannot be used, the error says why, and what it held when it
// was last good stays in use; the other is taken in any case.
func (l *Lists) Reload() (changed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.loaded.Load()
	next := *old
	err = errors.Join(l.loadCRLs(&next), l.loadDeny(&next))
	changed = next.crlSum != old.crlSum || next.denySum != old.denySum
	if changed {
		l.loaded.Store(&next)
	}
	return changed, err
}

func (l *Lists) loadCRLs(s *state) error {
	if l.opts.CRLFile == "" {
		return nil
	}
	data, err := pki.ReadPublic(l.opts.CRLFile, MaxFileBytes)
	if err != nil {
		return fmt.Errorf("certificate revocation lists: %w", err)
	}
	authorities := l.opts.Authorities()
	sum := sumOf(data, authorities)
	if sum == s.crlSum {
		return nil
	}
	crls, err := parseCRLs(data, authorities, s.crls)
	if err != nil {
		return fmt.Errorf("certificate revocation lists %s: %w", l.opts.CRLFile, err)
	}
	s.crls, s.crlSum = crls, sum
	return nil
}

func sumOf(data []byte, authorities []*x509.Certificate) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(data)
	for _, a := range authorities {
		h.Write(a.Raw)
	}
	h.Sum(sum[:0])
	return sum
}

func (l *Lists) loadDeny(s *state) error {
	if l.opts.DenyFile == "" {
		return nil
	}
	data, err := pki.ReadPublic(l.opts.DenyFile, MaxFileBytes)
	if err != nil {
		return fmt.Errorf("deny list: %w", err)
	}
	sum := sha256.Sum256(data)
	if sum == s.denySum {
		return nil
	}
	deny, err := parseDenyList(data)
	if err != nil {
		return fmt.Errorf("deny list %s: %w", l.opts.DenyFile, err)
	}
	s.deny, s.denySum = deny, sum
	return nil
}

// Revoked returns an error with [authn.ErrRevoked] in its chain if a certificate that was presented, the token or the user
// is on a list.
func (l *Lists) Revoked(c authn.Credentials, res *authn.Result) error {
	s := l.loaded.Load()
	for _, cert := range c.PeerCertificates {
		if err := s.certificate(cert, l.opts.Clock()); err != nil {
			return fmt.Errorf("%w: certificate SN=%x of %.128q: %w", authn.ErrRevoked, cert.SerialNumber, cert.Issuer.String(), err)
		}
	}
	if len(s.deny.tokens) > 0 {
		for _, id := range append(slices.Clone(res.User.Extra[api.ExtraCredentialID]), res.CredentialID) {
			if jti, ok := strings.CutPrefix(id, tokenPrefix); ok && s.deny.tokens[jti] {
				return fmt.Errorf("%w: token %.128q is on the deny list", authn.ErrRevoked, jti)
			}
		}
	}
	if uid := res.User.UID; uid != "" && s.deny.uids[uid] {
		return fmt.Errorf("%w: the user with uid %.128q is on the deny list", authn.ErrRevoked, uid)
	}
	return nil
}

var (
	errListed    = errors.New("it is on the revocation list of its authority")
	errOverdue   = errors.New("the revocation list of its authority is out of date")
	errDenied    = errors.New("it is on the deny list")
	errDeniedKey = errors.New("its key is on the deny list")
)

func (s *state) certificate(cert *x509.Certificate, now time.Time) error {
	for _, list := range s.crls[string(cert.RawIssuer)] {
		if err := list.check(cert, now); err != nil {
			return err
		}
	}
	if len(s.deny.certificates) > 0 && s.deny.certificates[certificateKey(cert.Issuer.String(), cert.SerialNumber)] {
		return errDenied
	}
	if len(s.deny.keys) > 0 && s.deny.keys[sha256.Sum256(cert.RawSubjectPublicKeyInfo)] {
		return errDeniedKey
	}
	return nil
}
