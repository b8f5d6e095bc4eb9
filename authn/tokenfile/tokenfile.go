// Package tokenfile authenticates bearer tokens that are listed in a file, one CSV record each:
//
//	token,user name,user uid,"group1,group2"
//
// The groups are optional. The whole file is refused, by line number, for an empty or repeated token, a missing name,
// a fifth column (a group list that lacks its quotes), or a token that no client could send; what was loaded
// before stays in use. The file must be private to its owner unless the caller says otherwise.
//
// Tokens are kept only as SHA-256 digests. A lookup finds an entry by one half of the digest and compares the other half
// in constant time, so its duration says nothing about any token.
//
// Limits: static tokens never expire and carry no credential identifier, since a digest of a weak token in an audit
// record would give it away. [MaxFileBytes] and [MaxTokens] bound the file.
package tokenfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// Bounds of a token file: its size in bytes and the number of records in it.
const (
	MaxFileBytes = 8 << 20
	MaxTokens    = 50_000
)

// Options say where the tokens are.
type Options struct {
	// Path of the CSV file.
	Path string
	// AllowReadableByOthers accepts a file whose mode or owner lets other local users read the tokens.
	AllowReadableByOthers bool
}

// Authenticator knows the tokens of one file. It is safe for concurrent use.
type Authenticator struct {
	opts   Options
	loaded atomic.Pointer[table]
}

type table struct {
	fileSum [sha256.Size]byte
	entries map[half]entry
}

// half of a SHA-256 digest.
type half [sha256.Size / 2]byte

type entry struct {
	rest   half
	result *authn.Result // the same for every request
}

// Open reads the file.
func Open(opts Options) (*Authenticator, error) {
	a := &Authenticator{opts: opts}
	if _, err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload reads the file again and reports whether its content changed. On an error the tokens that were last good
// stay in use.
func (a *Authenticator) Reload() (changed bool, err error) {
	read := pki.ReadPrivate
	if a.opts.AllowReadableByOthers {
		read = pki.ReadPublic
	}
	data, err := read(a.opts.Path, MaxFileBytes)
	if err != nil {
		return false, fmt.Errorf("token file: %w", err)
	}
	sum := sha256.Sum256(data)
	if old := a.loaded.Load(); old != nil && old.fileSum == sum {
		return false, nil
	}
	entries, err := parse(data)
	if err != nil {
		return false, fmt.Errorf("token file %s: %w", a.opts.Path, err)
	}
	a.loaded.Store(&table{fileSum: sum, entries: entries})
	return true, nil
}

// Authenticate implements [authn.Authenticator]. A token that is not in the file gets no opinion.
func (a *Authenticator) Authenticate(_ context.Context, c authn.Credentials) (*authn.Result, error) {
	if !c.HasBearer || c.BearerToken == "" || len(c.BearerToken) > authn.MaxTokenBytes {
		return nil, nil
	}
	first, rest := digest(c.BearerToken)
	e, ok := a.loaded.Load().entries[first]
	if subtle.ConstantTimeCompare(e.rest[:], rest[:]) != 1 || !ok {
		return nil, nil
	}
	return e.result, nil
}

func digest(token string) (first, rest half) {
	sum := sha256.Sum256([]byte(token))
	copy(first[:], sum[:])
	copy(rest[:], sum[len(first):])
	return first, rest
}

func parse(data []byte) (map[half]entry, error) {
	entries := map[half]entry{}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		line, _ := r.FieldPos(0)
		if len(entries) == MaxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", line, MaxTokens)
		}
		user, err := parseRecord(record)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		first, rest := digest(record[0])
		if _, taken := entries[first]; taken {
			return nil, fmt.Errorf("line %d: the token is listed before", line)
		}
		entries[first] = entry{rest: rest, result: &authn.Result{User: user, Method: "tokenfile"}}
	}
}

func parseRecord(record []string) (api.User, error) {
	if len(record) < 3 || len(record) > 4 {
		return api.User{}, fmt.Errorf(`%d columns, want token,user,uid or token,user,uid,"group1,group2"`, len(record))
	}
	token, user := record[0], api.User{Name: record[1], UID: record[2]}
	switch {
	case token == "":
		return api.User{}, errors.New("the token is empty")
	case len(token) > authn.MaxTokenBytes:
		return api.User{}, fmt.Errorf("the token is longer than %d bytes", authn.MaxTokenBytes)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return api.User{}, errors.New("the token holds a character other than visible ASCII")
	case strings.TrimSpace(user.Name) != user.Name || user.Name == "":
		return api.User{}, errors.New("the user name is empty or begins or ends with a space")
	}
	if len(record) < 4 || record[3] == "" {
		return user, nil
	}
	user.Groups = strings.Split(record[3], ",")
	for _, group := range user.Groups {
		if group == "" || strings.TrimSpace(group) != group {
			return api.User{}, errors.New("a group is empty or begins or ends with a space")
		}
	}
	return user, nil
}

// csvError says what is wrong and where, without quoting the line, which holds a token.
func csvError(err error) error {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return fmt.Errorf("line %d, column %d: %w", at.Line, at.Column, at.Err)
	}
	return err
}
