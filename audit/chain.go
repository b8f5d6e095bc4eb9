package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
)

// How the chain works
//
// A line is an event of audit.k8s.io/v1 with one more member, spliced in as the last:
//
//	{"kind":"Event",...,"annotations":{...},"gatehouse":{"seq":7,"prev":"<hex>","hash":"<hex>"}}
//
// seq counts the records of the log from 1. prev is the hash of the record before, all zeros for the first. hash is
//
//	SHA-256("gatehouse.dev/audit/v1\n" || prev (32 bytes) || seq (8 bytes, big endian) || event)
//
// where event is the line without the spliced member: `{"kind":...,"annotations":{...}}`. Every part before the
// event has a fixed length, so no two inputs collide by moving bytes between parts, and the prefix keeps the
// hash apart from any other use of SHA-256.
//
// Verification works on the bytes as they are in the file. It finds the member by its fixed form at the end of
// the line and never decodes or re-encodes the event, so it does not depend on how a JSON library spells things, and two
// spellings of one event are two different records. The member has exactly one spelling: lower-case hex, no spaces,
// no leading zeros.
//
// Rejected: a separate file of hashes (the two can part), a keyed hash per line (whoever verifies could forge), a Merkle tree
// from the start (needed for short proofs of one record to outsiders; the chain can be its leaves later).
//
// Cost: one SHA-256 over some 900 bytes per event, about 1 µs, and 190 bytes per line. Attack considered: whoever can
// write the file can compute a new chain from any line on, because the hash has no key. The signed checkpoint is what
// such a chain does not agree with.

const (
	hashPrefix  = "gatehouse.dev/audit/v1\n"
	memberStart = `,"gatehouse":{"seq":`
	memberPrev  = `,"prev":"`
	memberHash  = `","hash":"`
	memberEnd   = `"}}`
	digestHex   = 2 * sha256.Size
	// memberTail is the length of the member after its sequence number.
	memberTail = len(memberPrev) + digestHex + len(memberHash) + digestHex + len(memberEnd)
	maxDigits  = 20
	// maxLinkBytes is the most that a line is longer than its event.
	maxLinkBytes = len(memberStart) + maxDigits + memberTail
)

// Digest is a SHA-256 hash, written in lower-case hex.
type Digest [sha256.Size]byte

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes the digest in hex.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts 64 lower-case hex digits and nothing else.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != digestHex || bytes.ContainsAny(text, "ABCDEF") {
		return errors.New("audit: a digest is 64 lower-case hex digits")
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("audit: digest: %w", err)
	}
	return nil
}

// Link is the chain member of a line: its place in the log and what ties it to the record before.
type Link struct {
	Seq  uint64 `json:"seq"`
	Prev Digest `json:"prev"`
	Hash Digest `json:"hash"`
}

// errNotRecord is wrapped by every error of ParseLine.
var errNotRecord = errors.New("not a chained audit record")

// ParseLine splits a line, given without its newline, into the bytes of the event up to but not including its closing
// brace, and the link. It checks the form only; [Hasher.Sum] tells whether the hash is right.
func ParseLine(line []byte) (event []byte, link Link, err error) {
	at := len(line) - memberTail
	if at < len(`{"a":0`)+len(memberStart)+1 || line[0] != '{' {
		return nil, Link{}, fmt.Errorf("%w: too short", errNotRecord)
	}
	tail := line[at:]
	prevAt := len(memberPrev)
	hashAt := prevAt + digestHex + len(memberHash)
	if string(tail[:prevAt]) != memberPrev || string(tail[prevAt+digestHex:hashAt]) != memberHash ||
		string(tail[hashAt+digestHex:]) != memberEnd {
		return nil, Link{}, fmt.Errorf("%w: the line does not end in a chain member", errNotRecord)
	}
	if err := link.Prev.UnmarshalText(tail[prevAt : prevAt+digestHex]); err != nil {
		return nil, Link{}, fmt.Errorf("%w: prev: %w", errNotRecord, err)
	}
	if err := link.Hash.UnmarshalText(tail[hashAt : hashAt+digestHex]); err != nil {
		return nil, Link{}, fmt.Errorf("%w: hash: %w", errNotRecord, err)
	}
	digits := at
	for digits > 0 && at-digits < maxDigits && line[digits-1] >= '0' && line[digits-1] <= '9' {
		digits--
	}
	link.Seq, err = strconv.ParseUint(string(line[digits:at]), 10, 64)
	if err != nil || link.Seq == 0 || line[digits] == '0' {
		return nil, Link{}, fmt.Errorf("%w: no sequence number", errNotRecord)
	}
	event, ok := bytes.CutSuffix(line[:digits], []byte(memberStart))
	if !ok {
		return nil, Link{}, fmt.Errorf("%w: the line does not end in a chain member", errNotRecord)
	}
	return event, link, nil
}

// Hasher computes the hashes of records. It is not safe for concurrent use; make one with [NewHasher].
type Hasher struct {
	h    hash.Hash
	head [len(hashPrefix) + sha256.Size + 8]byte // what is hashed before the event; here because it would escape
	sum  []byte
}

// NewHasher returns a Hasher that allocates nothing per record.
func NewHasher() *Hasher {
	x := &Hasher{h: sha256.New(), sum: make([]byte, 0, sha256.Size)}
	copy(x.head[:], hashPrefix)
	return x
}

// Sum is the hash of the record with this predecessor, sequence number and event. The event is given without its
// closing brace, as [ParseLine] returns it.
func (x *Hasher) Sum(prev Digest, seq uint64, event []byte) Digest {
	n := len(hashPrefix)
	n += copy(x.head[n:], prev[:])
	binary.BigEndian.PutUint64(x.head[n:], seq)
	x.h.Reset()
	x.h.Write(x.head[:])
	x.h.Write(event)
	x.sum = append(x.sum[:0], '}')
	x.h.Write(x.sum)
	x.sum = x.h.Sum(x.sum[:0])
	return Digest(x.sum)
}

// position is a place in the log: the last record before it and how many bytes of the segment precede it.
type position struct {
	seq  uint64
	head Digest
	size int64
}

// appendLine appends the event, which ends in its closing brace, as the line that follows p, and moves p behind it.
func (x *Hasher) appendLine(b, event []byte, p *position) []byte {
	start := len(b)
	event = event[:len(event)-1]
	p.seq++
	sum := x.Sum(p.head, p.seq, event)
	b = append(b, event...)
	b = append(b, memberStart...)
	b = strconv.AppendUint(b, p.seq, 10)
	b = append(b, memberPrev...)
	b = hex.AppendEncode(b, p.head[:])
	b = append(b, memberHash...)
	b = hex.AppendEncode(b, sum[:])
	b = append(b, memberEnd...)
	b = append(b, '\n')
	p.head = sum
	p.size += int64(len(b) - start)
	return b
}
