package policies

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Bounds of what a set is read from: bytes of one file, number of files, bytes of all files together.
const (
	MaxSourceBytes = 1 << 20
	MaxSources     = 4096
	MaxTotalBytes  = 32 << 20
)

// ConfigFile is the name of the configuration in a policy directory.
const ConfigFile = "policies.yaml"

const (
	regoSuffix     = ".rego"
	regoTestSuffix = "_test.rego"
	casesSuffix    = ".cases.yaml"
)

//go:embed library
var libraryFiles embed.FS

// library returns the embedded policies, their cases and their default configuration.
func library() fs.FS {
	sub, err := fs.Sub(libraryFiles, "library")
	if err != nil {
		panic(err) // the name is a valid path, fixed at compile time
	}
	return sub
}

// Source is the text of one policy file.
type Source struct {
	// Name is the file's name, as error messages show it.
	Name string
	// Text is Rego v1.
	Text []byte
}

// Bundle is what a [Set] is compiled from, beside the library.
type Bundle struct {
	// Sources are the user's policy files.
	Sources []Source
	// Config is the user's configuration, nil for none.
	Config *Configuration
	// NoDefaults leaves every library policy off that Config does not turn on. Otherwise the library's own
	// configuration applies first.
	NoDefaults bool
}

// ReadBundle reads the policy files and the configuration in the root of fsys. Hidden names, directories, cases, OPA
// tests and files that are neither YAML nor JSON are left out; any other file is an error, because it may be a policy with a misspelt name.
func ReadBundle(fsys fs.FS) (Bundle, error) {
	var b Bundle
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return b, err
	}
	total := 0
	for _, e := range entries {
		name := e.Name()
		if !wanted(name) {
			continue
		}
		if info, err := fs.Stat(fsys, name); err != nil || info.IsDir() {
			if err != nil {
				return b, err
			}
			continue
		}
		text, err := readFile(fsys, name)
		if err != nil {
			return b, err
		}
		if total += len(text); total > MaxTotalBytes || len(b.Sources) >= MaxSources {
			return b, fmt.Errorf("more than %d policy files or %d bytes", MaxSources, MaxTotalBytes)
		}
		switch {
		case strings.HasSuffix(name, regoSuffix):
			b.Sources = append(b.Sources, Source{Name: name, Text: text})
		case name == ConfigFile:
			if b.Config, err = ParseConfiguration(text); err != nil {
				return b, fmt.Errorf("%s: %w", name, err)
			}
		default:
			return b, fmt.Errorf("%s: not expected here: policies end in %s, their cases in %s, the configuration is %s",
				name, regoSuffix, casesSuffix, ConfigFile)
		}
	}
	return b, nil
}

func wanted(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, casesSuffix) || strings.HasSuffix(name, regoTestSuffix) {
		return false
	}
	switch path.Ext(name) {
	case regoSuffix, ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSourceBytes+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > MaxSourceBytes {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, MaxSourceBytes)
	}
	return text, nil
}

// digest is the SHA-256 of everything that makes the set, with lengths so that no two bundles have the same form.
func (b Bundle) digest(librarySources []Source) (string, error) {
	h := sha256.New()
	for _, list := range [][]Source{librarySources, b.Sources} {
		fmt.Fprintf(h, "%d\n", len(list))
		for _, s := range list {
			fmt.Fprintf(h, "%d %s %d\n", len(s.Name), s.Name, len(s.Text))
			h.Write(s.Text)
		}
	}
	config, err := json.Marshal(b.Config)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%t %s\n", b.NoDefaults, config)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
