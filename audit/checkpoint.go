package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A checkpoint is a C2SP signed note (https://c2sp.org/signed-note) with five lines of text, for example
//
//	gatehouse-audit
//	1042
//	n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=
//	size 981734
//	time 2026-11-20T09:20:47.123456Z
//
// which are the origin (the name of the key), the sequence number and the hash of the last record, the size of the
// segment up to and including that record, and when it was signed. Each has one spelling.

// Names of the files beside the log, as suffixes of its path.
const (
	SuffixCheckpoint = ".checkpoint" // the signed note
	SuffixKey        = ".key"        // the signing key, mode 0600
	SuffixPublicKey  = ".pub"        // the verifier key, one line
	suffixLock       = ".lock"
	suffixNext       = ".next" // a segment that is about to become the active one
)

// DefaultOrigin names the log, and the key that signs for it, where Options say nothing.
const DefaultOrigin = "gatehouse-audit"

const maxNoteBytes = 4 << 10

// Checkpoint is a signed statement of how far a log had come.
type Checkpoint struct {
	Origin string
	Seq    uint64 // of the last record; 0 for an empty log
	Head   Digest // its hash
	Size   int64  // bytes of its segment up to the end of its line
	Time   time.Time
}

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\nsize %d\ntime %s\n", c.Origin, c.Seq,
		base64.StdEncoding.EncodeToString(c.Head[:]), c.Size, c.Time.UTC().Format(time.RFC3339Nano))
}

// ParseCheckpoint reads the text of a checkpoint, which the caller has taken from a verified note.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 {
		return Checkpoint{}, errors.New("audit: a checkpoint has five lines")
	}
	c := Checkpoint{Origin: lines[0]}
	var errs [4]error
	c.Seq, errs[0] = strconv.ParseUint(lines[1], 10, 64)
	head, err := base64.StdEncoding.DecodeString(lines[2])
	errs[1] = err
	if err == nil && len(head) != len(c.Head) {
		errs[1] = errors.New("wrong length of hash")
	}
	copy(c.Head[:], head)
	c.Size, errs[2] = strconv.ParseInt(strings.TrimPrefix(lines[3], "size "), 10, 64)
	c.Time, errs[3] = time.Parse(time.RFC3339Nano, strings.TrimPrefix(lines[4], "time "))
	if err := errors.Join(errs[:]...); err != nil {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint: %w", err)
	}
	if c.Size < 0 || c.text() != text {
		return Checkpoint{}, errors.New("audit: the checkpoint is not in canonical form")
	}
	return c, nil
}

// ReadCheckpoint reads the checkpoint of the log at path and checks its signature with the verifier key, which is
// in the form of [note.NewVerifier].
func ReadCheckpoint(path, verifierKey string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(verifierKey))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: verifier key: %w", err)
	}
	name := path + SuffixCheckpoint
	f, err := os.Open(name)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint: %w", err)
	}
	defer f.Close()
	msg, err := io.ReadAll(io.LimitReader(f, maxNoteBytes+1))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint: %w", err)
	}
	if len(msg) > maxNoteBytes {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint %s: larger than %d bytes", name, maxNoteBytes)
	}
	n, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint %s: the signature is not by key %s: %w", name, verifier.Name(), err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err == nil && c.Origin != verifier.Name() {
		err = fmt.Errorf("audit: checkpoint %s: is for %q, the key is for %q", name, c.Origin, verifier.Name())
	}
	return c, err
}

// signingKey signs checkpoints; public is the verifier key that belongs to it.
type signingKey struct {
	signer note.Signer
	public string
}

// loadKey reads the signing key of the log at path. It returns an error that is fs.ErrNotExist if there is none.
func loadKey(path string) (signingKey, error) {
	name := path + SuffixKey
	info, err := os.Stat(name)
	if err != nil {
		return signingKey{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return signingKey{}, fmt.Errorf("audit: %s can be read or written by others (mode %04o); run: chmod 600 %s", name, info.Mode().Perm(), name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return signingKey{}, fmt.Errorf("audit: signing key: %w", err)
	}
	return newKey(strings.TrimSpace(string(data)))
}

// createKey makes a new signing key and writes it and its verifier key beside the log.
func createKey(path, origin string) (signingKey, error) {
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return signingKey{}, fmt.Errorf("audit: signing key: %w", err)
	}
	key, err := newKey(private)
	if err != nil {
		return signingKey{}, err
	}
	if err := writeFile(path+SuffixKey, []byte(private+"\n")); err != nil {
		return signingKey{}, err
	}
	return key, writeFile(path+SuffixPublicKey, []byte(public+"\n"))
}

// newKey derives the verifier key from the signing key, so that a lost or exchanged .pub file does not matter here.
func newKey(private string) (signingKey, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return signingKey{}, errors.New("audit: the signing key is damaged") // the cause could quote the key
	}
	parts := strings.SplitN(private, "+", 5) // PRIVATE+KEY+name+hash+base64, of which the last may hold a plus itself
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return signingKey{}, errors.New("audit: the signing key is damaged")
	}
	pub, _ := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	public, err := note.NewEd25519VerifierKey(signer.Name(), pub)
	if err != nil {
		return signingKey{}, fmt.Errorf("audit: signing key: %w", err)
	}
	return signingKey{signer: signer, public: public}, nil
}

// write signs the checkpoint and puts it in the place of the one before.
func (k signingKey) write(path string, p position, now time.Time) error {
	c := Checkpoint{Origin: k.signer.Name(), Seq: p.seq, Head: p.head, Size: p.size, Time: now.Round(0)}
	msg, err := note.Sign(&note.Note{Text: c.text()}, k.signer)
	if err != nil {
		return fmt.Errorf("audit: sign checkpoint: %w", err)
	}
	return writeFile(path+SuffixCheckpoint, msg)
}

// removeTemporary removes what a process that was killed within writeFile left. The caller holds the lock of the log.
func removeTemporary(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	var errs []error
	for _, e := range entries {
		for _, suffix := range []string{SuffixCheckpoint, SuffixKey, SuffixPublicKey} {
			if strings.HasPrefix(e.Name(), filepath.Base(path)+suffix+temporary) {
				errs = append(errs, os.Remove(filepath.Join(filepath.Dir(path), e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

const temporary = ".tmp"

// writeFile puts data at name so that a crash leaves either the old or the new content. The directory is not synced: after
// a power failure the old content may be back, which for a checkpoint is one that covers less.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+temporary+"*") // mode 0600
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("audit: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// exists reports whether something is at name.
func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
