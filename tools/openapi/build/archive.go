package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// inputModules are the modules whose versions decide what the documents say.
var inputModules = []string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/kube-openapi"}

// file is one entry of the archive.
type file struct {
	name string
	hash string // names the document; its forms share it
	data []byte
}

// writeArchive writes each file as a gzip member that is an entry of its own, with the hash as the comment of the entry. The
// entries are in the order of their names and without times, so that equal files give equal archives.
func writeArchive(w io.Writer, files []file) error {
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	z := zip.NewWriter(w)
	for _, f := range files {
		out, err := z.CreateHeader(&zip.FileHeader{Name: f.name + ".gz", Comment: f.hash, Method: zip.Store})
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		member, err := gzip.NewWriterLevel(out, gzip.BestCompression)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := member.Write(f.data); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := member.Close(); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return z.Close()
}

// describeInputs states what the documents depend on besides the resource table, one input per line: the versions of
// the modules and a hash of the generator's own source.
func describeInputs() ([]byte, error) {
	var b bytes.Buffer
	for _, path := range inputModules {
		v := moduleVersion(path)
		if v == "" {
			return nil, fmt.Errorf("the version of %s is not known: run the command in its module", path)
		}
		fmt.Fprintf(&b, "module %s %s\n", path, v)
	}
	sum, err := hashSources(os.DirFS("openapi"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "generator sha256:%x\n", sum)
	return b.Bytes(), nil
}

// hashSources hashes the Go files of a tree: for each, in the order of the paths, path, length and contents.
func hashSources(root fs.FS) ([]byte, error) {
	h := sha256.New()
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(root, path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(data), data)
		return err
	})
	return h.Sum(nil), err
}

// moduleVersion is the version of a module in this binary, or empty.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}
